// A model in a GGUF file as Hugging Face has it: configuration from the metadata, weights under their own names.
// Reference: ggml-org/llama.cpp, convert_hf_to_gguf.py, which this undoes.
import { z } from "zod";
import { firstOf, quote, show, UserError } from "../errors.ts";
import type { GgufFile } from "../formats/gguf.ts";
import type { TensorToWrite } from "../formats/safetensors.ts";
import { checkConsistency, type ModelConfig } from "../model/config.ts";
import { families, modelTypes } from "../model/families.ts";
import { checkFinite } from "../model/finite.ts";
import { modelWeights } from "../model/modelWeights.ts";
import { everyNthLayer } from "../model/noRope.ts";
import { ropeInverseFrequencies } from "../model/ropeFrequencies.ts";
import type { Llama3RopeScaling, RopeScaling } from "../model/ropeSettings.ts";
import { findMistakes } from "../settings.ts";
import { ggufSpecialTokens } from "./ggufVocabulary.ts";

const size = z.int().positive();
const positive = z.number().positive();
/** The family that each of llama.cpp's architectures is read as: the first of those that it stands for. */
const modelTypeOf = new Map(
  modelTypes.toReversed().map((type) => [families[type].gguf.architecture, type] as const),
);

const generalKeys = {
  "general.architecture": z.literal([...modelTypeOf.keys()].toReversed()),
  "general.type": z.literal("model").optional(), // others: adapter, mmproj, imatrix, vocab
  "split.count": z.literal([0, 1]).optional(),
};
/** After the architecture's name and a full stop. */
const ownKeys = {
  block_count: size,
  context_length: size,
  embedding_length: size,
  feed_forward_length: size,
  "attention.head_count": size,
  "attention.head_count_kv": size.optional(),
  "attention.key_length": size.optional(),
  "attention.value_length": size.optional(),
  "attention.layer_norm_rms_epsilon": positive,
  "rope.dimension_count": size.optional(),
  "rope.freq_base": positive.default(10_000),
  "rope.scaling.type": z.enum(["none", "linear"]).default("linear"),
  "rope.scaling.factor": z.number().nonnegative().optional(),
  "rope.scale_linear": z.number().nonnegative().optional(),
  "rope.scaling.attn_factor": z.literal(1).optional(),
  "attention.causal": z.literal(true).optional(),
};
const ownSchema = z.object(ownKeys);
type Metadata = z.infer<typeof ownSchema>;

/** Keys that change nothing: sizes that the tensors have, and what only YaRN reads. */
const harmlessKeys: ReadonlySet<string> = new Set([
  "vocab_size",
  "rope.scaling.original_context_length",
  "rope.scaling.finetuned",
  "tensor_data_layout", // a remark of old converters; rows are as llama.cpp has them whatever it says
]);

/** LLaMA 3.1's scaling of the rotary frequencies, as a divisor of each. */
export const ropeDivisors = "rope_freqs.weight";

/** What the configuration is read from. */
export type GgufContent = Pick<GgufFile, "path" | "metadata" | "shapes" | "readFloat32">;

/**
 * Reads what llama.cpp reads of a model, with its defaults; other keys of the architecture must be 0, false or empty.
 * Reference: ggml-org/llama.cpp, src/llama-model.cpp, `load_hparams`, and src/models/llama.cpp (a copy of unknown commit).
 *
 * @returns the configuration, without a padding token
 * @throws UserError for another architecture, and for what our models cannot do, each by its name
 */
export function ggufConfig(file: GgufContent): ModelConfig {
  const { path, metadata, shapes } = file;
  const { modelType, given, prefix } = readMetadata(file);
  const { qkvBias, qkNorm, gguf } = families[modelType];
  const heads = given["attention.head_count"];
  const headDim = given["attention.key_length"] ?? given.embedding_length / heads;
  checkHeadSizes(file, given, prefix, headDim);
  const vocabSize = shapes.get("token_embd.weight")?.[0];
  if (vocabSize === undefined) throw new UserError(`${path}: has no tensor token_embd.weight`);
  if (9 * given.block_count > shapes.size) {
    throw new UserError(
      `${path}: says it has ${given.block_count} layers (${prefix}block_count), but has ${shapes.size} tensors`,
    );
  }
  const { bosId, endIds } = ggufSpecialTokens(metadata, path);
  const config: ModelConfig = {
    ...{ modelType, qkvBias, qkNorm, slidingWindow: null },
    noRopeLayers:
      gguf.noRopeInterval === null ? [] : everyNthLayer(gguf.noRopeInterval, given.block_count),
    vocabSize,
    dim: given.embedding_length,
    layers: given.block_count,
    heads,
    kvHeads: given["attention.head_count_kv"] ?? heads,
    headDim,
    ffnDim: given.feed_forward_length,
    // Metadata are float32: 1e-5 comes out as 9.999999747378752e-6.
    normEpsilon: shortest(given["attention.layer_norm_rms_epsilon"]),
    ropeTheta: shortest(given["rope.freq_base"]),
    ropeScaling: linearScaling(given),
    tieEmbeddings: !shapes.has("output.weight"),
    maxPositions: given.context_length,
    initializerStd: 0.02, // for weights that a training adds; not in the file
    ...(bosId !== undefined && { bosId }),
    eosIds: endIds,
  };
  checkConsistency(config, path);
  if (!shapes.has(ropeDivisors)) return config;
  return { ...config, ropeScaling: divisorScaling(config, file) };
}

/** The keys that are read, those of the architecture without its name. */
function readMetadata(file: GgufContent) {
  const { path, metadata } = file;
  const values = Object.fromEntries(metadata);
  const architecture = [...modelTypeOf.keys()].find(
    (name) => name === values["general.architecture"],
  );
  const prefix = `${architecture ?? "llama"}.`; // another one is named with the other mistakes
  const prefixed = Object.entries(ownKeys).map(([key, schema]) => [prefix + key, schema]);
  const schema = z.looseObject({ ...generalKeys, ...Object.fromEntries(prefixed) });
  const problems = findMistakes(schema, [], values).map(({ text }) => text);
  if (problems.length > 0)
    throw new UserError(`${path}: cannot use this model:\n${firstOf(problems, "\n")}`);
  refuseOtherKeys(file, prefix);
  const own = Object.keys(ownKeys).map((key) => [key, values[prefix + key]]);
  const given = ownSchema.parse(Object.fromEntries(own));
  return { modelType: modelTypeOf.get(architecture!)!, given, prefix };
}

/** Our heads have one size, and are rotated whole. */
function checkHeadSizes(
  { path }: GgufContent,
  given: Metadata,
  prefix: string,
  headDim: number,
): void {
  for (const name of ["attention.value_length", "rope.dimension_count"] as const) {
    const found = given[name] ?? headDim;
    if (found === headDim) continue;
    throw new UserError(
      `${path}: cannot use this model: ${prefix}${name} is ${found}, not ${headDim}`,
    );
  }
}

/** The scaling that a file has as divisors. */
function divisorScaling(config: ModelConfig, file: GgufContent): Llama3RopeScaling {
  const { gguf } = families[config.modelType];
  if (!gguf.hasRopeDivisors) {
    throw new UserError(
      `${file.path}: cannot use this model: it has ${ropeDivisors}, which llama.cpp does not read in the architecture ${gguf.architecture}`,
    );
  }
  if (config.ropeScaling !== null) {
    throw new UserError(
      `${file.path}: cannot use this model: it has both linear scaling of its positions and ${ropeDivisors}`,
    );
  }
  return llama3Scaling(config, file);
}

/** Keys like `llama.logit_scale` would change what is computed, or mean nothing to us, which cannot be told apart. */
function refuseOtherKeys({ path, metadata }: GgufContent, prefix: string): void {
  for (const [key, value] of metadata) {
    const own = key.startsWith(prefix) ? key.slice(prefix.length) : undefined;
    if (own === undefined || Object.hasOwn(ownKeys, own) || harmlessKeys.has(own)) continue;
    const isInactive = [0, false, ""].some((inactive) => value === inactive);
    if (isInactive || (Array.isArray(value) && value.length === 0)) continue;
    throw new UserError(
      `${path}: cannot use this model: ${quote(key)} is ${show(value)}; the models that are supported have no such key`,
    );
  }
}

/** The number of fewest digits that rounds to the same float32. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === Math.fround(value)) return rounded;
  }
  return value;
}

/** The factor has an old and a new key; without a type it counts, too, and 0 is none. */
function linearScaling(given: Metadata): RopeScaling | null {
  const factor = given["rope.scaling.factor"] ?? given["rope.scale_linear"] ?? 0;
  if (given["rope.scaling.type"] === "none" || factor === 0 || factor === 1) return null;
  return { type: "linear", factor: shortest(factor) };
}

/**
 * Finds the settings behind the divisors: the largest is the factor, and one on the ramp between the two bands gives the
 * original positions, with the bounds 1 and 4 that every published LLaMA has. All divisors are then checked.
 */
function llama3Scaling(config: ModelConfig, file: GgufContent): Llama3RopeScaling {
  const plain = ropeInverseFrequencies({ ...config, ropeScaling: null });
  const scaling =
    file.shapes.get(ropeDivisors)?.join() === String(plain.length)
      ? scalingBehind(file.readFloat32(ropeDivisors), plain, config)
      : undefined;
  if (scaling !== undefined) return scaling;
  throw new UserError(
    `${file.path}: ${ropeDivisors} is not LLaMA 3.1's scaling of the rotary frequencies, and no other is supported`,
  );
}

/** @returns undefined when there are no such settings */
function scalingBehind(
  divisors: Float32Array,
  plain: Float32Array,
  config: ModelConfig,
): Llama3RopeScaling | undefined {
  const factor = shortest(divisors.reduce((largest, divisor) => Math.max(largest, divisor)));
  const onRamp = divisors.findIndex((divisor) => divisor > 1 && divisor < factor);
  if (onRamp < 0) return undefined;
  const kept = (1 / divisors[onRamp]! - 1 / factor) / (1 - 1 / factor);
  const turns = 1 + 3 * kept; // of the original positions, at the frequency on the ramp
  const scaling: Llama3RopeScaling = {
    type: "llama3",
    factor,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositions: Math.round((turns * 2 * Math.PI) / plain[onRamp]!),
  };
  const scaled = ropeInverseFrequencies({ ...config, ropeScaling: scaling });
  const fits = divisors.every(
    (divisor, i) => Math.abs((divisor * scaled[i]!) / plain[i]! - 1) < 1e-5,
  );
  return fits ? scaling : undefined;
}

/** Whether a weight's rows are queries or keys, and llama.cpp has them in another order. */
export function isInterleaved({ modelType }: ModelConfig, name: string): boolean {
  return families[modelType].gguf.rotatesNeighbours && /\.(q|k)_proj\.weight$/.test(name);
}

/**
 * The weights in float32 under Hugging Face's names; each is read when its `data` are asked for, so the file must stay open.
 *
 * @throws UserError when one is missing, superfluous (a bias, an expert) or misshapen
 */
export function ggufWeights(file: GgufFile, config: ModelConfig): Map<string, TensorToWrite> {
  const { path, shapes } = file;
  const unused = new Set(shapes.keys());
  unused.delete(ropeDivisors);
  const weights = new Map<string, TensorToWrite>();
  for (const { name, gguf: source, shape } of modelWeights(config)) {
    const found = shapes.get(source);
    if (found?.join() !== shape.join()) {
      const state = found === undefined ? "is missing" : `has the shape [${found}]`;
      throw new UserError(
        `${path}: tensor ${source} ${state}, expected [${shape}] from the metadata`,
      );
    }
    unused.delete(source);
    weights.set(name, {
      dtype: "F32",
      shape,
      get data() {
        const values = file.readFloat32(source);
        checkFinite(values, shape, source, path);
        return isInterleaved(config, name) ? intoHalves(values, config.headDim, shape[1]!) : values;
      },
    });
  }
  const [superfluous] = unused;
  if (superfluous !== undefined) {
    throw new UserError(
      `${path}: tensor ${quote(superfluous)} is not a weight of the model that the metadata describe, so it cannot be used`,
    );
  }
  return weights;
}

/**
 * Reorders the rows of queries or keys. llama.cpp turns neighbours 2i and 2i + 1 of a head together, Hugging Face's LLaMA
 * turns i and i + headDim / 2.
 */
function intoHalves(rows: Float32Array, headDim: number, dim: number): Float32Array {
  const result = new Float32Array(rows.length);
  for (let row = 0; row < rows.length / dim; row++) {
    const inHead = row % headDim;
    const place = row - inHead + Math.floor(inHead / 2) + (inHead % 2) * (headDim / 2);
    result.set(rows.subarray(row * dim, (row + 1) * dim), place * dim);
  }
  return result;
}
