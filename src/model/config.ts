// The shape of a LLaMA, read from and written to Hugging Face's config.json, and its rotary
// frequencies. Both spellings of the rotary settings are understood: transformers 4's and 5's.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { messageOf, UserError } from "../errors.ts";
import { describeOtherKind, refuseAdapters } from "./folderKind.ts";
import type { FloatDtype } from "./safetensorsHeader.ts";

export interface LinearRopeScaling {
  readonly type: "linear";
  readonly factor: number;
}

/** LLaMA 3.1's scaling: long wavelengths are stretched, short ones kept, a ramp between. */
export interface Llama3RopeScaling {
  readonly type: "llama3";
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositions: number;
}

export type RopeScaling = LinearRopeScaling | Llama3RopeScaling;

export interface ModelConfig {
  readonly vocabSize: number;
  readonly dim: number;
  readonly layers: number;
  readonly heads: number;
  /** Heads of keys and values; fewer than `heads` is grouped-query attention. */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffnDim: number;
  /** Epsilon of the RMS norms. */
  readonly normEpsilon: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | null;
  /** Whether the output projection is the embedding matrix. */
  readonly tieEmbeddings: boolean;
  readonly maxPositions: number;
  /** Standard deviation of freshly drawn weights. */
  readonly initializerStd: number;
  readonly bosId?: number;
  /** Tokens that end a response; several in some chat models, possibly none. */
  readonly eosIds: readonly number[];
  readonly padId?: number;
}

// --- Reading ---

const size = z.int().positive();
const tokenId = z.int().nonnegative();
const factor = z.number().positive();

/** One name of the scaling's type in old files, another in new ones. */
const ropeSchema = z
  .looseObject({
    rope_type: z.string().optional(),
    type: z.string().optional(),
    rope_theta: factor.optional(),
    factor: factor.optional(),
    low_freq_factor: factor.optional(),
    high_freq_factor: factor.optional(),
    original_max_position_embeddings: size.optional(),
    partial_rotary_factor: z.literal(1).nullish(),
  })
  .nullish();

/**
 * What is read of config.json. Defaults are those of transformers' LlamaConfig, but the sizes must
 * be given. What our model cannot do is pinned to the value that it can.
 */
const schema = z.looseObject({
  model_type: z.literal("llama"),
  vocab_size: size,
  hidden_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  intermediate_size: size,
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: factor.nullish(),
  rope_scaling: ropeSchema,
  rope_parameters: ropeSchema,
  tie_word_embeddings: z.boolean().default(false),
  max_position_embeddings: size.default(2048),
  initializer_range: z.number().nonnegative().default(0.02),
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
  pad_token_id: z.int().nullish(), // some published models say -1 for none
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.literal(false).default(false),
  mlp_bias: z.literal(false).default(false),
  attention_dropout: z.literal(0).default(0),
  quantization_config: z.null().optional(),
});

type HuggingFaceConfig = z.infer<typeof schema>;
type HuggingFaceRope = NonNullable<z.infer<typeof ropeSchema>>;

/**
 * Reads `config.json` of a Hugging Face model folder.
 * @throws UserError that lists everything in the file that is missing, wrong or not supported
 */
export function readModelConfig(
  folder: string,
  architecture: "LlamaForCausalLM" | "LlamaForSequenceClassification" = "LlamaForCausalLM",
): ModelConfig {
  refuseAdapters(folder);
  const path = join(folder, "config.json");
  const architectures = z.tuple([z.literal(architecture)]).nullish();
  const result = schema.extend({ architectures }).safeParse(readJson(path));
  if (!result.success) {
    throw new UserError(`${path}: cannot use this model:\n${z.prettifyError(result.error)}`);
  }
  const json = result.data;
  const heads = json.num_attention_heads;
  const config: ModelConfig = {
    vocabSize: json.vocab_size,
    dim: json.hidden_size,
    layers: json.num_hidden_layers,
    heads,
    kvHeads: json.num_key_value_heads ?? heads,
    headDim: json.head_dim ?? json.hidden_size / heads,
    ffnDim: json.intermediate_size,
    normEpsilon: json.rms_norm_eps,
    ...readRope(json, path),
    tieEmbeddings: json.tie_word_embeddings,
    maxPositions: json.max_position_embeddings,
    initializerStd: json.initializer_range,
    ...optionalId("bosId", json.bos_token_id),
    eosIds: [json.eos_token_id ?? []].flat(),
    ...optionalId("padId", json.pad_token_id),
  };
  checkConsistency(config, path);
  return config;
}

function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const kind = describeOtherKind(dirname(path));
    throw new UserError(
      `cannot read ${path}: ${messageOf(error)}; ${kind ?? "is this a model folder?"}`,
    );
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${path}: expected JSON: ${messageOf(error)}`);
  }
}

function optionalId<Key extends "bosId" | "padId">(
  key: Key,
  id: number | null | undefined,
): { readonly [K in Key]?: number } {
  return id === null || id === undefined || id < 0 ? {} : ({ [key]: id } as { [K in Key]: number });
}

/** transformers 5 has both in `rope_parameters`, 4 has `rope_theta` and `rope_scaling`. */
function readRope(
  json: HuggingFaceConfig,
  path: string,
): Pick<ModelConfig, "ropeTheta" | "ropeScaling"> {
  const { rope_theta: theta4, rope_scaling: scaling4, rope_parameters: rope5 } = json;
  const theta5 = rope5?.rope_theta;
  if (theta4 != null && theta5 !== undefined && theta4 !== theta5) {
    throw disagreement(path, "rope_theta", theta4, "rope_parameters.rope_theta", theta5);
  }
  const at4 = scaling4 ? readScaling(scaling4, `${path}: rope_scaling`) : undefined;
  const at5 = rope5 ? readScaling(rope5, `${path}: rope_parameters`) : undefined;
  if (at4 !== undefined && at5 !== undefined && JSON.stringify(at4) !== JSON.stringify(at5)) {
    throw disagreement(path, "rope_scaling", at4, "rope_parameters", at5);
  }
  return {
    ropeTheta: theta5 ?? theta4 ?? scaling4?.rope_theta ?? 10_000,
    ropeScaling: at5 ?? at4 ?? null,
  };
}

function disagreement(path: string, a: string, atA: unknown, b: string, atB: unknown): UserError {
  const [first, second] = [JSON.stringify(atA), JSON.stringify(atB)];
  return new UserError(`${path}: ${a} says ${first}, but ${b} says ${second}; keep one`);
}

function readScaling(rope: HuggingFaceRope, where: string): RopeScaling | null {
  const type = rope.rope_type ?? rope.type ?? "default";
  const need = (name: keyof HuggingFaceRope): number => {
    const value = rope[name];
    if (typeof value === "number") return value;
    throw new UserError(`${where}: "${type}" needs "${name}", a number; it is missing`);
  };
  if (type === "default") return null;
  if (type === "linear") return { type, factor: need("factor") };
  if (type === "llama3") {
    return {
      type,
      factor: need("factor"),
      lowFreqFactor: need("low_freq_factor"),
      highFreqFactor: need("high_freq_factor"),
      originalMaxPositions: need("original_max_position_embeddings"),
    };
  }
  throw new UserError(`${where}: supported are default, linear and llama3, found "${type}"`);
}

/** @throws UserError when sizes or tokens do not fit together */
export function checkConsistency(config: ModelConfig, path: string): void {
  const { dim, heads, kvHeads, headDim, ropeScaling, vocabSize } = config;
  const problems: string[] = [];
  if (!Number.isInteger(headDim)) {
    problems.push(`hidden_size ${dim} must be a multiple of num_attention_heads ${heads}`);
  } else if (headDim % 2 !== 0) {
    problems.push(`head_dim must be even to be rotated in pairs, found ${headDim}`);
  }
  if (heads % kvHeads !== 0) {
    problems.push(
      `num_attention_heads ${heads} must be a multiple of num_key_value_heads ${kvHeads}`,
    );
  }
  if (ropeScaling?.type === "llama3" && ropeScaling.lowFreqFactor >= ropeScaling.highFreqFactor) {
    const { lowFreqFactor, highFreqFactor } = ropeScaling;
    problems.push(
      `low_freq_factor ${lowFreqFactor} must be below high_freq_factor ${highFreqFactor}`,
    );
  }
  for (const id of [config.bosId, ...config.eosIds]) {
    if (id !== undefined && id >= vocabSize) {
      problems.push(`token id ${id} must be below vocab_size ${vocabSize}`);
    }
  }
  if (problems.length > 0) throw new UserError(`${path}: ${problems.join("; ")}`);
}

// --- Writing ---

const dtypeNames = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

/** A config.json that transformers 4 and 5 both load as a LlamaForCausalLM with weights of the given type. */
export function toHuggingFaceConfig(
  config: ModelConfig,
  dtype: FloatDtype = "F32",
): Record<string, unknown> {
  const scaling = config.ropeScaling === null ? null : writeScaling(config.ropeScaling);
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: config.vocabSize,
    hidden_size: config.dim,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    intermediate_size: config.ffnDim,
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
    attention_dropout: 0,
    rms_norm_eps: config.normEpsilon,
    rope_theta: config.ropeTheta,
    rope_scaling: scaling,
    rope_parameters: { rope_type: "default", ...scaling, rope_theta: config.ropeTheta },
    tie_word_embeddings: config.tieEmbeddings,
    max_position_embeddings: config.maxPositions,
    initializer_range: config.initializerStd,
    bos_token_id: config.bosId ?? null,
    eos_token_id: writeEosIds(config.eosIds),
    pad_token_id: config.padId ?? null,
    torch_dtype: dtypeNames[dtype],
    dtype: dtypeNames[dtype],
    use_cache: true,
  };
}

/** A generation_config.json, from which other tools take what ends a response. */
export function toGenerationConfig(
  { bosId, padId }: ModelConfig,
  endIds: readonly number[],
): Record<string, unknown> {
  return { bos_token_id: bosId, eos_token_id: writeEosIds(endIds), pad_token_id: padId };
}

function writeScaling(scaling: RopeScaling): Record<string, unknown> {
  if (scaling.type === "linear") return { rope_type: "linear", factor: scaling.factor };
  return {
    rope_type: "llama3",
    factor: scaling.factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: scaling.originalMaxPositions,
  };
}

function writeEosIds(ids: readonly number[]): number | readonly number[] | null {
  return ids.length > 1 ? ids : (ids[0] ?? null);
}

// --- Rotary frequencies ---

/**
 * By how many radians pair `i` of a head turns per position: `theta^(-2i / headDim)`, then scaled.
 * Every operation is rounded to float32, as in transformers, so that both turn alike far out, too.
 *
 * @returns headDim / 2 values
 */
export function ropeInverseFrequencies(config: ModelConfig): Float32Array {
  const { headDim, ropeTheta, ropeScaling } = config;
  const { fround } = Math;
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = fround(1 / fround(ropeTheta ** fround((2 * i) / headDim)));
    if (ropeScaling === null) return frequency;
    if (ropeScaling.type === "linear") return fround(frequency / ropeScaling.factor);
    return scaleLlama3(frequency, ropeScaling);
  });
}

/** The ramp is linear in 1 / wavelength. Reference: transformers, modeling_rope_utils.py. */
function scaleLlama3(frequency: number, scaling: Llama3RopeScaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const { fround } = Math;
  const wavelength = fround(fround(2 * Math.PI) / frequency);
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
  if (wavelength > originalMaxPositions / lowFreqFactor) return fround(frequency / factor);
  const turns = fround(originalMaxPositions / wavelength);
  const kept = fround(fround(turns - lowFreqFactor) / fround(highFreqFactor - lowFreqFactor));
  const stretched = fround(fround(fround(1 - kept) * frequency) / factor);
  return fround(stretched + fround(kept * frequency));
}
