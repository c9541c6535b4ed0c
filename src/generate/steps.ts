// The compiled steps of generation, and the key-value cache that they write in place: prefill reads prompts, copy gives what
// was read to other slots, decode samples the next few tokens of every slot.
import type { KvCacheDtype } from "../config.ts";
import { logProbabilityOf } from "../engine/kernels/kernels.ts";
import {
  attend,
  biasWhere,
  gatherWithoutGradient,
  greedyClasses,
  sampleClasses,
  writeRowsInPlace,
} from "../engine/ops.ts";
import { roundsToBf16 } from "../engine/products.ts";
import { attribute, backend, executeOp, type Tensor, tf, usesNativeOps } from "../engine/tf.ts";
import { Variable } from "../engine/variable.ts";
import { UserError } from "../errors.ts";
import { type Adapter, adapterNames, adapterScale } from "../model/adapter.ts";
import type { ModelConfig } from "../model/config.ts";
import { type Model, outputWeightName } from "../model/model.ts";
import { EMBEDDING, layerWeights } from "../model/modelWeights.ts";
import { windowOf } from "../model/slidingWindow.ts";
import {
  type Attention,
  causalAttention,
  hiddenStates,
  logits,
  rotationAt,
} from "../model/transformer.ts";
import { readWeights, type Weights } from "../model/weights.ts";

/**
 * Keys and values of all slots: per layer one matrix [slots * kvHeads * capacity / block, block * headDim]. A block of keys is
 * [headDim, block], one of values [block, headDim]. Numbers of bf16 are held two to a float32: the matrix has half the columns, and its
 * floats mean nothing by themselves. Our own op knows what they are, and blocks are copied whole.
 */
export interface Cache {
  readonly slots: number;
  readonly capacity: number;
  readonly dtype: KvCacheDtype;
  readonly block: number;
  readonly keys: readonly Variable[];
  readonly values: readonly Variable[];
}

/** Positions whose keys stand together on the CPU: kKeys in native/decode.cc. */
const KEYS = 16;

/** @throws UserError for bf16 on a GPU */
export function createCache(
  { layers, kvHeads, headDim }: ModelConfig,
  slots: number,
  capacity: number,
  dtype: KvCacheDtype = "float32",
  block = usesNativeOps ? KEYS : 1,
): Cache {
  if (dtype === "bf16" && !usesNativeOps)
    throw new UserError(
      "kvCacheDtype: expected float32, because keys and values of bf16 are for CPUs alone, found bf16 on a GPU",
    );
  const columns = block * headDim;
  const shape = [(slots * kvHeads * capacity) / block, dtype === "bf16" ? columns / 2 : columns];
  const make = (name: string) =>
    Array.from({ length: layers }, (_, i) => new Variable(`cache.${i}.${name}`, shape));
  return { slots, capacity, dtype, block, keys: make("keys"), values: make("values") };
}

/**
 * Places of blocks in a cache matrix.
 *
 * @param slots int32 [n] slot of each block
 * @param blocks int32 [n] which one of its slot it is
 * @returns int32 [n * kvHeads], heads innermost
 */
function cacheRows(config: ModelConfig, cache: Cache, slots: Tensor, blocks: Tensor): Tensor {
  const n = slots.shape[0]!;
  const { kvHeads } = config;
  const blocksPerHead = cache.capacity / cache.block;
  const int = (value: number) => tf.scalar(value, "int32");
  const first = tf.add(tf.mul(slots, int(kvHeads * blocksPerHead)), blocks);
  const heads = tf.mul(tf.range(0, kvHeads, 1, "int32"), int(blocksPerHead));
  return tf.reshape(tf.add(tf.reshape(first, [n, 1]), tf.reshape(heads, [1, kvHeads])), [
    n * kvHeads,
  ]);
}

/** The places of the first blocks of some slots: int32 [slots * blocks * kvHeads]. */
function firstRows(config: ModelConfig, cache: Cache, slots: Tensor, blocks: number): Tensor {
  return cacheRows(config, cache, ...grid(slots, blocks));
}

/** Each of some slots with each of the first numbers: int32 [slots * count] both. */
function grid(slots: Tensor, count: number): [slots: Tensor, numbers: Tensor] {
  const rows = slots.shape[0]!;
  const flat = (x: Tensor) => tf.reshape(tf.broadcastTo(x, [rows, count]), [rows * count]);
  const order = tf.reshape(tf.range(0, count, 1, "int32"), [1, count]);
  return [flat(tf.reshape(slots, [rows, 1])), flat(order)];
}

/**
 * Reads prompts into the cache.
 *
 * @param inputs tokens [rows, rowLength] of different prompts, -1 behind each; slots [rows] where each goes
 * @returns tensors to fetch, so that the writing happens
 */
export function prefillStep(model: Model, cache: Cache, inputs: readonly Tensor[]): Tensor[] {
  const prefill = usesNativeOps ? ownPrefill : batchedPrefill;
  return prefill(model, cache, inputs);
}

function ownPrefill(model: Model, cache: Cache, [tokens, slots]: readonly Tensor[]): Tensor[] {
  const [rows, rowLength] = tokens!.shape as [number, number];
  const flat = tf.reshape(tokens!, [rows * rowLength]);
  const unsampled = tf.zeros([0, rows * rowLength]);
  return llamaDecode(model, cache, 1, flat, ...grid(slots!, rowLength), unsampled);
}

/** The same by TensorFlow's ops: for GPUs. */
export function batchedPrefill(
  model: Model,
  cache: Cache,
  [tokens, slots]: readonly Tensor[],
): Tensor[] {
  const { config } = model;
  const [rows, rowLength] = tokens!.shape as [number, number];
  const [rowSlots, positions] = grid(slots!, rowLength);
  const places = cacheRows(config, cache, rowSlots, positions);
  const causal = causalAttention(config, positions, tf.fill([rows, rowLength], 0, "int32"));
  const written: Tensor[] = [];
  const attention: Attention = (queries, keys, values, layer) => {
    written.push(...writeCache(config, cache, layer, places, keys, values));
    return causal(queries, keys, values, layer);
  };
  const flat = tf.reshape(withoutEmpty(tokens!), [rows * rowLength]);
  hiddenStates(config, readWeights(model), flat, positions, () => attention);
  return touch(written);
}

/**
 * Copies the first keys and values of some slots to others.
 *
 * @param inputs sources [n] and targets [n], slots none of which is both; positions [length], of which only the shape counts: a multiple
 *   of the cache's block
 * @returns tensors to fetch, so that the writing happens
 */
export function copyStep(
  config: ModelConfig,
  cache: Cache,
  [sources, targets, positions]: readonly Tensor[],
): Tensor[] {
  const blocks = positions!.shape[0]! / cache.block;
  const from = firstRows(config, cache, sources!, blocks);
  const to = firstRows(config, cache, targets!, blocks);
  return touch(
    [...cache.keys, ...cache.values].map((variable) => {
      const matrix = variable.read();
      return writeRowsInPlace(matrix, to, gatherWithoutGradient(matrix, from));
    }),
  );
}

/**
 * Samples the next few tokens of every slot.
 *
 * @param temperature logits are divided by it; 0 is greedy, with log-probabilities as of 1
 * @param inputs lastTokens [slots], -1 in a slot without a sequence; positions [slots]; uniforms [steps, slots]
 * @returns tokens [steps, slots] and their log-probabilities; anything in a slot without a sequence
 */
export function decodeStep(
  model: Model,
  cache: Cache,
  temperature: number,
  inputs: readonly Tensor[],
): Tensor[] {
  const decode = usesNativeOps ? ownDecode : batchedDecode;
  return decode(model, cache, temperature, inputs);
}

function ownDecode(
  model: Model,
  cache: Cache,
  temperature: number,
  [lastTokens, positions, uniforms]: readonly Tensor[],
): Tensor[] {
  const slots = tf.range(0, cache.slots, 1, "int32");
  return llamaDecode(model, cache, temperature, lastTokens!, slots, positions!, uniforms!);
}

/** Names of all layers' weights that have so many axes: a list per role, in the order of the op's inputs. */
function weightsWith(axes: number, config: ModelConfig): string[][] {
  return layerWeights(config)
    .filter(({ shape }) => shape.length === axes)
    .map(({ name }) =>
      Array.from({ length: config.layers }, (_, layer) => `model.layers.${layer}.${name}`),
    );
}

/** The matrices that have an adapter, by their places among those of all layers. */
function adaptedMatrices(config: ModelConfig, adapter: Adapter | undefined) {
  const roles = weightsWith(2, config);
  const matrices = Array.from({ length: config.layers }, (_, layer) =>
    roles.map((names) => adapterNames(names[layer]!)),
  );
  return matrices
    .flat()
    .map((names, place) => ({ ...names, place }))
    .filter(({ a }) => adapter?.variables.has(a));
}

/**
 * Our own op for the CPU, native/decode.cc: gives tokens to the model, in the order of a sequence, and samples the next ones. Those of -1
 * are left out.
 *
 * @param tokens int32 [n]
 * @param slots int32 [n]
 * @param positions int32 [n]
 * @param uniforms [steps, n]; with 0 steps keys and values are written, and that is all
 * @returns tokens [steps, n] and their log-probabilities
 */
function llamaDecode(
  { config, parameters, adapter }: Model,
  cache: Cache,
  temperature: number,
  tokens: Tensor,
  slots: Tensor,
  positions: Tensor,
  uniforms: Tensor,
): Tensor[] {
  const read = (name: string) => parameters.get(name)!.readStored();
  const ofLayers = (axes: number) => weightsWith(axes, config).map((names) => names.map(read));
  const vectors = ofLayers(1).flat(); // norms and biases
  const adapted = adaptedMatrices(config, adapter);
  const rotation = rotationAt(config, tf.range(0, cache.capacity, 1, "int32"));
  const rotations = [rotation.cos, rotation.signedSin].map((x) =>
    tf.reshape(x, [cache.capacity, config.headDim]),
  );
  const windows = Array.from(
    { length: config.layers },
    (_, layer) => windowOf(config.slidingWindow, layer) ?? cache.capacity,
  );
  const inputs = [
    ...[read(EMBEDDING), read(outputWeightName(config))],
    ...ofLayers(2), // matrices
    vectors,
    read("model.norm.weight"),
    ...[cache.keys, cache.values].map((variables) =>
      variables.map((variable) => variable.readStored()),
    ),
    adapted.map(({ a }) => adapter!.variables.get(a)!.readStored()),
    adapted.map(({ b }) => adapter!.variables.get(b)!.readStored()),
    ...backend.getInputTensorIds([
      ...[tf.tensor1d(windows, "int32"), tokens, slots, positions, uniforms],
      ...rotations,
    ]),
  ];
  const attributes = [
    attribute.int("L", config.layers),
    attribute.int("V", vectors.length),
    attribute.int("M", adapted.length),
    attribute.int(
      "adapted",
      adapted.map(({ place }) => place),
    ),
    attribute.float("adapter_scale", adapter ? adapterScale(adapter.settings) : 1),
    attribute.type("W", parameters.get(EMBEDDING)!.type),
    attribute.float("temperature", temperature),
    attribute.float("epsilon", config.normEpsilon),
    attribute.bool("rounded", roundsToBf16()),
    attribute.bool("biased", config.qkvBias),
    attribute.bool("normed", config.qkNorm),
    attribute.bool("cached_bfloat16", cache.dtype === "bf16"),
    attribute.int("unrotated", config.noRopeLayers),
  ];
  return executeOp("LlamaDecode", attributes, inputs, 2).map((info) =>
    backend.createOutputTensor(info),
  );
}

/** The same by TensorFlow's ops: for GPUs. A slot without a sequence gets tokens, too. */
export function batchedDecode(
  model: Model,
  cache: Cache,
  temperature: number,
  [lastTokens, positions, uniforms]: readonly Tensor[],
): Tensor[] {
  const { config } = model;
  const [steps, count] = uniforms!.shape as [number, number];
  const weights = readWeights(model);
  const sampled: Tensor[] = [];
  const logprobs: Tensor[] = [];
  let tokens = withoutEmpty(lastTokens!);
  for (let step = 0; step < steps; step++) {
    const at = tf.add(positions!, tf.scalar(step, "int32"));
    const attention = attentionToCache(config, cache, at);
    const hidden = hiddenStates(config, weights, tokens, at, () => attention);
    const chance = tf.reshape(tf.slice(uniforms!, [step, 0], [1, count]), [count]);
    const [next, logprob] = sampleNext(config, weights, hidden, chance, temperature);
    sampled.push(next);
    logprobs.push(logprob);
    tokens = next;
  }
  return [tf.stack(sampled), tf.stack(logprobs)];
}

/** Writes one new token per slot to the cache; its attention to everything that its slot holds up to it. */
function attentionToCache(config: ModelConfig, cache: Cache, positions: Tensor): Attention {
  const { kvHeads, heads, headDim } = config;
  const count = positions.shape[0]!;
  const perSlot = (matrix: Tensor) => tf.reshape(matrix, [count, kvHeads, cache.capacity, headDim]);
  return (queries, keys, values, layer) => {
    const places = cacheRows(config, cache, tf.range(0, count, 1, "int32"), positions);
    const [heldKeys, heldValues] = writeCache(config, cache, layer, places, keys, values);
    const window = windowOf(config.slidingWindow, layer);
    const held = [perSlot(heldKeys), perSlot(heldValues)] as const;
    const mixed = cachedAttention(queries, ...held, positions, window);
    return tf.reshape(mixed, [count, heads * headDim]);
  };
}

/** Attention of one token per slot to what its slot holds up to it, or to the last of that within a window. */
function cachedAttention(
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  positions: Tensor,
  window: number | null,
): Tensor {
  const [count, heads, headDim] = queries.shape as [number, number, number];
  const [, kvHeads, capacity] = keys.shape as [number, number, number];
  const order = tf.reshape(tf.range(0, capacity, 1, "int32"), [1, capacity]);
  const last = tf.reshape(positions, [count, 1]);
  const notLater = tf.lessEqual(order, last);
  const isNear = (window: number) => tf.greater(order, tf.sub(last, tf.scalar(window, "int32")));
  const allowed = window === null ? notLater : tf.logicalAnd(notLater, isNear(window));
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

/** Some token where there is none. */
function withoutEmpty(tokens: Tensor): Tensor {
  return tf.maximum(tokens, tf.scalar(0, "int32"));
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
  temperature: number,
): [tokens: Tensor, logprobs: Tensor] {
  const raw = logits(config, weights, hidden);
  const isGreedy = temperature === 0;
  const scaled = isGreedy ? raw : tf.div(raw, tf.scalar(temperature));
  const tokens = isGreedy ? greedyClasses(scaled) : sampleClasses(scaled, uniforms);
  return [tokens, logProbabilityOf(scaled, tokens)];
}
