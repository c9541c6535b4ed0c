// The compiled steps of generation, and the key-value cache that they write in place: prefill reads prompts, copy gives what
// was read to other slots, decode samples the next few tokens of every slot.
import {
  attend,
  biasWhere,
  cachedAttention,
  gatherWithoutGradient,
  greedyClasses,
  logProbabilityOf,
  sampleClasses,
  writeRowsInPlace,
} from "../engine/ops.ts";
import { backend, type Tensor, tf } from "../engine/tf.ts";
import { Variable } from "../engine/variable.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Model } from "../model/model.ts";
import {
  type Attention,
  causalAttention,
  hiddenStates,
  logits,
  readWeights,
  type Weights,
} from "../model/transformer.ts";

/** Keys and values of all slots: per layer one matrix [slots * kvHeads * capacity, headDim]. */
export interface Cache {
  readonly slots: number;
  readonly capacity: number;
  readonly keys: readonly Variable[];
  readonly values: readonly Variable[];
}

export function createCache(
  { layers, kvHeads, headDim }: ModelConfig,
  slots: number,
  capacity: number,
): Cache {
  const shape = [slots * kvHeads * capacity, headDim];
  const make = (name: string) =>
    Array.from({ length: layers }, (_, i) => new Variable(`cache.${i}.${name}`, shape));
  return { slots, capacity, keys: make("keys"), values: make("values") };
}

/**
 * Places of tokens in a cache matrix.
 *
 * @param slots int32 [n] slot of each token
 * @param positions int32 [n] position of each token
 * @returns int32 [n * kvHeads], heads innermost
 */
function cacheRows(config: ModelConfig, cache: Cache, slots: Tensor, positions: Tensor): Tensor {
  const n = slots.shape[0]!;
  const { kvHeads } = config;
  const int = (value: number) => tf.scalar(value, "int32");
  const first = tf.add(tf.mul(slots, int(kvHeads * cache.capacity)), positions);
  const heads = tf.mul(tf.range(0, kvHeads, 1, "int32"), int(cache.capacity));
  return tf.reshape(tf.add(tf.reshape(first, [n, 1]), tf.reshape(heads, [1, kvHeads])), [
    n * kvHeads,
  ]);
}

/** The places of positions 0 to length - 1 in some slots: int32 [slots * length * kvHeads]. */
function firstRows(config: ModelConfig, cache: Cache, slots: Tensor, length: number): Tensor {
  const count = slots.shape[0]!;
  const grid = (x: Tensor) => tf.reshape(tf.broadcastTo(x, [count, length]), [count * length]);
  const order = tf.reshape(tf.range(0, length, 1, "int32"), [1, length]);
  return cacheRows(config, cache, grid(tf.reshape(slots, [count, 1])), grid(order));
}

/**
 * Reads prompts into the cache.
 *
 * @param inputs tokens [rows, rowLength] of different prompts; slots [rows] where each goes
 * @returns tensors to fetch, so that the writing happens
 */
export function prefillStep(
  model: Model,
  cache: Cache,
  [tokens, slots]: readonly Tensor[],
): Tensor[] {
  const { config } = model;
  const [rows, rowLength] = tokens!.shape as [number, number];
  const places = firstRows(config, cache, slots!, rowLength);
  const causal = causalAttention(config, tf.fill([rows, rowLength], 0, "int32"));
  const written: Tensor[] = [];
  const attention: Attention = (queries, keys, values, layer) => {
    written.push(...writeCache(config, cache, layer, places, keys, values));
    return causal(queries, keys, values, layer);
  };
  const order = tf.reshape(tf.range(0, rowLength, 1, "int32"), [1, rowLength]);
  const flat = (x: Tensor) => tf.reshape(x, [rows * rowLength]);
  const positions = flat(tf.broadcastTo(order, [rows, rowLength]));
  hiddenStates(config, readWeights(model.parameters), flat(tokens!), positions, attention);
  return touch(written);
}

/**
 * Copies the first keys and values of some slots to others.
 *
 * @param inputs sources [n] and targets [n], slots none of which is both; positions [length], of which only the shape counts
 * @returns tensors to fetch, so that the writing happens
 */
export function copyStep(
  config: ModelConfig,
  cache: Cache,
  [sources, targets, positions]: readonly Tensor[],
): Tensor[] {
  const length = positions!.shape[0]!;
  const from = firstRows(config, cache, sources!, length);
  const to = firstRows(config, cache, targets!, length);
  return touch(
    [...cache.keys, ...cache.values].map((variable) => {
      const matrix = variable.read();
      return writeRowsInPlace(matrix, to, gatherWithoutGradient(matrix, from));
    }),
  );
}

/**
 * @param inputs lastTokens [slots], positions [slots], uniforms [steps, slots], temperature []
 * @returns tokens [steps, slots] and their log-probabilities
 */
export function decodeStep(
  model: Model,
  cache: Cache,
  isGreedy: boolean,
  [lastTokens, positions, uniforms, temperature]: readonly Tensor[],
): Tensor[] {
  const { config } = model;
  const [steps, count] = uniforms!.shape as [number, number];
  const weights = readWeights(model.parameters);
  const sampled: Tensor[] = [];
  const logprobs: Tensor[] = [];
  let tokens = lastTokens!;
  for (let step = 0; step < steps; step++) {
    const at = tf.add(positions!, tf.scalar(step, "int32"));
    const attention = attentionToCache(config, cache, at);
    const hidden = hiddenStates(config, weights, tokens, at, attention);
    const chance = tf.reshape(tf.slice(uniforms!, [step, 0], [1, count]), [count]);
    const [next, logprob] = sampleNext(config, weights, hidden, chance, temperature!, isGreedy);
    sampled.push(next!);
    logprobs.push(logprob!);
    tokens = next!;
  }
  return [tf.stack(sampled), tf.stack(logprobs)];
}

/** Writes one new token per slot to the cache; its attention to everything that its slot holds up to it. */
function attentionToCache(config: ModelConfig, cache: Cache, positions: Tensor): Attention {
  const { kvHeads, heads, headDim } = config;
  const count = positions.shape[0]!;
  const perSlot = (matrix: Tensor) => tf.reshape(matrix, [count, kvHeads, cache.capacity, headDim]);
  const onCpu: Attention = (queries, keys, values, layer) => {
    const held = [cache.keys, cache.values].map((all) => perSlot(all[layer]!.read()));
    return cachedAttention(queries, keys, values, held[0]!, held[1]!, positions);
  };
  const onGpu: Attention = (queries, keys, values, layer) => {
    const places = cacheRows(config, cache, tf.range(0, count, 1, "int32"), positions);
    const held = writeCache(config, cache, layer, places, keys, values).map(perSlot);
    return batchedCachedAttention(queries, held[0]!, held[1]!, positions);
  };
  const attention = backend.isUsingGpuDevice ? onGpu : onCpu;
  return (...inputs) => tf.reshape(attention(...inputs), [count, heads * headDim]);
}

/** As cachedAttention, but of tokens that were written before, by batched products over the whole capacity: for GPUs. */
export function batchedCachedAttention(
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  positions: Tensor,
): Tensor {
  const [count, heads, headDim] = queries.shape as [number, number, number];
  const [, kvHeads, capacity] = keys.shape as [number, number, number];
  const order = tf.reshape(tf.range(0, capacity, 1, "int32"), [1, capacity]);
  const allowed = tf.lessEqual(order, tf.reshape(positions, [count, 1]));
  const bias = tf.reshape(biasWhere(allowed), [count, 1, 1, capacity]);
  const grouped = tf.reshape(queries, [count, kvHeads, heads / kvHeads, headDim]);
  return tf.reshape(attend(grouped, keys, values, bias), [count, heads, headDim]);
}

/** Writes keys and values [tokens, kvHeads, headDim] at their places; returns the layer's two whole matrices. */
function writeCache(
  { headDim }: ModelConfig,
  cache: Cache,
  layer: number,
  places: Tensor,
  keys: Tensor,
  values: Tensor,
): [keys: Tensor, values: Tensor] {
  const write = (matrix: Variable, rows: Tensor) =>
    writeRowsInPlace(matrix.read(), places, tf.reshape(rows, [places.shape[0]!, headDim]));
  return [write(cache.keys[layer]!, keys), write(cache.values[layer]!, values)];
}

/** One number out of each tensor, so that the op that made it runs although nothing reads its result. */
function touch(tensors: readonly Tensor[]): Tensor[] {
  return tensors.map((tensor) => tf.slice(tensor, [0, 0], [1, 1]));
}

function sampleNext(
  config: ModelConfig,
  weights: Weights,
  hidden: Tensor,
  uniforms: Tensor,
  temperature: Tensor,
  isGreedy: boolean,
): [tokens: Tensor, logprobs: Tensor] {
  const raw = logits(config, weights, hidden);
  const scaled = isGreedy ? raw : tf.div(raw, temperature);
  const tokens = isGreedy ? greedyClasses(scaled) : sampleClasses(scaled, uniforms);
  return [tokens, logProbabilityOf(scaled, tokens)];
}
