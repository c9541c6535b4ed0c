import { describe, expect, test } from "vitest";
import { estimateAdvantages, leaveOneOut, standardise, whiten } from "../../src/ppo/advantages.ts";
import { type GoldenTensor, largestDifference, readGolden, rowOf } from "../support/golden.ts";

const floats = (...values: number[]) => Float32Array.from(values);
const cases = ["program", "language", "discounted"];

function rowsOf(golden: ReadonlyMap<string, GoldenTensor>, name: string): Float32Array[] {
  const lengths = [...golden.get("lengths")!.values];
  return lengths.map((length, i) => Float32Array.from(rowOf(golden.get(name)!, i, length)));
}

describe("estimateAdvantages", () => {
  test("discounts the errors of later tokens", () => {
    // deltas: 0 + 0.5 * 2 - 1 = 0, 0 + 0.5 * 4 - 2 = 0, 8 - 4 = 4; then 4, 0 + 0.25 * 4 = 1, 0.25
    const options = { gamma: 0.5, gaeLambda: 0.5 };
    const { advantages, returns } = estimateAdvantages(floats(0, 0, 8), floats(1, 2, 4), options);
    expect([...advantages]).toEqual([0.25, 1, 4]);
    expect([...returns]).toEqual([1.25, 3, 8]);
  });

  test("is 0 everywhere when the values were right", () => {
    const options = { gamma: 1, gaeLambda: 0.95 };
    const { advantages } = estimateAdvantages(floats(0, 0, 1), floats(1, 1, 1), options);
    expect([...advantages]).toEqual([0, 0, 0]);
  });

  test("with gaeLambda 1 and gamma 1 returns what is still to come, whatever the values", () => {
    const options = { gamma: 1, gaeLambda: 1 };
    const { returns } = estimateAdvantages(floats(0.5, 0.25, 1), floats(3, -2, 8), options);
    expect([...returns]).toEqual([1.75, 1.25, 1]);
  });

  test("with gaeLambda 0 looks one token ahead", () => {
    const options = { gamma: 1, gaeLambda: 0 };
    const { advantages } = estimateAdvantages(floats(0, 1), floats(0.25, 0.5), options);
    expect([...advantages]).toEqual([0.25, 0.5]);
  });

  test.each(cases)("equals PyTorch in case %s", (name) => {
    const golden = readGolden("ppo", `${name}.safetensors`);
    const [, gamma, gaeLambda] = golden.get("settings")!.values as Float32Array;
    const [rewards, values] = [rowsOf(golden, "rewards"), rowsOf(golden, "values")];
    for (const [i, expected] of rowsOf(golden, "advantages").entries()) {
      const options = { gamma: gamma!, gaeLambda: gaeLambda! };
      const { advantages, returns } = estimateAdvantages(rewards[i]!, values[i]!, options);
      expect(largestDifference(advantages, expected)).toBeLessThan(5e-7);
      expect(largestDifference(returns, rowsOf(golden, "returns")[i]!)).toBeLessThan(5e-7);
    }
  });

  test("refuses rewards and values of different lengths", () => {
    const options = { gamma: 1, gaeLambda: 1 };
    expect(() => estimateAdvantages(floats(1, 2), floats(1), options)).toThrow(
      "2 rewards, 1 values",
    );
  });
});

describe("whiten", () => {
  test("divides by the sample standard deviation of the whole batch", () => {
    // mean of 1, 2, 3 is 2; sample variance (1 + 0 + 1) / 2 = 1
    const whitened = whiten([floats(1), floats(2, 3)]);
    expect(whitened.map((row) => row.length)).toEqual([1, 2]);
    expect(largestDifference([...whitened[0]!, ...whitened[1]!], [-1, 0, 1])).toBeLessThan(1e-7);
  });

  test("counts every token alike, so that a long response weighs more than a short one", () => {
    // 9 zeros and a 10: mean 1, variance (9 * 1 + 81) / 9 = 10; per response the mean would be 5
    const whitened = whiten([new Float32Array(9), floats(10)]);
    expect(whitened[0]![0]).toBeCloseTo(-1 / Math.sqrt(10), 6);
    expect(whitened[1]![0]).toBeCloseTo(9 / Math.sqrt(10), 6);
  });

  test("makes a single token and a batch without variance 0, not NaN", () => {
    expect(whiten([floats(3)])).toEqual([floats(0)]);
    expect(whiten([floats(0.5, 0.5), floats(0.5)])).toEqual([floats(0, 0), floats(0)]);
    expect(whiten([])).toEqual([]);
  });

  test("leaves its input as it was", () => {
    const batch = [floats(1, 2)];
    whiten(batch);
    expect(batch).toEqual([floats(1, 2)]);
  });

  test.each(cases)("equals PyTorch in case %s", (name) => {
    const golden = readGolden("ppo", `${name}.safetensors`);
    const whitened = whiten(rowsOf(golden, "advantages"));
    for (const [i, expected] of rowsOf(golden, "whitenedAdvantages").entries()) {
      expect(largestDifference(whitened[i]!, expected)).toBeLessThan(1e-6);
    }
  });
});

describe("standardise", () => {
  test("divides by the sample deviation and 1e-4", () => {
    // mean 2, sample variance (1 + 0 + 1) / 2 = 1
    const [low, middle, high] = standardise([1, 2, 3]);
    expect([low, middle, high]).toEqual([-1 / 1.0001, 0, 1 / 1.0001]);
  });

  test("is exactly 0 where all score the same, whatever the mean rounds to", () => {
    expect(standardise([0.1, 0.1, 0.1])).toEqual([0, 0, 0]); // their mean is 0.10000000000000002
    expect(standardise([1])).toEqual([0]);
  });
});

describe("leaveOneOut", () => {
  test("takes the mean of the others away", () => {
    // others of 1: (2 + 6) / 2 = 4; of 2: 3.5; of 6: 1.5
    expect(leaveOneOut([1, 2, 6])).toEqual([-3, -1.5, 4.5]);
  });

  test("has nothing to compare a single response with", () => {
    expect(leaveOneOut([1])).toEqual([0]);
  });
});
