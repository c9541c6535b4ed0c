// The families of models that are LLaMAs but for a little: one row each, by the `model_type` of config.json. What a row says becomes plain
// fields of a ModelConfig, so what computes asks for these and never for a family's name.
// Reference: transformers 5.23, configuration_<model_type>.py and modeling_<model_type>.py.
import { type NoRopeKeys, noRopeInSomeLayers, ropeInEveryLayer } from "./noRope.ts";
import {
  noWindow,
  type WindowKeys,
  windowInEveryLayer,
  windowInLastLayers,
  windowWithoutRope,
} from "./slidingWindow.ts";

export const modelTypes = ["llama", "mistral", "qwen2", "qwen3", "smollm3"] as const;
export type ModelType = (typeof modelTypes)[number];

/** How llama.cpp has a family's models. Reference: ggml-org/llama.cpp, conversion/ and src/models/. */
interface GgufFamily {
  /** `general.architecture`, and the prefix of its keys. */
  readonly architecture: "llama" | "qwen2" | "qwen3" | "smollm3";
  /** Whether neighbouring rows of queries and keys are rotated together, not rows of a head's halves. */
  readonly rotatesNeighbours: boolean;
  /** Whether it reads a table of divisors of the rotary frequencies. */
  readonly hasRopeDivisors: boolean;
  /** The last layer of each so many is not rotated, whatever a file says; null: all layers are. */
  readonly noRopeInterval: number | null;
}

const ggufLlama = {
  architecture: "llama",
  rotatesNeighbours: true,
  hasRopeDivisors: true,
  noRopeInterval: null,
} as const;
const ggufQwen = {
  rotatesNeighbours: false,
  hasRopeDivisors: false,
  noRopeInterval: null,
} as const;

/** What becomes of a family's models; the same for each of them. */
export interface Family {
  /** What the names of transformers' classes begin with. */
  readonly className: string;
  /** Whether queries, keys and values have a bias. */
  readonly qkvBias: boolean;
  /** Whether queries and keys are normed, each head by itself. */
  readonly qkNorm: boolean;
  readonly window: WindowKeys;
  readonly noRope: NoRopeKeys;
  /** Base of the rotary embedding where config.json has none. */
  readonly ropeTheta: number;
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

const alwaysRotated = { noRope: ropeInEveryLayer, ropeTheta: 10_000 } as const;

export const families: Readonly<Record<ModelType, Family>> = {
  llama: {
    className: "Llama",
    qkvBias: false,
    qkNorm: false,
    window: noWindow,
    ...alwaysRotated,
    gguf: ggufLlama,
    defaults: {},
    extraKeys: { attention_bias: false, mlp_bias: false },
  },
  mistral: {
    className: "Mistral",
    qkvBias: false,
    qkNorm: false,
    window: windowInEveryLayer,
    ...alwaysRotated,
    gguf: ggufLlama, // which has no window
    defaults: { num_key_value_heads: 8, max_position_embeddings: 131_072, sliding_window: 4096 },
    extraKeys: {},
  },
  qwen2: {
    className: "Qwen2",
    qkvBias: true,
    qkNorm: false,
    window: windowInLastLayers,
    ...alwaysRotated,
    gguf: { ...ggufQwen, architecture: "qwen2" },
    defaults: qwenDefaults,
    extraKeys: {},
  },
  qwen3: {
    className: "Qwen3",
    qkvBias: false,
    qkNorm: true,
    window: windowInLastLayers,
    ...alwaysRotated,
    gguf: { ...ggufQwen, architecture: "qwen3" },
    defaults: { ...qwenDefaults, head_dim: 128 },
    extraKeys: { attention_bias: false },
  },
  smollm3: {
    className: "SmolLM3",
    qkvBias: false,
    qkNorm: false,
    window: windowWithoutRope,
    noRope: noRopeInSomeLayers,
    ropeTheta: 2_000_000,
    gguf: {
      architecture: "smollm3", // which has no window, either
      rotatesNeighbours: true,
      hasRopeDivisors: false,
      noRopeInterval: 4,
    },
    defaults: {
      num_key_value_heads: 4,
      max_position_embeddings: 32_768,
      tie_word_embeddings: true,
      bos_token_id: 128_000,
      eos_token_id: 128_001,
      pad_token_id: 128_004,
    },
    extraKeys: { attention_bias: false, mlp_bias: false },
  },
};

/** What a LLaMA's configuration has of all that families differ in. */
export const plainLlama = {
  modelType: "llama",
  qkvBias: false,
  qkNorm: false,
  slidingWindow: null,
  noRopeLayers: [],
} as const;
