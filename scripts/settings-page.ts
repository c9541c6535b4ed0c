// Writes docs/settings.md: npx tsx scripts/settings-page.ts
import { writeFileSync } from "node:fs";
import { settingsPage } from "./settingsPage.ts";

writeFileSync("docs/settings.md", settingsPage());
