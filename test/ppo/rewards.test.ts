import { describe, expect, test } from "vitest";
import { estimateKl, tokenRewards } from "../../src/ppo/rewards.ts";
import { type GoldenTensor, largestDifference, readGolden, rowOf } from "../support/golden.ts";

const floats = (...values: number[]) => Float32Array.from(values);

/** The responses of a golden file, unpadded. */
function responsesOf(golden: ReadonlyMap<string, GoldenTensor>) {
  const row = (name: string, index: number, length: number) =>
    Float32Array.from(rowOf(golden.get(name)!, index, length));
  return [...golden.get("lengths")!.values].map((length, index) => ({
    score: golden.get("scores")!.values[index]!,
    logprobs: row("logprobs", index, length),
    referenceLogprobs: row("referenceLogprobs", index, length),
    expectedRewards: row("rewards", index, length),
    expectedPenalties: row("klPenalties", index, length),
  }));
}

describe("tokenRewards", () => {
  test("penalises the log-ratio at every token and adds the score at the last", () => {
    // d = [0.5, -0.25, 1]; penalties = -0.1 d; the score 1 joins the last: 1 - 0.1 = 0.9
    const response = {
      score: 1,
      logprobs: floats(-1, -2, -0.5),
      referenceLogprobs: floats(-1.5, -1.75, -1.5),
    };
    const rewards = tokenRewards(response, { klCoefficient: 0.1 });
    expect(largestDifference(rewards, [-0.05, 0.025, 0.9])).toBeLessThan(1e-7);
  });

  test("leaves the score alone when the policy is the reference", () => {
    const logprobs = floats(-1, -2);
    const response = { score: 0.1, logprobs, referenceLogprobs: logprobs };
    const rewards = tokenRewards(response, { klCoefficient: 5 });
    expect(largestDifference(rewards, floats(0, 0.1))).toBe(0);
  });

  test.each(["program", "language", "discounted"])("equals PyTorch in case %s", (name) => {
    const golden = readGolden("ppo", `${name}.safetensors`);
    const klCoefficient = golden.get("settings")!.values[0]!;
    for (const { expectedRewards, expectedPenalties, ...response } of responsesOf(golden)) {
      const rewards = tokenRewards(response, { klCoefficient });
      expect(largestDifference(rewards, expectedRewards)).toBeLessThan(1e-7);
      const penalties = tokenRewards({ ...response, score: 0 }, { klCoefficient });
      expect(largestDifference(penalties, expectedPenalties)).toBeLessThan(1e-7);
    }
  });

  test("refuses arrays of different lengths and an empty response", () => {
    const options = { klCoefficient: 0.1 };
    const uneven = { score: 1, logprobs: floats(-1, -2), referenceLogprobs: floats(-1) };
    expect(() => tokenRewards(uneven, options)).toThrow("2 logprobs, 1 referenceLogprobs");
    const empty = { score: 1, logprobs: floats(), referenceLogprobs: floats() };
    expect(() => tokenRewards(empty, options)).toThrow("at least one token");
  });
});

describe("estimateKl", () => {
  test("averages k1 and k3 over tokens, and log-ratios summed over responses", () => {
    // d = [1], [0, -4]: k1 = -3 / 3, per response = -3 / 2; k3 = (e^-1 - 1 + 1 + 0 + e^4 - 1 - 4) / 3
    const responses = [
      { logprobs: floats(-1), referenceLogprobs: floats(-2) },
      { logprobs: floats(-1, -6), referenceLogprobs: floats(-1, -2) },
    ];
    const { k1, k3, perResponse } = estimateKl(responses);
    expect([k1, perResponse]).toEqual([-1, -1.5]);
    expect(k3).toBeCloseTo((Math.exp(-1) + Math.exp(4) - 5) / 3, 12);
  });

  test("keeps k3 positive for the smallest drift", () => {
    // d = 2^-28: k3 is d^2 / 2 = 2^-57, which exp(-d) - 1 + d rounds to 0
    const drift = [{ logprobs: floats(2 ** -28 - 2 ** -7), referenceLogprobs: floats(-(2 ** -7)) }];
    expect(estimateKl(drift).k3 / 2 ** -57).toBeCloseTo(1, 4);
  });

  test.each(["program", "language", "discounted"])("equals PyTorch in case %s", (name) => {
    const golden = readGolden("ppo", `${name}.safetensors`);
    const { k1, k3, perResponse } = estimateKl(responsesOf(golden));
    const expected = ["meanKlK1", "meanKlK3", "meanResponseKl"].map(
      (key) => golden.get(key)!.values[0]!,
    );
    expect(largestDifference([k1, k3, perResponse], expected)).toBeLessThan(1e-7);
  });
});
