// The LLaMA: Touvron et al., arXiv 2302.13971, as Hugging Face's LlamaForCausalLM computes it in float32, and what its relatives
// (families.ts) do otherwise.
//
// Activations are matrices of one row per token. What training and generation do differently is only where attention finds its
// keys and values, so that is a parameter.
import {
  attend,
  biasWhere,
  gatherRows,
  packedAttention,
  rmsNorm,
  rotate,
  swiGlu,
} from "../engine/ops.ts";
import { backend, type Tensor, tf } from "../engine/tf.ts";
import type { ModelConfig } from "./config.ts";
import { outputWeightName } from "./model.ts";
import { ropeInverseFrequencies } from "./ropeFrequencies.ts";
import { windowOf } from "./slidingWindow.ts";
import type { Weights } from "./weights.ts";

/**
 * Attention of one layer over whatever keys and values there are.
 *
 * @param queries [tokens, heads, headDim], rotated
 * @param keys [tokens, kvHeads, headDim], rotated
 * @param values [tokens, kvHeads, headDim]
 * @returns [tokens, heads * headDim]
 */
export type Attention = (queries: Tensor, keys: Tensor, values: Tensor, layer: number) => Tensor;

/** What all layers of a step have in common. */
interface Context {
  readonly rotation: Rotation;
  readonly attention: Attention;
}

/** Rotations by position: [tokens, 1, headDim] each. */
interface Rotation {
  readonly cos: Tensor;
  readonly signedSin: Tensor;
}

/**
 * The hidden state of every token, or of some, after the last norm.
 *
 * @param tokens int32 [tokens]
 * @param positions int32 [tokens], from 0 at a sequence's first token
 * @param makeAttention is called anew where layers are computed again; it may use what outlives the forward pass: a step's inputs
 * @param places int32 [n] the tokens whose states are wanted: the others end with the last layer's attention, which reads them
 * @returns [tokens, dim] or [n, dim]
 */
export function hiddenStates(
  config: ModelConfig,
  weights: Weights,
  tokens: Tensor,
  positions: Tensor,
  makeAttention: () => Attention,
  places?: Tensor,
): Tensor {
  const makeContext = () => ({
    rotation: rotationAt(config, positions),
    attention: makeAttention(),
  });
  const context = makeContext();
  let x = weights.embed(tokens);
  for (let layer = 0; layer < config.layers; layer++) {
    const wanted = layer === config.layers - 1 ? places : undefined;
    x = weights.layer(layer, x, (x, weights, isAgain) =>
      layerStates(config, weights, layer, x, isAgain ? makeContext() : context, wanted),
    );
  }
  return rmsNorm(x, weights.vector("model.norm.weight"), config.normEpsilon);
}

/** @param x [tokens, dim] @returns [tokens, dim], or [n, dim] of the places that are wanted */
function layerStates(
  config: ModelConfig,
  weights: Weights,
  layer: number,
  x: Tensor,
  { rotation, attention }: Context,
  places: Tensor | undefined,
): Tensor {
  const at = (name: string) => `model.layers.${layer}.${name}`;
  const project = (x: Tensor, name: string) => weights.project(x, at(`${name}.weight`));
  const vector = (name: string) => weights.vector(at(name));
  const norm = (x: Tensor, name: string) =>
    rmsNorm(x, vector(`${name}.weight`), config.normEpsilon);
  const pick = (x: Tensor) => (places ? gatherRows(x, places) : x);
  const attentionInput = norm(x, "input_layernorm");
  const heads = projectHeads(config, { project, vector }, attentionInput, rotation);
  const [queries, keys, values] = heads;
  const attended = pick(attention(queries, keys, values, layer));
  const mixed = tf.add(pick(x), project(attended, "self_attn.o_proj"));
  const ffnInput = norm(mixed, "post_attention_layernorm");
  const gated = swiGlu(project(ffnInput, "mlp.gate_proj"), project(ffnInput, "mlp.up_proj"));
  return tf.add(mixed, project(gated, "mlp.down_proj"));
}

/** @param hidden [rows, dim] @returns [rows, vocabSize] */
export function logits(config: ModelConfig, weights: Weights, hidden: Tensor): Tensor {
  return weights.project(hidden, outputWeightName(config));
}

/**
 * Causal attention among the tokens given, laid out as rows of equal length. A row can hold several segments: a token attends
 * to the tokens before it of its own segment and of its context.
 *
 * @param positions int32 [rows * rowLength], which a sliding window counts
 * @param segments int32 [rows, rowLength]; the tokens of one stand next to each other, -1 marks empty places
 * @param contexts int32 [rows, rowLength] an earlier segment of the row that a token sees beside its own, or its own
 */
export function causalAttention(
  config: ModelConfig,
  positions: Tensor,
  segments: Tensor,
  contexts: Tensor = segments,
): Attention {
  if (backend.isUsingGpuDevice) return batchedAttention(config, positions, segments, contexts);
  return (queries, keys, values, layer) => {
    const window = windowOf(config.slidingWindow, layer);
    const mixed = packedAttention(queries, keys, values, segments, contexts, window);
    return tf.reshape(mixed, [queries.shape[0]!, config.heads * config.headDim]);
  };
}

/** As causalAttention, by batched products over whole rows: for GPUs. Empty places attend to each other. */
export function batchedAttention(
  config: ModelConfig,
  positions: Tensor,
  segments: Tensor,
  contexts: Tensor,
): Attention {
  const [rows, rowLength] = segments.shape as [number, number];
  const { heads, kvHeads, headDim, layers, slidingWindow } = config;
  const groups = heads / kvHeads;
  const windows = new Set(Array.from({ length: layers }, (_, i) => windowOf(slidingWindow, i)));
  const biases = new Map(
    [...windows].map((window) => {
      const allowed = visibleTokens(positions, segments, contexts, window);
      const bias = tf.reshape(biasWhere(allowed), [rows, 1, rowLength, rowLength]);
      return [window, groups === 1 ? bias : tf.tile(bias, [1, 1, groups, 1])];
    }),
  );
  return (queries, keys, values, layer) => {
    const bias = biases.get(windowOf(slidingWindow, layer))!; // [rows, 1, groups * rowLength, rowLength]
    // The query heads that share keys are stacked along the rows of the score matrix.
    const q = tf.reshape(
      tf.transpose(
        tf.reshape(queries, [rows, rowLength, kvHeads, groups, headDim]),
        [0, 2, 3, 1, 4],
      ),
      [rows, kvHeads, groups * rowLength, headDim],
    );
    const perHead = (x: Tensor) =>
      tf.transpose(tf.reshape(x, [rows, rowLength, kvHeads, headDim]), [0, 2, 1, 3]);
    const mixed = tf.reshape(attend(q, perHead(keys), perHead(values), bias), [
      rows,
      kvHeads,
      groups,
      rowLength,
      headDim,
    ]);
    return tf.reshape(tf.transpose(mixed, [0, 3, 1, 2, 4]), [rows * rowLength, heads * headDim]);
  };
}

/** Which tokens (last axis) each token (second axis) sees: bool [rows, rowLength, rowLength]. */
function visibleTokens(
  positions: Tensor,
  segments: Tensor,
  contexts: Tensor,
  window: number | null,
): Tensor {
  const [rows, rowLength] = segments.shape as [number, number];
  const order = tf.range(0, rowLength, 1, "int32");
  const notLater = tf.greaterEqual(
    tf.reshape(order, [rowLength, 1]),
    tf.reshape(order, [1, rowLength]),
  );
  const ofQueries = (x: Tensor) => tf.reshape(x, [rows, rowLength, 1]);
  const ofKeys = (x: Tensor) => tf.reshape(x, [rows, 1, rowLength]);
  const isSeen = (of: Tensor) => tf.equal(ofQueries(of), ofKeys(segments));
  const allowed = tf.logicalAnd(tf.logicalOr(isSeen(segments), isSeen(contexts)), notLater);
  if (window === null) return allowed;
  const distance = tf.sub(ofQueries(positions), ofKeys(positions));
  return tf.logicalAnd(allowed, tf.less(distance, tf.scalar(window, "int32")));
}

/** The weights of one layer, by their names in it. */
interface LayerWeights {
  project(x: Tensor, name: string): Tensor;
  vector(name: string): Tensor;
}

function projectHeads(
  config: ModelConfig,
  { project, vector }: LayerWeights,
  x: Tensor,
  { cos, signedSin }: Rotation,
): [queries: Tensor, keys: Tensor, values: Tensor] {
  const tokens = x.shape[0]!;
  const perHead = (name: string, heads: number) => {
    const projected = project(x, `self_attn.${name}`);
    const all = config.qkvBias ? tf.add(projected, vector(`self_attn.${name}.bias`)) : projected;
    return tf.reshape(all, [tokens, heads, config.headDim]);
  };
  const normed = (x: Tensor, name: string) => {
    if (!config.qkNorm) return x;
    const rows = tf.reshape(x, [x.size / config.headDim, config.headDim]);
    const norm = rmsNorm(rows, vector(`self_attn.${name}.weight`), config.normEpsilon);
    return tf.reshape(norm, x.shape);
  };
  return [
    rotate(normed(perHead("q_proj", config.heads), "q_norm"), cos, signedSin),
    rotate(normed(perHead("k_proj", config.kvHeads), "k_norm"), cos, signedSin),
    perHead("v_proj", config.kvHeads),
  ];
}

/** @param positions int32 [tokens] */
export function rotationAt(config: ModelConfig, positions: Tensor): Rotation {
  const tokens = positions.shape[0]!;
  const frequencies = tf.tensor2d(ropeInverseFrequencies(config), [1, config.headDim / 2]);
  const angles = tf.mul(tf.reshape(tf.cast(positions, "float32"), [tokens, 1]), frequencies);
  const [cos, sin] = [tf.cos(angles), tf.sin(angles)];
  const shape = [tokens, 1, config.headDim];
  return {
    cos: tf.reshape(tf.concat([cos, cos], 1), shape),
    signedSin: tf.reshape(tf.concat([tf.neg(sin), sin], 1), shape),
  };
}
