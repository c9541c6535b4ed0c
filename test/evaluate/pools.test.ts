import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { measurePools, type Pool, poolSizes } from "../../src/evaluate/pools.ts";
import type { Candidate } from "../../src/evaluate/vote.ts";
import { goldenPath } from "../support/golden.ts";

const golden: {
  pools: {
    candidates: (Candidate & { answer: number | null })[];
    shares: Record<string, number>;
  }[];
} = JSON.parse(readFileSync(goldenPath("evaluation.json"), "utf8"));

/** Answers of which 1 is right, each with its P(correct). */
const pool = (
  id: string,
  ...given: [answer: number | undefined, probability?: number][]
): Pool => ({
  id,
  candidates: given.map(([answer, probability]) => ({
    answer,
    correct: answer === 1,
    ...(probability === undefined ? {} : { probability }),
  })),
});

const sharesOf = (given: Pool, ks: readonly number[]) => measurePools([given], ks, 1)[0]!.shares;

describe("measurePools", () => {
  test("at k = n every method decides with the whole pool", () => {
    // Votes 2, 2, 2 to 1, 1; weights 0.6 + 0.3 = 0.9 for 1 to 0.1 + 0.2 + 0.4 = 0.7 for 2; the likeliest is a 1.
    const given = pool("a", [2, 0.1], [1, 0.6], [2, 0.2], [2, 0.4], [1, 0.3]);
    expect(measurePools([given], [5], 1)).toEqual([
      { id: "a", shares: { "voting@5": 0, "weightedVoting@5": 1, "reranking@5": 1, "pass@5": 1 } },
    ]);
  });

  test("at k = 1 every method has the share of right answers", () => {
    const given = pool("a", [2, 0.1], [1, 0.6], [undefined, 0.2], [2, 0.4], [1, 0.3]);
    const shares = sharesOf(given, [1]);
    for (const share of Object.values(shares)) expect(share).toBeCloseTo(2 / 5, 15);
  });

  test("a question that no sample answers is wrong by every method", () => {
    const given = pool("a", [undefined, 0.9], [undefined, 0.8], [undefined, 0.7]);
    const shares = sharesOf(given, [1, 2, 3]);
    expect(new Set(Object.values(shares))).toEqual(new Set([0]));
  });

  test("between, a vote is the mean over random choices, near the mean over all", () => {
    // 40 right of 100, the others all 2. A choice of 5 elects 1 where it has at least 3 of them:
    // (C(40,3) C(60,2) + C(40,4) C(60,1) + C(40,5)) / C(100,5)
    //   = (9,880 * 1,770 + 91,390 * 60 + 658,008) / 75,287,520 = 0.31385
    const answers = Array.from({ length: 100 }, (_, i): [number] => [i % 5 < 2 ? 1 : 2]);
    const pools = Array.from({ length: 200 }, (_, i) => pool(`q${i}`, ...answers));
    const measured = measurePools(pools, [5], 1).map(({ shares }) => shares["voting@5"]!);
    const mean = measured.reduce((a, b) => a + b, 0) / measured.length;
    // 20,000 choices: standard error sqrt(0.314 * 0.686 / 20,000) = 0.0033
    expect(Math.abs(mean - 0.31385)).toBeLessThan(4 * 0.0033);
    expect(new Set(measured).size).toBeGreaterThan(5); // each question has random choices of its own
  });

  test("no vote has more than pass: where a right answer meets none, it has all of it", () => {
    const answers = Array.from({ length: 30 }, (_, i): [number | undefined, number] => [
      i % 3 === 0 ? 1 : undefined,
      i / 30,
    ]);
    const shares = sharesOf(pool("a", ...answers), [2, 5, 10]);
    for (const k of [2, 5, 10]) {
      expect(shares[`voting@${k}`]).toBe(shares[`pass@${k}`]);
      expect(shares[`weightedVoting@${k}`]).toBe(shares[`pass@${k}`]);
    }
  });

  test.each(golden.pools)("is what trying every ordered choice of k comes to, pool %#", (given) => {
    const candidates = given.candidates.map(({ answer, ...rest }) => ({
      ...rest,
      answer: answer ?? undefined,
    }));
    const copies = Array.from({ length: 100 }, (_, i) => ({ id: `copy ${i}`, candidates }));
    const measured = measurePools(copies, [1, 2, 3, 4, 5, 6, 7], 1);
    for (const [name, expected] of Object.entries(given.shares)) {
      const mean = measured.reduce((sum, { shares }) => sum + shares[name]!, 0) / copies.length;
      const isDrawn = /oting@[2-6]$/.test(name); // 100 orders for each of 100 copies
      const noise = isDrawn ? 4 * Math.sqrt((expected * (1 - expected)) / 10_000) + 1e-9 : 1e-12;
      expect(Math.abs(mean - expected), name).toBeLessThan(noise);
    }
  });

  test("depends on the seed and a question's id, not on the other questions", () => {
    const answers = Array.from({ length: 20 }, (_, i): [number] => [i % 3]);
    const [a, b] = [pool("a", ...answers), pool("b", ...answers)];
    const both = measurePools([a, b], [5, 10], 1);
    expect(measurePools([b], [5, 10], 1)).toEqual([both[1]]);
    expect(measurePools([a, b], [5, 10], 2)).not.toEqual(both);
  });

  test("without the classifier's probabilities there are voting and pass alone", () => {
    const shares = sharesOf(pool("a", [1], [2]), [2]);
    expect(shares).toEqual({ "voting@2": 1, "pass@2": 1 });
  });
});

test("poolSizes are the usual ones below the number of samples, and that number", () => {
  expect(poolSizes(100)).toEqual([1, 2, 5, 10, 20, 50, 100]);
  expect(poolSizes(30)).toEqual([1, 2, 5, 10, 20, 30]);
  expect(poolSizes(200)).toEqual([1, 2, 5, 10, 20, 50, 100, 200]);
  expect(poolSizes(1)).toEqual([1]);
});
