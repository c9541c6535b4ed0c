// Makes the tables of docs/metrics.md anew: npx tsx scripts/metrics-page.ts
import { readFileSync, writeFileSync } from "node:fs";
import { metricsPage } from "./metricsPage.ts";

const page = "docs/metrics.md";
writeFileSync(page, metricsPage(readFileSync(page, "utf8")));
