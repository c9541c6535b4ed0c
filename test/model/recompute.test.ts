// Layers that are computed again in the backward pass: nothing that training computes may differ.
import { expect, test } from "vitest";
import { AdamW } from "../../src/engine/optimizer.ts";
import { liveTensors } from "../../src/engine/tf.ts";
import { createResponseBackward } from "../../src/model/backward.ts";
import { disposeModel, loadModel, trainedVariables } from "../../src/model/model.ts";
import { Rng } from "../../src/rng.ts";
import { goldenPath } from "../support/golden.ts";

const rng = Rng.named(1, "tokens");
const tokens = (count: number) => Array.from({ length: count }, () => rng.integer(59));
const shared = tokens(7);
const batch = [
  { prompt: shared, response: tokens(9) },
  { prompt: shared, response: tokens(4) },
  { prompt: tokens(3), response: tokens(12) },
];

/** Loss and gradients of a batch, the latter as AdamW's first moments. */
function backwardOf(folder: string, recompute: boolean) {
  const model = loadModel(folder);
  const optimizer = new AdamW([{ variables: [...trainedVariables(model).values()] }], {
    ...{ beta1: 0, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1e9 },
  });
  const options = { microBatchTokens: 10_000, recompute };
  const backward = createResponseBackward("sft", model, optimizer, options);
  const loss = backward(batch);
  const norm = optimizer.update([0]);
  const gradients = [...optimizer.moments()].map(([name, moment]) => [name, moment.values()]);
  for (const part of [backward, optimizer]) part.dispose();
  disposeModel(model);
  return { loss, norm, gradients };
}

test.each([
  ["a whole model", goldenPath("models", "grouped-query")],
  ["a model of bf16", goldenPath("models", "sharded-bf16")],
  ["an adapter", goldenPath("adapter", "all-matrices")],
  ["biases, and a window in one layer", goldenPath("models", "qwen2-window")],
  ["norms of queries and keys", goldenPath("models", "qwen3")],
  ["a layer without rotation", goldenPath("models", "smollm3-window")],
])("%s has the same loss and gradients, bit for bit", (_, folder) => {
  const live = liveTensors();
  const [kept, again] = [backwardOf(folder, false), backwardOf(folder, true)];
  expect(kept.norm).toBeGreaterThan(0.1);
  expect(again).toEqual(kept);
  expect(liveTensors()).toBe(live);
});
