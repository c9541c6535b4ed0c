import { describe, expect, test } from "vitest";
import {
  expectedCalibrationError,
  meanLoss,
  type Prediction,
  reliabilityTable,
  summarisePredictions,
} from "../../src/rerank/calibration.ts";

const predictions = (...pairs: [probability: number, correct: boolean][]): Prediction[] =>
  pairs.map(([probability, correct]) => ({ probability, correct }));

describe("reliabilityTable", () => {
  const given = predictions([0.62, true], [0.68, false], [0.65, true], [0, false], [1, true]);

  test("has mean probability and share of right ones per tenth, worked by hand", () => {
    const table = reliabilityTable(given);
    expect(table.map(({ count }) => count)).toEqual([1, 0, 0, 0, 0, 0, 3, 0, 0, 1]);
    expect(table[6]).toMatchObject({ from: 0.6, to: 0.7 });
    expect(table[6]!.meanProbability).toBeCloseTo(0.65, 12); // (0.62 + 0.68 + 0.65) / 3
    expect(table[6]!.correctFraction).toBeCloseTo(2 / 3, 12);
    expect(table[1]).toMatchObject({ meanProbability: null, correctFraction: null });
    expect(table[9]).toMatchObject({ from: 0.9, to: 1, meanProbability: 1, correctFraction: 1 });
  });

  test("a limit between two bins belongs to the upper one", () => {
    const table = reliabilityTable(predictions([0.5, true], [0.1, true]));
    expect(table.flatMap(({ count }, bin) => (count > 0 ? [bin] : []))).toEqual([1, 5]);
  });

  test("expectedCalibrationError is its mean gap, weighted by count", () => {
    // |0.65 - 2/3| of 3, 0 of 1 and 0 of 1, over 5
    const error = expectedCalibrationError(reliabilityTable(given));
    expect(error).toBeCloseTo((3 * (2 / 3 - 0.65)) / 5, 12);
  });
});

describe("summarisePredictions", () => {
  test("gives accuracy, Brier score and what the majority would reach, worked by hand", () => {
    expect(
      summarisePredictions(predictions([0.9, true], [0.6, false], [0.2, false], [0.3, true])),
    ).toEqual({
      classifierAccuracy: 0.5, // the first and the third
      majorityAccuracy: 0.5,
      correctFraction: 0.5,
      brierScore: expect.closeTo((0.01 + 0.36 + 0.04 + 0.49) / 4, 12),
    });
  });

  test("the majority may be the wrong ones, or the right ones", () => {
    const of = (...labels: boolean[]) =>
      summarisePredictions(labels.map((correct) => ({ probability: 0.5, correct })));
    expect(of(false, false, false, true).majorityAccuracy).toBe(0.75);
    expect(of(true, true, false).majorityAccuracy).toBeCloseTo(2 / 3, 12);
  });
});

describe("meanLoss", () => {
  test("is -log softmax of the label, worked by hand", () => {
    // logits 0 and ln 3: probabilities 1/4 and 3/4
    const logits = Float32Array.of(0, Math.log(3), 0, Math.log(3));
    expect(meanLoss(logits, [true, true])).toBeCloseTo(Math.log(4 / 3), 6);
    expect(meanLoss(logits, [true, false])).toBeCloseTo((Math.log(4 / 3) + Math.log(4)) / 2, 6);
  });

  test("stays finite where the probability of the label is 0 in float32", () => {
    expect(meanLoss(Float32Array.of(500, -500), [true])).toBe(1000);
    expect(meanLoss(Float32Array.of(500, -500), [false])).toBe(0);
  });
});
