// The weights of a model, one table for all that goes through them: shapes, files of either kind, what the decoder takes.
import type { ModelConfig } from "./config.ts";

interface WeightRow {
  /** Hugging Face's name; of a layer's weight, the part after "model.layers.N.". */
  readonly name: string;
  /** llama.cpp's; of a layer's weight, the part after "blk.N.". */
  readonly gguf: string;
  readonly shape: (config: ModelConfig) => readonly number[];
  /** Which models have it; without this all do. */
  readonly when?: (config: ModelConfig) => boolean;
}

/** A weight that a model has. */
export interface ModelWeight {
  readonly name: string;
  readonly gguf: string;
  readonly shape: readonly number[];
}

export const EMBEDDING = "model.embed_tokens.weight";
export const OUTPUT = "lm_head.weight";

const before: readonly WeightRow[] = [
  { name: EMBEDDING, gguf: "token_embd.weight", shape: ({ vocabSize, dim }) => [vocabSize, dim] },
];
const after: readonly WeightRow[] = [
  { name: "model.norm.weight", gguf: "output_norm.weight", shape: ({ dim }) => [dim] },
  {
    name: OUTPUT,
    gguf: "output.weight",
    shape: ({ vocabSize, dim }) => [vocabSize, dim],
    when: ({ tieEmbeddings }) => !tieEmbeddings,
  },
];

const queries = ({ heads, headDim }: ModelConfig) => heads * headDim;
const keys = ({ kvHeads, headDim }: ModelConfig) => kvHeads * headDim;

/** Of a layer. Matrices, and vectors, stand in the order in which native/decode.cc takes them. */
const ofLayer: readonly WeightRow[] = [
  { name: "input_layernorm.weight", gguf: "attn_norm.weight", shape: ({ dim }) => [dim] },
  { name: "self_attn.q_proj.weight", gguf: "attn_q.weight", shape: (c) => [queries(c), c.dim] },
  {
    name: "self_attn.q_proj.bias",
    gguf: "attn_q.bias",
    shape: (c) => [queries(c)],
    when: ({ qkvBias }) => qkvBias,
  },
  { name: "self_attn.k_proj.weight", gguf: "attn_k.weight", shape: (c) => [keys(c), c.dim] },
  {
    name: "self_attn.k_proj.bias",
    gguf: "attn_k.bias",
    shape: (c) => [keys(c)],
    when: ({ qkvBias }) => qkvBias,
  },
  { name: "self_attn.v_proj.weight", gguf: "attn_v.weight", shape: (c) => [keys(c), c.dim] },
  {
    name: "self_attn.v_proj.bias",
    gguf: "attn_v.bias",
    shape: (c) => [keys(c)],
    when: ({ qkvBias }) => qkvBias,
  },
  {
    name: "self_attn.q_norm.weight",
    gguf: "attn_q_norm.weight",
    shape: ({ headDim }) => [headDim],
    when: ({ qkNorm }) => qkNorm,
  },
  {
    name: "self_attn.k_norm.weight",
    gguf: "attn_k_norm.weight",
    shape: ({ headDim }) => [headDim],
    when: ({ qkNorm }) => qkNorm,
  },
  {
    name: "self_attn.o_proj.weight",
    gguf: "attn_output.weight",
    shape: (c) => [c.dim, queries(c)],
  },
  { name: "post_attention_layernorm.weight", gguf: "ffn_norm.weight", shape: ({ dim }) => [dim] },
  { name: "mlp.gate_proj.weight", gguf: "ffn_gate.weight", shape: (c) => [c.ffnDim, c.dim] },
  { name: "mlp.up_proj.weight", gguf: "ffn_up.weight", shape: (c) => [c.ffnDim, c.dim] },
  { name: "mlp.down_proj.weight", gguf: "ffn_down.weight", shape: (c) => [c.dim, c.ffnDim] },
];

/** The weights of one layer, by the parts of their names that all layers share. */
export function layerWeights(config: ModelConfig): ModelWeight[] {
  return weightsIn(ofLayer, config);
}

/** All weights, in the model's order. */
export function modelWeights(config: ModelConfig): ModelWeight[] {
  const inLayer = layerWeights(config);
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    inLayer.map(({ name, gguf, shape }) => ({
      name: `model.layers.${layer}.${name}`,
      gguf: `blk.${layer}.${gguf}`,
      shape,
    })),
  );
  return [...weightsIn(before, config), ...layers.flat(), ...weightsIn(after, config)];
}

function weightsIn(rows: readonly WeightRow[], config: ModelConfig): ModelWeight[] {
  return rows
    .filter(({ when }) => when?.(config) ?? true)
    .map(({ name, gguf, shape }) => ({ name, gguf, shape: shape(config) }));
}
