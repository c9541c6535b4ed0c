import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { bootstrapIntervals, wilsonInterval } from "../../src/evaluate/intervals.ts";
import { Rng } from "../../src/rng.ts";
import { goldenPath } from "../support/golden.ts";

const golden: { bootstrap: { values: number[]; low: number; high: number }[] } = JSON.parse(
  readFileSync(goldenPath("evaluation.json"), "utf8"),
);
const rng = (seed = 1) => Rng.named(seed, "bootstrap");

describe("bootstrapIntervals", () => {
  test.each(golden.bootstrap)(
    "is scipy's percentile interval, $low to $high, within the noise of 2,000 resamples",
    ({ values, low, high }) => {
      const n = values.length;
      const mean = values.reduce((a, b) => a + b, 0) / n;
      const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n / n);
      // A 2.5 % quantile of 2,000 normal draws has the standard error sqrt(0.025 * 0.975 / 2000) / 0.0584 = 0.06 deviations.
      // The mean of n zeros and ones moves in steps of 1 / n besides.
      const step = values.every((value) => value === 0 || value === 1) ? 1 / n : 0;
      const noise = 4 * 0.06 * deviation + step;
      const [found] = bootstrapIntervals([values], rng());
      expect(Math.abs(found![0] - low)).toBeLessThan(noise);
      expect(Math.abs(found![1] - high)).toBeLessThan(noise);
    },
  );

  test("has no width where all questions are alike", () => {
    expect(
      bootstrapIntervals(
        [
          [1, 1, 1],
          [0, 0, 0],
        ],
        rng(),
      ),
    ).toEqual([
      [1, 1],
      [0, 0],
    ]);
    expect(bootstrapIntervals([[0.5]], rng())).toEqual([[0.5, 0.5]]);
  });

  test("draws the same questions for every column, so an interval does not depend on its neighbours", () => {
    const [a, b] = golden.bootstrap.map(({ values }) => values.slice(0, 60)) as [
      number[],
      number[],
    ];
    const [alone] = bootstrapIntervals([b], rng());
    expect(bootstrapIntervals([a, b, b], rng()).slice(1)).toEqual([alone, alone]);
    expect(bootstrapIntervals([a], rng(2))).not.toEqual(bootstrapIntervals([a], rng()));
  });
});

describe("wilsonInterval", () => {
  // By hand for 8 of 10: z² = 3.8415; centre (0.8 + 0.19207) / 1.38415 = 0.71674;
  // half 1.95996 * sqrt(0.016 + 0.0096036) / 1.38415 = 0.22658. The others: scipy.stats.binomtest, scipy 1.17.1.
  test.each([
    [8, 10, 0.490162, 0.943318],
    [0, 10, 0, 0.277533],
    [10, 10, 0.722467, 1],
    [755, 1319, 0.545532, 0.598854],
  ])("of %d out of %d", (successes, trials, low, high) => {
    const interval = wilsonInterval(successes, trials);
    expect(interval[0]).toBeCloseTo(low, 6);
    expect(interval[1]).toBeCloseTo(high, 6);
  });
});
