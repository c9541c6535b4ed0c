// Loss and gradients of one global batch, microbatch by microbatch.
import { packSequences, type Sequence, splitByTokens } from "../data/batch.ts";
import { compile } from "../engine/compile.ts";
import type { AdamW } from "../engine/optimizer.ts";
import { take, tf } from "../engine/tf.ts";
import type { Model } from "../model/model.ts";
import { batchTensors, predictingStates, responseLogprobs } from "../model/score.ts";
import { readWeights } from "../model/transformer.ts";
import { crossEntropy } from "./loss.ts";

export interface Backward {
  /**
   * Adds the batch's gradients to what the optimizer has gathered.
   *
   * @returns the mean loss over all completion tokens of the batch
   */
  (batch: readonly Sequence[]): number;
  dispose(): void;
}

export function createBackward(
  model: Model,
  optimizer: AdamW,
  { microBatchTokens }: { readonly microBatchTokens: number },
): Backward {
  const backward = compile("sft", (...inputs) => {
    const weights = readWeights(model.parameters);
    const loss = () => {
      const states = predictingStates(model.config, weights, inputs);
      return crossEntropy(responseLogprobs(model.config, weights, states, inputs[4]!), inputs[5]!);
    };
    const names = [...weights.keys()];
    const { value, grads } = tf.engine().gradients(loss, [...weights.values()]);
    optimizer.accumulate(new Map(names.map((name, i) => [name, grads[i]!])));
    return [value];
  });

  const run = (batch: readonly Sequence[]): number => {
    const lossTokens = batch.reduce((sum, { response }) => sum + response.length, 0);
    let loss = 0;
    for (const part of splitByTokens(batch, microBatchTokens)) {
      const packed = packSequences(part, microBatchTokens);
      const weights = new Float32Array(packed.targets.length);
      weights.fill(1 / lossTokens, 0, packed.predictions);
      const inputs = [...batchTensors(packed), tf.tensor1d(weights)];
      loss += take(backward(...inputs))[0]![0]!;
      tf.dispose(inputs);
    }
    return loss;
  };
  return Object.assign(run, { dispose: () => backward.dispose() });
}
