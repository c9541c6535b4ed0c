// The shape of a model, read from and written to Hugging Face's config.json, with the meaning that transformers 5.23 gives it.
// Both spellings of the rotary settings are understood: transformers 4's and 5's.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { firstOf, messageOf, show, UserError } from "../errors.ts";
import { isThere } from "../folders.ts";
import { parseJson, readText, withoutByteOrderMark } from "../formats/jsonl.ts";
import type { FloatDtype } from "../formats/safetensorsHeader.ts";
import { findMistakes, valueAt } from "../settings.ts";
import { describeActiveKeys } from "./configKeys.ts";
import { families, type ModelType, modelTypes } from "./families.ts";
import { describeOtherKind, refuseAdapters } from "./folderKind.ts";
import { type RopeScaling, readRope, ropeKeys, writeScaling } from "./ropeSettings.ts";
import type { SlidingWindow } from "./slidingWindow.ts";

export interface ModelConfig {
  /** Its family: under which name it is saved. What the family computes is in other fields. */
  readonly modelType: ModelType;
  readonly vocabSize: number;
  readonly dim: number;
  readonly layers: number;
  readonly heads: number;
  /** Heads of keys and values; fewer than `heads` is grouped-query attention. */
  readonly kvHeads: number;
  readonly headDim: number;
  /** Whether queries, keys and values have a bias. */
  readonly qkvBias: boolean;
  /** Whether queries and keys are normed before they are rotated, each head by itself. */
  readonly qkNorm: boolean;
  /** Null: tokens see all that come before, in every layer. */
  readonly slidingWindow: SlidingWindow | null;
  /** Numbers of the layers whose queries and keys are not rotated, ascending. */
  readonly noRopeLayers: readonly number[];
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
  /** Keys of config.json that mean nothing here, as they came: they go along wherever the model is saved. */
  readonly otherKeys?: Readonly<Record<string, unknown>>;
}

// --- Reading ---

const size = z.int().positive();
const tokenId = z.int().nonnegative();

const eosSchema = z
  .union([tokenId, z.array(tokenId)], {
    error: "expected a token's id, a whole number, or a list of them",
  })
  .nullish();

/**
 * What is read of config.json. Defaults are those of transformers' LlamaConfig (other families' are in families.ts), but the sizes must be given. Keys that would
 * change what is computed are in configKeys.ts, and all others are handed on.
 */
export const configSchema = z.looseObject({
  model_type: z.literal(modelTypes),
  vocab_size: size,
  hidden_size: size,
  num_hidden_layers: size.max(10_000),
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  intermediate_size: size,
  hidden_act: z.literal(["silu", "swish"]).default("silu"), // two names of one function
  rms_norm_eps: z.number().positive().default(1e-6),
  ...ropeKeys,
  tie_word_embeddings: z.boolean().default(false),
  initializer_range: z.number().nonnegative().default(0.02),
  bos_token_id: tokenId.nullable().default(1),
  eos_token_id: eosSchema,
  pad_token_id: z.int().nullish(), // some published models say -1 for none
});
/** What is read of generation_config.json. */
export const generationSchema = z.looseObject({ eos_token_id: eosSchema });

/**
 * Reads `config.json` of a Hugging Face model folder, and of `generation_config.json` what ends a response.
 *
 * @throws UserError that lists everything in the file that is missing, wrong or not supported
 */
export function readModelConfig(
  folder: string,
  task: "ForCausalLM" | "ForSequenceClassification" = "ForCausalLM",
): ModelConfig {
  refuseAdapters(folder);
  const path = join(folder, "config.json");
  const file = readJson(path);
  const modelType = readModelType(file, path);
  const { className, qkvBias, qkNorm, window, noRope, ropeTheta, defaults } = families[modelType];
  const architectures = z
    .array(z.literal(`${className}${task}`))
    .max(1)
    .nullish();
  const familySchema = { ...window.schema, ...noRope.schema };
  const schema = configSchema.extend({ architectures, ...familySchema });
  const familyKeys = Object.keys(familySchema);
  const given = z.looseObject({}).safeParse(file).data;
  const values = given && { ...defaults, ...given };
  const problems = [
    ...findMistakes(schema, [], values ?? file).map(({ text }) => text),
    ...describeActiveKeys(withoutKeys(values ?? {}, familyKeys)),
  ];
  if (problems.length > 0) {
    throw new UserError(`${path}: cannot use this model:\n${firstOf(problems, "\n")}`);
  }
  const json = configSchema.parse(values);
  const heads = json.num_attention_heads;
  const slidingWindow = window.read(json, json.num_hidden_layers, path);
  const isWide = (slidingWindow?.size ?? Infinity) >= json.max_position_embeddings;
  const config: ModelConfig = {
    modelType,
    vocabSize: json.vocab_size,
    dim: json.hidden_size,
    layers: json.num_hidden_layers,
    heads,
    kvHeads: json.num_key_value_heads ?? heads,
    headDim: json.head_dim ?? json.hidden_size / heads,
    qkvBias,
    qkNorm,
    slidingWindow: isWide ? null : slidingWindow, // one as long as all positions hides nothing
    noRopeLayers: noRope.read(json, json.num_hidden_layers, path),
    ffnDim: json.intermediate_size,
    normEpsilon: json.rms_norm_eps,
    ...readRope(json, path, ropeTheta),
    tieEmbeddings: json.tie_word_embeddings,
    maxPositions: json.max_position_embeddings,
    initializerStd: json.initializer_range,
    ...optionalId("bosId", json.bos_token_id),
    eosIds: readEndIds(json.eos_token_id, json.vocab_size, folder),
    ...optionalId("padId", json.pad_token_id),
    otherKeys: withoutKeys(json, [...ownKeys, ...familyKeys]),
  };
  checkConsistency(config, path);
  return config;
}

function withoutKeys(json: Readonly<Record<string, unknown>>, keys: readonly string[]) {
  return Object.fromEntries(Object.entries(json).filter(([key]) => !keys.includes(key)));
}

/** @throws UserError for a model of another kind, whose other keys would only be wrong, too */
function readModelType(file: unknown, path: string): ModelType {
  const found = valueAt(file, ["model_type"]) ?? modelTypes[0]; // a missing one is named with the other mistakes
  const type = modelTypes.find((type) => type === found);
  if (type !== undefined) return type;
  const supported = modelTypes.join(", ");
  throw new UserError(
    `${path}: the model type ${show(found)} is not supported; supported: ${supported} (docs/models.md says which models these are). ` +
      "Give a model whose config.json names one of them",
  );
}

/** transformers' default, where neither file says what ends a response. */
const defaultEosId = 2;

/**
 * Both files' tokens together: transformers ends a response at those of generation_config.json, where there is one.
 *
 * @throws UserError for a token of that file that the model has not
 */
export function readEndIds(
  eosId: number | readonly number[] | null | undefined,
  vocabSize: number,
  folder: string,
): number[] {
  const path = join(folder, "generation_config.json");
  const generation = isThere(path)
    ? parseJson(readText(path), path, generationSchema).eos_token_id
    : undefined;
  const beyond = [generation ?? []].flat().find((id) => id >= vocabSize);
  if (beyond !== undefined) {
    throw new UserError(`${path}: eos_token_id: ${beyondVocabulary(beyond, vocabSize)}`);
  }
  const own = eosId === undefined && generation == null ? defaultEosId : eosId;
  return [...new Set([own ?? [], generation ?? []].flat())];
}

function beyondVocabulary(id: number, vocabSize: number): string {
  return `token id ${id} must be below vocab_size ${vocabSize}: name a token of the model`;
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
  return parseJson(withoutByteOrderMark(text), path, z.unknown());
}

function optionalId<Key extends "bosId" | "padId">(
  key: Key,
  id: number | null | undefined,
): { readonly [K in Key]?: number } {
  return id === null || id === undefined || id < 0 ? {} : ({ [key]: id } as { [K in Key]: number });
}

/** Far beyond any model; a damaged file may say more, and frequencies are computed for it. */
const maxHeadDim = 65_536;

/** @throws UserError when sizes or tokens do not fit together */
export function checkConsistency(config: ModelConfig, path: string): void {
  const { dim, heads, kvHeads, headDim, ropeScaling, vocabSize } = config;
  const problems: string[] = [];
  if (!Number.isInteger(headDim)) {
    problems.push(`hidden_size ${dim} must be a multiple of num_attention_heads ${heads}`);
  } else if (headDim % 2 !== 0) {
    problems.push(`head_dim must be even to be rotated in pairs, found ${headDim}`);
  } else if (headDim > maxHeadDim) {
    problems.push(`head_dim must be at most ${maxHeadDim}, found ${headDim}`);
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
  const named = [
    ["bos", config.bosId],
    ...config.eosIds.map((id) => ["eos", id] as const),
  ] as const;
  for (const [name, id] of named) {
    if (id !== undefined && id >= vocabSize)
      problems.push(`${name}_token_id: ${beyondVocabulary(id, vocabSize)}`);
  }
  if (problems.length > 0) throw new UserError(`${path}: ${problems.join("; ")}`);
}

// --- Writing ---

/** What is written whatever a source had. */
const ownKeys: readonly string[] = [
  ...Object.keys(configSchema.shape),
  ...["architectures", "attention_bias", "mlp_bias", "attention_dropout", "torch_dtype", "dtype"],
];

const dtypeNames = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

/** A config.json that transformers 4 and 5 both load as a language model with weights of the given type. */
export function toHuggingFaceConfig(
  config: ModelConfig,
  dtype: FloatDtype = "F32",
): Record<string, unknown> {
  const scaling = config.ropeScaling === null ? null : writeScaling(config.ropeScaling);
  const { className, window, noRope, extraKeys } = families[config.modelType];
  return {
    architectures: [`${className}ForCausalLM`],
    model_type: config.modelType,
    vocab_size: config.vocabSize,
    hidden_size: config.dim,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    intermediate_size: config.ffnDim,
    hidden_act: "silu",
    ...extraKeys,
    ...window.write(config.slidingWindow, config.layers),
    ...noRope.write(config.noRopeLayers, config.layers),
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
    ...config.otherKeys,
  };
}

/**
 * A generation_config.json, from which other tools take what ends a response.
 *
 * @param source the file as the model came with it
 * @returns undefined where the source's own says it all
 */
export function toGenerationConfig(
  { bosId, padId }: ModelConfig,
  endIds: readonly number[],
  source: z.infer<typeof generationSchema> | undefined,
): Record<string, unknown> | undefined {
  if (source === undefined)
    return { bos_token_id: bosId, eos_token_id: writeEosIds(endIds), pad_token_id: padId };
  const own = [source.eos_token_id ?? []].flat();
  if (endIds.every((id) => own.includes(id))) return undefined;
  return { ...source, eos_token_id: writeEosIds([...new Set([...own, ...endIds])]) };
}

function writeEosIds(ids: readonly number[]): number | readonly number[] | null {
  return ids.length > 1 ? ids : (ids[0] ?? null);
}
