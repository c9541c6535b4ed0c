// Log-probabilities and values of given responses, computed over packed batches.
import { compileNamed, type Tensors } from "../engine/compile.ts";
import { logProbabilityOf } from "../engine/kernels/kernels.ts";
import { readAndDispose, type Tensor, tf } from "../engine/tf.ts";
import type { Variable } from "../engine/variable.ts";
import { gather, shareOf } from "../ranks.ts";
import {
  inputLength,
  type PackedBatch,
  packSequences,
  type Sequence,
  splitByTokens,
  splitPredictions,
} from "./batch.ts";
import type { ModelConfig } from "./config.ts";
import type { Model } from "./model.ts";
import { causalAttention, hiddenStates, logits } from "./transformer.ts";
import { responseValues } from "./valueHead.ts";
import { readWeights, type Weights } from "./weights.ts";

/** What compiled steps take of a packed batch. */
export interface BatchTensors extends Tensors {
  /** int32 [tokens] */
  readonly tokens: Tensor;
  /** int32 [tokens] */
  readonly positions: Tensor;
  /** int32 [2, rows, rowLength]: segments, and the contexts that they see besides themselves. */
  readonly visible: Tensor;
  /** int32 [predictions] which of the tokens predict. */
  readonly places: Tensor;
  /** int32 [predictions] */
  readonly targets: Tensor;
}

export function batchTensors(batch: PackedBatch): BatchTensors {
  const { rows, rowLength } = batch;
  const visible = new Int32Array([...batch.segments, ...batch.contexts]);
  return {
    tokens: tf.tensor1d(batch.tokens, "int32"),
    positions: tf.tensor1d(batch.positions, "int32"),
    visible: tf.tensor3d(visible, [2, rows, rowLength], "int32"),
    places: tf.tensor1d(batch.places, "int32"),
    targets: tf.tensor1d(batch.targets, "int32"),
  };
}

/** Hidden states at the places of a packed batch that predict a response token: [predictions, dim]. */
export function predictingStates(
  config: ModelConfig,
  weights: Weights,
  { tokens, positions, visible, places }: BatchTensors,
): Tensor {
  const makeAttention = () => {
    const [segments, contexts] = tf.unstack(visible);
    return causalAttention(config, positions, segments!, contexts!);
  };
  return hiddenStates(config, weights, tokens, positions, makeAttention, places);
}

/** Natural log-probabilities of the response tokens: [predictions]. */
export function responseLogprobs(
  config: ModelConfig,
  weights: Weights,
  states: Tensor,
  targets: Tensor,
): Tensor {
  return logProbabilityOf(logits(config, weights, states), targets);
}

export interface Scores {
  /** One natural log-probability per response token, per sequence. */
  readonly logprobs: Float32Array[];
  /** One value per response token, per sequence; empty arrays without a value head. */
  readonly values: Float32Array[];
}

export interface Scorer {
  /** Each rank scores its share; all get all scores. @param maxTokens size of the largest batch that is computed at once */
  score(sequences: readonly Sequence[], maxTokens: number): Scores;
  dispose(): void;
}

/** Scores responses with a model's current weights and, if given, its value head. */
export function createScorer(model: Model, valueHead?: ReadonlyMap<string, Variable>): Scorer {
  const { config } = model;
  const run = compileNamed("score", (batch: BatchTensors): Tensors => {
    const weights = readWeights(model, { heads: valueHead });
    const states = predictingStates(config, weights, batch);
    const logprobs = responseLogprobs(config, weights, states, batch.targets);
    return { logprobs, ...(valueHead && { values: responseValues(weights, states) }) };
  });
  const scoreBatch = (sequences: readonly Sequence[], maxTokens: number): Scores => {
    const inputs = batchTensors(packSequences(sequences, maxTokens));
    const { logprobs, values } = run(inputs);
    const split = (predictions: Tensor) =>
      splitPredictions(sequences, readAndDispose([predictions])[0]!);
    tf.dispose(Object.values(inputs));
    return {
      logprobs: split(logprobs!),
      values: values ? split(values) : sequences.map(() => new Float32Array()),
    };
  };
  return {
    score: (sequences, maxTokens) => {
      const own = splitByTokens(shareOf(sequences, inputLength), maxTokens);
      const parts = gather(own.map((part) => scoreBatch(part, maxTokens)));
      return { logprobs: parts.flatMap((p) => p.logprobs), values: parts.flatMap((p) => p.values) };
    },
    dispose: () => run.dispose(),
  };
}
