// The families of models that are LLaMAs but for a little: one row each, by the `model_type` of config.json. What a row says becomes plain
// fields of a ModelConfig, so what computes asks for these and never for a family's name.
// Reference: transformers 5.23, configuration_<model_type>.py and modeling_<model_type>.py.
import {
  noWindow,
  type WindowKeys,
  windowInEveryLayer,
  windowInSomeLayers,
} from "./slidingWindow.ts";

export const modelTypes = ["llama", "mistral", "qwen2", "qwen3"] as const;
export type ModelType = (typeof modelTypes)[number];

/** How llama.cpp has a family's models. Reference: ggml-org/llama.cpp, conversion/llama.py and qwen.py, src/models/. */
interface GgufFamily {
  /** `general.architecture`, and the prefix of its keys. */
  readonly architecture: "llama" | "qwen2" | "qwen3";
  /** Whether neighbouring rows of queries and keys are rotated together, not rows of a head's halves. */
  readonly rotatesNeighbours: boolean;
  /** Whether it reads a table of divisors of the rotary frequencies. */
  readonly hasRopeDivisors: boolean;
}

const ggufLlama = {
  architecture: "llama",
  rotatesNeighbours: true,
  hasRopeDivisors: true,
} as const;
const ggufQwen = { rotatesNeighbours: false, hasRopeDivisors: false } as const;

/** What becomes of a family's models; the same for each of them. */
export interface Family {
  /** What the names of transformers' classes begin with. */
  readonly className: string;
  /** Whether queries, keys and values have a bias. */
  readonly qkvBias: boolean;
  /** Whether queries and keys are normed, each head by itself. */
  readonly qkNorm: boolean;
  readonly window: WindowKeys;
  readonly gguf: GgufFamily;
  /** What keys of its config.json mean where they are absent, if not what they mean for a LLaMA. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Keys that other tools expect in its config.json, although they say nothing here. */
  readonly extraKeys: Readonly<Record<string, unknown>>;
}

const qwenDefaults = {
  num_key_value_heads: 32,
  max_position_embeddings: 32_768,
  sliding_window: 4096,
  bos_token_id: null,
  eos_token_id: null,
};

export const families: Readonly<Record<ModelType, Family>> = {
  llama: {
    className: "Llama",
    qkvBias: false,
    qkNorm: false,
    window: noWindow,
    gguf: ggufLlama,
    defaults: {},
    extraKeys: { attention_bias: false, mlp_bias: false },
  },
  mistral: {
    className: "Mistral",
    qkvBias: false,
    qkNorm: false,
    window: windowInEveryLayer,
    gguf: ggufLlama, // which has no window
    defaults: { num_key_value_heads: 8, max_position_embeddings: 131_072, sliding_window: 4096 },
    extraKeys: {},
  },
  qwen2: {
    className: "Qwen2",
    qkvBias: true,
    qkNorm: false,
    window: windowInSomeLayers,
    gguf: { ...ggufQwen, architecture: "qwen2" },
    defaults: qwenDefaults,
    extraKeys: {},
  },
  qwen3: {
    className: "Qwen3",
    qkvBias: false,
    qkNorm: true,
    window: windowInSomeLayers,
    gguf: { ...ggufQwen, architecture: "qwen3" },
    defaults: { ...qwenDefaults, head_dim: 128 },
    extraKeys: { attention_bias: false },
  },
};

/** What a LLaMA's configuration has of all that families differ in. */
export const plainLlama = {
  modelType: "llama",
  qkvBias: false,
  qkNorm: false,
  slidingWindow: null,
} as const;
