// The LLaMA: Touvron et al., arXiv 2302.13971, as Hugging Face's LlamaForCausalLM computes it in float32, and what its relatives
// (families.ts) do otherwise.
//
// Activations are matrices of one row per token. What training and generation do differently is only where attention finds its
// keys and values, so that is a parameter.
import { packedAttention, rmsNorm, rotate, swiGlu } from "../engine/kernels/kernels.ts";
import { gatherRows } from "../engine/ops.ts";
import { type Tensor, tf } from "../engine/tf.ts";
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
  const own = config.noRopeLayers.includes(layer) ? undefined : rotation;
  const heads = projectHeads(config, { project, vector }, attentionInput, own);
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
  { layers, heads, kvHeads, headDim, slidingWindow }: ModelConfig,
  positions: Tensor,
  segments: Tensor,
  contexts: Tensor = segments,
): Attention {
  const windows = Array.from({ length: layers }, (_, layer) => windowOf(slidingWindow, layer));
  const places = { positions, segments, contexts };
  const attention = packedAttention(places, windows, heads / kvHeads);
  return (queries, keys, values, layer) => {
    const mixed = attention(queries, keys, values, windows[layer]!);
    return tf.reshape(mixed, [queries.shape[0]!, heads * headDim]);
  };
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
  rotation: Rotation | undefined,
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
  const rotated = (x: Tensor) => (rotation ? rotate(x, rotation.cos, rotation.signedSin) : x);
  return [
    rotated(normed(perHead("q_proj", config.heads), "q_norm")),
    rotated(normed(perHead("k_proj", config.kvHeads), "k_norm")),
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
