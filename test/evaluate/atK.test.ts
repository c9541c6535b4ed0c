import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { passAtK, rerankAtK } from "../../src/evaluate/atK.ts";
import type { Candidate } from "../../src/evaluate/vote.ts";
import { goldenPath } from "../support/golden.ts";

const golden: { pass: { n: number; correct: number; k: number; share: number }[] } = JSON.parse(
  readFileSync(goldenPath("evaluation.json"), "utf8"),
);

/** c of n are right, in no order that matters. */
const pool = (n: number, c: number): Candidate[] =>
  Array.from({ length: n }, (_, i) => ({ answer: i, correct: i < c }));

describe("passAtK", () => {
  test("is the share of all choices of k with a right one", () => {
    expect(passAtK(pool(5, 2), 1)).toBeCloseTo(2 / 5, 15);
    expect(passAtK(pool(5, 2), 2)).toBeCloseTo(1 - 3 / 10, 15); // 3 of the 10 pairs have none
    expect(passAtK(pool(5, 2), 3)).toBeCloseTo(1 - 1 / 10, 15);
    expect(passAtK(pool(5, 2), 4)).toBe(1); // only three are wrong
  });

  test("is 0 without a right answer, and at k = n 1 with any", () => {
    expect(passAtK(pool(100, 0), 100)).toBe(0);
    expect(passAtK(pool(100, 1), 100)).toBe(1);
  });

  test.each(golden.pass)(
    "equals the binomials in integers for n $n, correct $correct, k $k",
    (given) => {
      expect(passAtK(pool(given.n, given.correct), given.k)).toBeCloseTo(given.share, 13);
    },
  );

  test("refuses k outside the pool", () => {
    expect(() => passAtK(pool(4, 1), 5)).toThrow("expected k from 1 to 4 candidates, got 5");
    expect(() => passAtK([], 1)).toThrow("expected k from 1 to 0 candidates, got 1");
  });
});

describe("rerankAtK", () => {
  const judged = (
    ...rows: [correct: boolean, probability: number, answer?: number | undefined][]
  ) =>
    rows.map(([correct, probability, ...answer]) => ({
      answer: answer.length === 0 ? 1 : answer[0],
      correct,
      probability,
    }));

  test("at k = n is the candidate with the highest P(correct)", () => {
    expect(rerankAtK(judged([false, 0.2], [true, 0.9], [false, 0.5]), 3)).toBe(1);
    expect(rerankAtK(judged([true, 0.2], [false, 0.9], [true, 0.5]), 3)).toBe(0);
  });

  test("of equal probabilities the one sampled first counts", () => {
    expect(rerankAtK(judged([true, 0.5], [false, 0.5]), 2)).toBe(1);
    expect(rerankAtK(judged([false, 0.5], [true, 0.5]), 2)).toBe(0);
  });

  test("averages over all choices of k", () => {
    // Ranked: wrong 0.9, right 0.7, wrong 0.5, right 0.1. Of the six pairs the right 0.7 leads two, none leads with 0.1.
    const four = judged([true, 0.7], [true, 0.1], [false, 0.9], [false, 0.5]);
    expect(rerankAtK(four, 1)).toBeCloseTo(1 / 2, 15);
    expect(rerankAtK(four, 2)).toBeCloseTo(2 / 6, 15);
    expect(rerankAtK(four, 3)).toBeCloseTo(1 / 4, 15); // the choice without 0.9
  });

  test("skips candidates without an answer, however likely, and is 0 where none has one", () => {
    expect(rerankAtK(judged([false, 0.9, undefined], [true, 0.1]), 2)).toBe(1);
    // of three pairs, two have the one with an answer
    const one = judged([false, 0.9, undefined], [false, 0.8, undefined], [true, 0.1]);
    expect(rerankAtK(one, 2)).toBeCloseTo(2 / 3, 15);
    expect(rerankAtK(one.slice(0, 2), 2)).toBe(0);
  });

  test("never exceeds 1 by rounding", () => {
    for (let n = 1; n <= 100; n++) {
      const all = pool(n, n).map((one) => ({ ...one, probability: 0.5 }));
      for (let k = 1; k <= n; k++) expect(rerankAtK(all, k)).toBeLessThanOrEqual(1);
    }
  });

  test("with a classifier that knows the answer is pass@k", () => {
    const known = pool(100, 7).map((one) => ({ ...one, probability: Number(one.correct) }));
    for (const k of [1, 2, 5, 10, 20, 50, 93, 94, 100])
      expect(rerankAtK(known, k)).toBeCloseTo(passAtK(known, k), 12);
  });
});
