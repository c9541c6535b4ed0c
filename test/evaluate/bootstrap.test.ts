import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { bootstrapIntervals } from "../../src/evaluate/bootstrap.ts";
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
