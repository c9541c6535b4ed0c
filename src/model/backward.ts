// Loss and gradients of one global batch, microbatch by microbatch: what every stage that learns by cross-entropy shares.
import { compileNamed } from "../engine/compile.ts";
import type { AdamW } from "../engine/optimizer.ts";
import { readAndDispose, type Tensor, tf } from "../engine/tf.ts";
import type { Variable } from "../engine/variable.ts";
import { gather, shareOf } from "../ranks.ts";
import {
  inputLength,
  type PackedBatch,
  packSequences,
  type Sequence,
  splitByTokens,
} from "./batch.ts";
import { crossEntropy } from "./loss.ts";
import { type Model, trainedVariables } from "./model.ts";
import { type BatchTensors, batchTensors, predictingStates, responseLogprobs } from "./score.ts";
import { readWeights, type Weights } from "./weights.ts";

export interface Backward {
  /**
   * Adds the gradients of this rank's share of the batch to what the optimizer has gathered.
   *
   * @returns the mean loss over all predictions of the whole batch
   */
  (batch: readonly Sequence[]): number;
  dispose(): void;
}

export interface BackwardOptions {
  /** Most tokens in one forward and backward pass. */
  readonly microBatchTokens: number;
  /** Whether layers are computed again in the backward pass. */
  readonly recompute?: boolean | undefined;
}

/** A microbatch whose losses add up to the global batch's. */
export interface WeightedBatch extends BatchTensors {
  /** [predictions] 1 / (predictions of the global batch); 0 for padding. */
  readonly predictionWeights: Tensor;
}

/**
 * @param name appears in TensorFlow's error messages
 * @param heads trained beside the model, or on it
 * @param pack makes a microbatch: what is predicted, and where
 * @param lossOf a microbatch
 */
export function createBackward(
  name: string,
  model: Model,
  heads: ReadonlyMap<string, Variable>,
  optimizer: AdamW,
  { microBatchTokens, recompute }: BackwardOptions,
  pack: (part: readonly Sequence[], maxTokens: number) => PackedBatch,
  lossOf: (weights: Weights, inputs: WeightedBatch) => Tensor,
): Backward {
  const backward = compileNamed(name, (inputs: WeightedBatch) => {
    const weights = readWeights(model, { heads, recompute });
    const names = [...trainedVariables(model).keys(), ...heads.keys()];
    const loss = () => lossOf(weights, inputs);
    const { value, grads } = tf.engine().gradients(
      loss,
      names.map((name) => weights.tensors.get(name)!),
    );
    optimizer.accumulate(new Map(names.map((name, i) => [name, grads[i]!])));
    return { loss: value };
  });
  const run = (batch: readonly Sequence[]): number => {
    const parts = splitByTokens(shareOf(batch, inputLength), microBatchTokens).map((part) =>
      pack(part, microBatchTokens),
    );
    const counts = gather(parts.map((part) => part.predictions));
    const predictions = sumOf(counts);
    const losses = parts.map((part) => {
      const weights = new Float32Array(part.targets.length);
      weights.fill(1 / predictions, 0, part.predictions);
      const inputs = { ...batchTensors(part), predictionWeights: tf.tensor1d(weights) };
      const loss = readAndDispose([backward(inputs).loss])[0]![0]!;
      tf.dispose(Object.values(inputs));
      return loss;
    });
    return sumOf(gather(losses));
  };
  return Object.assign(run, { dispose: () => backward.dispose() });
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

/** Cross-entropy of the response tokens, EOS included. */
export function createResponseBackward(
  name: string,
  model: Model,
  optimizer: AdamW,
  options: BackwardOptions,
): Backward {
  return createBackward(
    name,
    model,
    new Map(),
    optimizer,
    options,
    packSequences,
    (weights, inputs) => {
      const states = predictingStates(model.config, weights, inputs);
      const logprobs = responseLogprobs(model.config, weights, states, inputs.targets);
      return crossEntropy(logprobs, inputs.predictionWeights);
    },
  );
}
