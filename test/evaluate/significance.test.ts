import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { mcnemarTest, pairedTest, signFlipTest } from "../../src/evaluate/significance.ts";
import { Rng } from "../../src/rng.ts";
import { goldenPath } from "../support/golden.ts";

interface SignFlips {
  readonly differences: number[];
  readonly p: number;
}

const golden: {
  mcnemar: { onlyA: number; onlyB: number; p: number }[];
  signFlipsExact: SignFlips[];
  signFlipsDrawn: SignFlips[];
} = JSON.parse(readFileSync(goldenPath("evaluation.json"), "utf8"));
const rng = () => Rng.named(1, "flips");

describe("mcnemarTest", () => {
  test("is the share of coin rows at least as uneven, both sides", () => {
    // 1 and 4: 2 * (C(5,0) + C(5,1)) / 32 = 12 / 32
    expect(mcnemarTest(1, 4)).toBeCloseTo(0.375, 14);
    expect(mcnemarTest(4, 1)).toBe(mcnemarTest(1, 4));
  });

  test("is 1 where the models never disagree, or evenly", () => {
    expect(mcnemarTest(0, 0)).toBe(1);
    expect(mcnemarTest(7, 7)).toBe(1);
  });

  test.each(golden.mcnemar)(
    "equals scipy's binomtest for $onlyA and $onlyB",
    ({ onlyA, onlyB, p }) => {
      expect(mcnemarTest(onlyA, onlyB) / p).toBeCloseTo(1, 9);
    },
  );
});

describe("signFlipTest", () => {
  test("counts the assignments of signs whose sum lies as far from 0", () => {
    // 1, 2 and 4 sum to 7; of 8 assignments only +++ and --- reach it
    expect(signFlipTest([1, 2, 4], rng())).toBe(2 / 8);
    // 4 - 2 - 1 = 1: sums 7, 5, 3, 1 and their negatives all reach it
    expect(signFlipTest([4, -2, -1], rng())).toBe(1);
  });

  test("ignores questions without a difference, and is 1 where there is none at all", () => {
    expect(signFlipTest([0, 1, 0, 2, 4], rng())).toBe(2 / 8);
    expect(signFlipTest([0, 0], rng())).toBe(1);
  });

  test("takes sums for equal that differ by rounding alone", () => {
    // The sum is 0.6. With 0.6 positive, five assignments of the others sum to 0 or more, two of them to 0 up to rounding.
    expect(signFlipTest([0.1, 0.2, -0.3, 0.6], rng())).toBe(10 / 16);
  });

  test.each(golden.signFlipsExact)(
    "equals scipy's exact permutation test, p = $p",
    ({ differences, p }) => {
      expect(signFlipTest(differences, rng())).toBeCloseTo(p, 14);
    },
  );

  test.each(golden.signFlipsDrawn)(
    "is scipy's, p = $p, within the noise of 10,000 draws",
    ({ differences, p }) => {
      const found = signFlipTest(differences, rng());
      expect(Math.abs(found - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 10_000) + 1e-4);
      expect(signFlipTest(differences, rng())).toBe(found);
    },
  );

  test("is never 0, for the observed signs are one of the assignments", () => {
    expect(signFlipTest(new Array(100).fill(1), rng())).toBe(1 / 10_001);
  });
});

describe("pairedTest", () => {
  test("is McNemar's where all are right or wrong", () => {
    // the first alone 1, the second alone 4
    const [a, b] = [
      [1, 0, 0, 0, 0, 1, 0],
      [0, 1, 1, 1, 1, 1, 0],
    ];
    expect(pairedTest(a!, b!, rng())).toEqual({ p: mcnemarTest(1, 4), test: "McNemar" });
  });

  test("is that of sign flips where a share lies between", () => {
    expect(pairedTest([0, 0, 0.5], [1, 1, 1], rng())).toEqual({ p: 2 / 8, test: "sign flips" });
  });
});
