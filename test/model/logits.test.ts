import { expect, test } from "vitest";
import { liveTensors } from "../../src/engine/tf.ts";
import { compareLogits, sequenceLogits } from "../../src/model/logits.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { goldenPath, largestDifference, readGolden, rowOf } from "../support/golden.ts";

test("sequenceLogits gives transformers' logits, for sequences of any length, and leaves no tensors", () => {
  const golden = readGolden("models", "grouped-query", "golden.safetensors");
  const model = loadModel(goldenPath("models", "grouped-query"));
  const { vocabSize } = model.config;
  const lengths = [...golden.get("lengths")!.values];
  const sequences = lengths.map((length, row) => rowOf(golden.get("tokens")!, row, length));
  const before = liveTensors();
  const actual = sequenceLogits(model, sequences);
  expect(liveTensors()).toBe(before);
  const { shape, values } = golden.get("logits")!;
  lengths.forEach((length, row) => {
    const begin = row * shape[1]! * vocabSize;
    const expected = values.subarray(begin, begin + length * vocabSize);
    expect(largestDifference(actual[row]!, expected)).toBeLessThan(1e-4);
  });
  disposeModel(model);
});

test("compareLogits gives largest difference, mean divergence and agreement over all positions", () => {
  // softmax: (1/4, 3/4) and (1/2, 1/2) at the first position, the same at the second.
  const first = [Float32Array.of(0, Math.log(3), 5, 7)];
  const second = [Float32Array.of(2, 2, 5, 7)];
  const { meanKl, ...rest } = compareLogits(first, second, 2);
  expect(rest).toEqual({ positions: 2, maxDifference: 2, agreement: 1 / 2 });
  const kl = 0.25 * Math.log(0.25 / 0.5) + 0.75 * Math.log(0.75 / 0.5); // 0.1308
  expect(meanKl).toBeCloseTo(kl / 2, 6);
});

test("compareLogits finds no difference to itself, even where exp overflows", () => {
  const logits = [Float32Array.of(1000, -1000, 3), Float32Array.of(0, 0, 0)];
  const same = { positions: 2, maxDifference: 0, meanKl: 0, agreement: 1 };
  expect(compareLogits(logits, logits, 3)).toEqual(same);
});
