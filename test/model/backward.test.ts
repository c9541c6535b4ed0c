import { expect, test } from "vitest";
import { AdamW } from "../../src/engine/optimizer.ts";
import { linearSchedule } from "../../src/engine/schedule.ts";
import { createResponseBackward } from "../../src/model/backward.ts";
import type { Sequence } from "../../src/model/batch.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { goldenPath, largestDifference, readGolden, rowOf } from "../support/golden.ts";

// Expected values: PyTorch and transformers, scripts/golden/sft.py.
const golden = readGolden("sft", "golden.safetensors");

/** The rows of one step; the response is what the loss mask covers. */
function sequencesOf(step: number): Sequence[] {
  const rows = golden.get("lengths")!.shape[1]!;
  return Array.from({ length: rows }, (_, row) => {
    const index = step * rows + row;
    const tokens = rowOf(golden.get("tokens")!, index, golden.get("lengths")!.values[index]!);
    const prompt = rowOf(golden.get("lossMask")!, index).indexOf(1);
    return { prompt: tokens.slice(0, prompt), response: tokens.slice(prompt) };
  });
}

const steps = [0, 1, 2, 3, 4].map(sequencesOf);

/** One update per global batch, which is cut into microbatches of at most so many tokens. */
function train(batches: readonly (readonly Sequence[])[], microBatchTokens: number) {
  const model = loadModel(goldenPath("models", "multi-head"));
  const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 };
  const optimizer = new AdamW([{ variables: [...model.parameters.values()] }], options);
  const backward = createResponseBackward("sft", model, optimizer, { microBatchTokens });
  const losses: number[] = [];
  const norms: number[] = [];
  batches.forEach((batch, step) => {
    losses.push(backward(batch));
    norms.push(optimizer.update([1e-3 * linearSchedule(step, 2, 20)]));
  });
  const final = new Map([...model.parameters].map(([name, variable]) => [name, variable.values()]));
  optimizer.dispose();
  backward.dispose();
  disposeModel(model);
  return { losses, norms, final };
}

test("five steps equal PyTorch's: losses, norms and final weights", () => {
  const { losses, norms, final } = train(steps, 10_000);
  expect(largestDifference(losses, golden.get("losses")!.values)).toBeLessThan(1e-5);
  expect(largestDifference(norms, golden.get("gradNorms")!.values)).toBeLessThan(1e-4);
  for (const [name, values] of final) {
    expect(largestDifference(values, golden.get(`final.${name}`)!.values), name).toBeLessThan(1e-5);
  }
});

test("batches of 8 give the same weights at once and one sequence at a time", () => {
  const batches = [0, 1, 2].map((step) => [...steps[step]!, ...steps[step + 1]!]);
  const whole = train(batches, 10_000);
  const single = train(batches, 1);
  expect(batches[0]).toHaveLength(8);
  for (const [name, values] of whole.final) {
    expect(largestDifference(single.final.get(name)!, values), name).toBeLessThan(1e-5);
  }
});
