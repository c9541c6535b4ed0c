import { describe, expect, test } from "vitest";
import type { Metrics } from "../../src/evaluate/summary.ts";
import {
  markdownTable,
  modelTable,
  percentWithError,
  resultsPage,
  tieRule,
} from "../../src/evaluate/tables.ts";

/** Accuracies by name, each with an interval of ten points to both sides. */
const metricsOf = (accuracies: Record<string, number>): Metrics =>
  Object.fromEntries(
    Object.entries(accuracies).map(([name, accuracy]) => [
      name,
      { accuracy, confidence95: [accuracy - 0.1, accuracy + 0.1] },
    ]),
  );

test("markdownTable aligns its columns", () => {
  expect(
    markdownTable([
      ["a", "long head"],
      ["value", "1"],
    ]),
  ).toBe("| a     | long head |\n| ----- | --------- |\n| value | 1         |");
});

describe("resultsPage", () => {
  const metrics = metricsOf({
    ...{ top1: 0.4, "voting@1": 0.35, "voting@10": 0.5, "pass@1": 0.35, "pass@10": 0.75 },
  });
  const page = resultsPage(metrics, 1319);

  test("has one row per method, one column per k, and Top-1 above", () => {
    const rows = page.match(/^\|.*/gm)!.map((row) => row.split("|").map((cell) => cell.trim()));
    expect(rows.map((row) => row.slice(1, -1))).toEqual([
      ["", "k = 1", "k = 10"],
      ["---", "---", "---"].map(() => expect.stringMatching(/^-+$/)),
      ["Voting@k", "35.0 (25.0 to 45.0)", "50.0 (40.0 to 60.0)"],
      ["pass@k", "35.0 (25.0 to 45.0)", "75.0 (65.0 to 85.0)"],
    ]);
    expect(page).toContain("**40.0** (30.0 to 50.0)");
  });

  test("says how many questions and samples there were, and the rule for ties", () => {
    expect(page).toContain("1,319 questions, 10 sampled answers to each");
    expect(page).toContain(tieRule);
  });
});

describe("modelTable", () => {
  test("has a row per model with mean and standard error over its seeds, and gaps where there is no classifier", () => {
    const seeds = (...given: Record<string, number>[]) => given.map(metricsOf);
    // 0.40, 0.44, 0.48: mean 0.44, deviation 0.04, standard error 0.04 / sqrt(3) = 0.0231
    const table = modelTable([
      {
        model: "SFT",
        seeds: seeds(
          { top1: 0.4, "voting@1": 0.3, "voting@100": 0.5, "pass@100": 0.9 },
          { top1: 0.44, "voting@1": 0.3, "voting@100": 0.5, "pass@100": 0.9 },
          { top1: 0.48, "voting@1": 0.3, "voting@100": 0.5, "pass@100": 0.9 },
        ),
      },
      {
        model: "ReFT",
        seeds: seeds({ top1: 0.5, "voting@100": 0.6, "reranking@100": 0.7, "pass@100": 0.95 }),
      },
    ]);
    expect(table.split("\n").map((row) => row.replace(/ +/g, " "))).toEqual([
      "| model | Top-1 | Voting@100 | Rerank@100 | pass@100 |",
      expect.stringMatching(/^[|\s-]+$/),
      "| SFT | 44.0 ± 2.3 | 50.0 ± 0.0 | | 90.0 ± 0.0 |",
      "| ReFT | 50.0 (40.0 to 60.0) | 60.0 (50.0 to 70.0) | 70.0 (60.0 to 80.0) | 95.0 (85.0 to 105.0) |",
    ]);
  });

  test("compares at the largest k that all models have", () => {
    const of = (...ks: number[]) => [
      metricsOf(Object.fromEntries(ks.map((k) => [`voting@${k}`, k / 100]))),
    ];
    const table = modelTable([
      { model: "a", seeds: of(1, 20, 50) },
      { model: "b", seeds: of(1, 20, 30) },
    ]);
    expect(table).toContain("Voting@20");
    expect(table).toMatch(/^\| a +\| +\| 20\.0 \(10\.0 to 30\.0\) +\|$/m);
  });

  test("of models without samples shows Top-1 alone", () => {
    const table = modelTable([{ model: "a", seeds: [metricsOf({ top1: 0.25 })] }]);
    expect(table).toMatch(/^\| model \| Top-1 +\|$/m);
    expect(table).toMatch(/^\| a +\| 25\.0 \(15\.0 to 35\.0\) \|$/m);
  });
});

test("percentWithError gives the standard error of the mean from the second value on", () => {
  expect(percentWithError([0.466])).toBe("46.6");
  // mean 0.5, variance (0.01 + 0.01) / 1, standard error sqrt(0.02 / 2) = 0.1
  expect(percentWithError([0.4, 0.6])).toBe("50.0 ± 10.0");
});
