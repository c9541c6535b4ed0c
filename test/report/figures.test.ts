import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { metricsPage } from "../../scripts/metricsPage.ts";
import { figureGroups, figureOf } from "../../src/report/figures.ts";

test("the tables of docs/metrics.md are what the report says of the figures", () => {
  const plain = (text: string) => text.replace(/ +|-{2,}/g, (run) => run[0]!); // the formatter aligns tables
  const page = readFileSync("docs/metrics.md", "utf8");
  expect(plain(page), "write them anew: npx tsx scripts/metrics-page.ts").toBe(
    plain(metricsPage(page)),
  );
});

test("every figure stands once; an own reward's figures have a row together", () => {
  const names = figureGroups.flatMap(({ figures }) => figures.map(({ name }) => name));
  expect(new Set(names).size).toBe(names.length);
  expect(figureOf("kl/reference")!.name).toBe("kl/reference");
  expect(figureOf("reward/brevity")!.name).toBe("reward/<name>");
  expect(figureOf("own/figure")).toBeUndefined();
});
