// A LLaMA's weights: which there are, reading them from a Hugging Face folder, drawing fresh ones, writing them.
// The names are Hugging Face's throughout, so nothing is renamed on the way in or out.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { usesNativeOps } from "../engine/tf.ts";
import { Variable } from "../engine/variable.ts";
import { show, UserError } from "../errors.ts";
import { isThere } from "../folders.ts";
import type { FilePlace } from "../formats/fileAccess.ts";
import { jsonText, parseJson, readText, writeFileAtomically } from "../formats/jsonl.ts";
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorToWrite,
  writeSafetensors,
} from "../formats/safetensors.ts";
import { byteLengthOf, type FloatDtype, weightName } from "../formats/safetensorsHeader.ts";
import type { Rng } from "../rng.ts";
import {
  type Adapter,
  type AdapterFolder,
  adapterWeights,
  adapterWeightsName,
  disposeAdapter,
  loadAdapter,
  readAdapterFolder,
  writeAdapterConfig,
} from "./adapter.ts";
import { type ModelConfig, readEndIds, readModelConfig, toHuggingFaceConfig } from "./config.ts";
import { checkFinite } from "./finite.ts";
import { describeOtherKind } from "./folderKind.ts";
import { EMBEDDING, modelWeights, OUTPUT } from "./modelWeights.ts";

/** A model in memory. Whoever makes it disposes it with `disposeModel`. */
export interface Model {
  readonly config: ModelConfig;
  /** By Hugging Face's name, in the order of `parameterShapes`. */
  readonly parameters: ReadonlyMap<string, Variable>;
  /** What is trained beside frozen weights. */
  readonly adapter?: Adapter;
}

/** A weight in a file, not yet read. */
interface StoredWeight extends TensorToWrite {
  /** Where it stands, if it is bf16. */
  readonly bf16?: FilePlace;
}

/** Name and shape of every weight of a model, in the model's order. */
export function parameterShapes(config: ModelConfig): Map<string, readonly number[]> {
  return new Map(modelWeights(config).map(({ name, shape }) => [name, shape]));
}

/** Name of the matrix that turns hidden states into logits. */
export function outputWeightName(config: ModelConfig): string {
  return config.tieEmbeddings ? EMBEDDING : OUTPUT;
}

/** Number of weights. */
export function parameterCount(config: ModelConfig): number {
  const sizes = [...parameterShapes(config).values()].map((shape) =>
    shape.reduce((a, b) => a * b, 1),
  );
  return sizes.reduce((a, b) => a + b, 0);
}

/** Fresh weights: normal with `initializerStd`, norms 1, biases 0. */
export function createModel(config: ModelConfig, rng: Rng): Model {
  const parameters = new Map<string, Variable>();
  for (const [name, shape] of parameterShapes(config)) {
    const size = shape.reduce((a, b) => a * b, 1);
    const constant = name.endsWith(".bias") ? 0 : 1;
    const draw = () => (shape.length === 1 ? constant : rng.normal() * config.initializerStd);
    parameters.set(name, new Variable(name, shape, Float32Array.from({ length: size }, draw)));
  }
  return { config, parameters };
}

export function disposeModel({ parameters, adapter }: Model): void {
  for (const variable of parameters.values()) variable.dispose();
  if (adapter) disposeAdapter(adapter);
}

/** What training changes: the adapter, or everything. */
export function trainedVariables({
  parameters,
  adapter,
}: Pick<Model, "parameters" | "adapter">): ReadonlyMap<string, Variable> {
  return adapter?.variables ?? parameters;
}

/**
 * How a model's matrices are held: as float32, or as bf16, which takes half the memory and cannot be trained. "stored" is bf16 where the
 * files have nothing else, so that no number changes; on a GPU it is float32, because there each use would widen anew.
 */
export type HeldAs = "float32" | "bf16" | "stored";

/**
 * Reads a Hugging Face folder: config.json and model.safetensors or its shards, or an adapter and its base model. Vectors are always
 * held as float32.
 *
 * @param weights "bf16" is for files of bf16 alone
 * @throws UserError when a file or weight is missing, superfluous, misshapen or damaged
 */
export function loadModel(folder: string, weights: HeldAs = "float32"): Model {
  const adapted = languageAdapter(folder);
  const from = adapted?.base ?? folder;
  const found = openWeights(from);
  const base = { config: found.config, parameters: toVariables(found.weights, weights, from) };
  if (!adapted) return base;
  try {
    const adapter = loadAdapter(folder, adapted, parameterShapes(base.config));
    return { ...base, config: withEndIds(base.config, folder), adapter };
  } catch (error) {
    disposeModel(base);
    throw error;
  }
}

/** A base model's configuration with what else ends a response by an adapter's folder. */
export function withEndIds(base: ModelConfig, folder: string): ModelConfig {
  return { ...base, eosIds: readEndIds(base.eosIds, base.vocabSize, folder) };
}

/** @throws UserError for the adapter of a classifier */
export function languageAdapter(folder: string): AdapterFolder | undefined {
  const adapted = readAdapterFolder(folder);
  if (!adapted?.isClassifier) return adapted;
  throw new UserError(
    `${folder}: expected a language model, found the adapter of a classifier (task_type SEQ_CLS); give the model that it judges`,
  );
}

/**
 * The configuration and the weights of a Hugging Face folder, without holding these: each is read, widened to float32 and
 * checked when its `data` are asked for.
 *
 * A folder's files may have an output matrix although config.json ties it to the embedding. As transformers does: a matrix that
 * differs from the embedding is not tied, and one without an embedding beside it is the embedding, too.
 * Reference: transformers 5.23, `PreTrainedModel.tie_weights`.
 *
 * @returns weights in the order of `parameterShapes`
 * @throws UserError when a file or weight is missing, superfluous or misshapen; asking for `data` throws it for damaged ones
 */
export function openWeights(folder: string): {
  config: ModelConfig;
  weights: ReadonlyMap<string, StoredWeight>;
} {
  const config = readModelConfig(folder);
  const names = config.tieEmbeddings ? weightNames(folder) : undefined;
  if (!names?.has(OUTPUT)) return { config, weights: findWeights(folder, parameterShapes(config)) };
  const untied = { ...config, tieEmbeddings: false };
  const shapes = parameterShapes(untied);
  if (!names.has(EMBEDDING)) shapes.delete(EMBEDDING);
  const weights = findWeights(folder, shapes);
  const output = weights.get(OUTPUT)!;
  const embedding = weights.get(EMBEDDING);
  if (embedding !== undefined && differ(embedding, output)) return { config: untied, weights };
  weights.delete(OUTPUT);
  return { config, weights: new Map([[EMBEDDING, embedding ?? output], ...weights]) };
}

function differ(a: StoredWeight, b: StoredWeight): boolean {
  const [left, right] = [a.data, b.data];
  return left.some((value, i) => value !== right[i]);
}

/**
 * The configuration of a folder's model, or of the base model of its adapter.
 *
 * @throws UserError, sooner than `loadModel`, for a folder without a model of this kind
 */
export function checkHoldsModel(path: string): ModelConfig {
  const folder = languageAdapter(path)?.base ?? path;
  const config = readModelConfig(folder);
  weightFiles(folder);
  return config;
}

/** What is known of a folder's model, or of the base model of its adapter, before its weights are read. */
export function describeModel(path: string): {
  readonly config: ModelConfig;
  /** Whether its files have all matrices as bf16. */
  readonly isBf16: boolean;
  readonly adapter: AdapterFolder | undefined;
} {
  const adapter = languageAdapter(path);
  const { config, weights } = openWeights(adapter?.base ?? path);
  return { config, isBf16: areBf16(weights), adapter };
}

/** Names of all weights in a folder's files. */
function weightNames(folder: string): Set<string> {
  const names = weightFiles(folder).flatMap((path) => {
    using file = openSafetensors(path);
    return [...file.tensors.keys()];
  });
  return new Set(names);
}

/**
 * Reads the weights of a Hugging Face folder.
 *
 * @param shapes of all weights that there must be
 * @returns in the order of `shapes`
 * @throws UserError when a file or weight is missing, superfluous, misshapen or not finite
 */
export function loadVariables(
  folder: string,
  shapes: ReadonlyMap<string, readonly number[]>,
  weights: HeldAs = "float32",
): Map<string, Variable> {
  return toVariables(findWeights(folder, shapes), weights, folder);
}

function areBf16(weights: ReadonlyMap<string, StoredWeight>): boolean {
  const matrices = [...weights.values()].filter(({ shape }) => shape.length === 2);
  return matrices.every(({ bf16 }) => bf16 !== undefined);
}

function toVariables(
  weights: ReadonlyMap<string, StoredWeight>,
  heldAs: HeldAs,
  folder: string,
): Map<string, Variable> {
  const isStored = areBf16(weights);
  const isBf16 = heldAs === "bf16" || (heldAs === "stored" && isStored && usesNativeOps);
  if (isBf16 && !isStored) {
    throw new UserError(
      `${folder}: model.weights: expected float32 for files that are not bf16 throughout, found bf16, which would train beside rounded ` +
        "weights; or export the model as bf16 first, reft export, and start from that folder",
    );
  }
  const parameters = new Map<string, Variable>();
  try {
    for (const [name, weight] of weights) {
      const isMatrix = weight.shape.length === 2;
      parameters.set(
        name,
        isBf16 && isMatrix ? bf16Variable(name, weight) : variable(name, weight),
      );
    }
  } catch (error) {
    for (const variable of parameters.values()) variable.dispose();
    throw error;
  }
  return parameters;
}

function variable(name: string, { shape, data }: StoredWeight): Variable {
  return new Variable(name, shape, data as Float32Array);
}

/** Straight from the file where that has bf16. */
function bf16Variable(name: string, weight: StoredWeight): Variable {
  try {
    return new Variable(name, weight.shape, weight.bf16);
  } catch (error) {
    void weight.data; // reads the same bytes, and says what is wrong with them
    throw error;
  }
}

/**
 * Finds the weights of a Hugging Face folder; each is read and checked when its `data` are asked for.
 *
 * @param shapes of all weights that there must be
 * @returns in the order of `shapes`, not the files': sums over all weights must not depend on where they came from
 * @throws UserError when a file or weight is missing, superfluous or misshapen
 */
function findWeights(
  folder: string,
  shapes: ReadonlyMap<string, readonly number[]>,
): Map<string, StoredWeight> {
  const found = new Map<string, StoredWeight>();
  const seen = new Set<string>();
  for (const path of weightFiles(folder)) {
    using file = openSafetensors(path);
    for (const name of file.tensors.keys()) {
      if (seen.has(name)) throw duplicate(path, name);
      seen.add(name);
      const shape = shapes.get(name);
      if (shape) found.set(name, weightIn(file, name, shape));
      else if (!isIgnored(name)) throw unexpected(path, name);
    }
  }
  const missing = [...shapes.keys()].filter((name) => !found.has(name));
  if (missing.length > 0) {
    const list = missing.slice(0, 3).join(", ") + (missing.length > 3 ? ", ..." : "");
    const verb = missing.length > 1 ? "are" : "is";
    throw new UserError(
      `${folder}: ${missing.length} of the weights that config.json asks for ${verb} missing: ${list}; ` +
        "fetch the files again, or the config.json that belongs to them",
    );
  }
  return new Map([...shapes.keys()].map((name) => [name, found.get(name)!]));
}

/** Writes config.json and model.safetensors (float32) as transformers does; of a model with an adapter, that alone as peft does. */
export function saveModel(model: Model, folder: string): void {
  if (model.adapter) {
    writeAdapterConfig(model.adapter, folder, "CAUSAL_LM");
    saveVariables(adapterWeights(model.adapter), join(folder, adapterWeightsName));
    return;
  }
  writeFileAtomically(join(folder, "config.json"), jsonText(toHuggingFaceConfig(model.config)));
  saveVariables(model.parameters, join(folder, "model.safetensors"));
}

export interface WeightFormat {
  /** 16-bit weights are rounded to nearest even. */
  readonly dtype: FloatDtype;
  /** Weights are shared out to files of at most so many bytes; a larger weight has a file of its own. */
  readonly maxShardBytes: number;
}

/** Writes model.safetensors, or shards and their index, as transformers does. */
export function saveWeights(
  parameters: ReadonlyMap<string, Variable>,
  folder: string,
  { dtype, maxShardBytes }: WeightFormat,
): void {
  const shapes = new Map([...parameters].map(([name, { shape }]) => [name, shape]));
  const shards = shardsOf(shapes, dtype, maxShardBytes);
  const names = shards.map((_, i) => shardName(i + 1, shards.length));
  shards.forEach((shard, i) => {
    const variables = [...shard.keys()].map((name) => [name, parameters.get(name)!] as const);
    saveVariables(new Map(variables), join(folder, names[i]!), dtype);
  });
  if (shards.length === 1) return;
  const places = shards.flatMap((shard, i) => [...shard.keys()].map((name) => [name, names[i]!]));
  const sizes = [...parameters.values()].map(({ size }) => size);
  const size = sizes.reduce((a, b) => a + b);
  const index = {
    metadata: { total_parameters: size, total_size: byteLengthOf(dtype, [size]) },
    weight_map: Object.fromEntries(places.toSorted(([a], [b]) => (a! < b! ? -1 : 1))),
  };
  writeFileAtomically(join(folder, "model.safetensors.index.json"), jsonText(index));
}

/** In the order given: a shard is closed when the next weight does not fit. */
export function shardsOf(
  shapes: ReadonlyMap<string, readonly number[]>,
  dtype: FloatDtype,
  maxShardBytes: number,
): Map<string, readonly number[]>[] {
  const shards = [new Map<string, readonly number[]>()];
  let bytes = 0;
  for (const [name, shape] of shapes) {
    const added = byteLengthOf(dtype, shape);
    if (bytes > 0 && bytes + added > maxShardBytes) {
      shards.push(new Map());
      bytes = 0;
    }
    shards.at(-1)!.set(name, shape);
    bytes += added;
  }
  return shards;
}

export function shardName(number: number, count: number): string {
  const digits = (n: number) => String(n).padStart(5, "0");
  return count === 1
    ? "model.safetensors"
    : `model-${digits(number)}-of-${digits(count)}.safetensors`;
}

/** Writes variables as safetensors, one in memory at a time. */
export function saveVariables(
  variables: ReadonlyMap<string, Pick<Variable, "shape" | "values">>,
  path: string,
  dtype: FloatDtype = "F32",
): void {
  const tensors = [...variables].map(([name, variable]) => {
    const tensor = {
      dtype,
      shape: variable.shape,
      get data() {
        return variable.values();
      },
    };
    return [name, tensor] as const;
  });
  writeSafetensors(path, new Map(tensors));
}

/** Paths of the files that hold a folder's weights. @throws UserError when one is missing */
export function weightFiles(folder: string): string[] {
  const single = join(folder, "model.safetensors");
  if (isThere(single)) return [single];
  const indexPath = join(folder, "model.safetensors.index.json");
  if (!isThere(indexPath)) {
    const kind = describeOtherKind(folder);
    throw new UserError(
      `${folder}: expected model.safetensors or model.safetensors.index.json, found neither` +
        (kind === undefined ? "" : `; ${kind}`),
    );
  }
  const shards = [...new Set(Object.values(readWeightMap(indexPath)))].sort();
  for (const shard of shards) {
    if (!existsSync(join(folder, shard))) {
      throw new UserError(
        `${indexPath} names the shard ${shard}, which is missing: copy it into ${folder}`,
      );
    }
  }
  return shards.map((shard) => join(folder, shard));
}

function readWeightMap(indexPath: string): Record<string, string> {
  const schema = z.looseObject({ weight_map: z.unknown().optional() });
  const { weight_map: map } = parseJson(readText(indexPath), indexPath, schema);
  const isFileName = (file: unknown) =>
    typeof file === "string" && /^[\w.-]+\.safetensors$/.test(file);
  const expected = `${indexPath}: expected "weight_map" from weight names to .safetensors files beside it`;
  if (typeof map !== "object" || map === null || Object.keys(map).length === 0) {
    const found = map === undefined ? "none" : show(map);
    throw new UserError(`${expected}, found ${found}; fetch the file again`);
  }
  if (!Object.values(map).every(isFileName)) throw new UserError(expected);
  return map as Record<string, string>;
}

function weightIn(file: SafetensorsFile, name: string, shape: readonly number[]): StoredWeight {
  const { path } = file;
  const { shape: found, dtype } = file.tensors.get(name)!;
  if (found.join() !== shape.join()) {
    throw new UserError(
      `${path}: ${name} has shape [${found}], expected [${shape}] from config.json; ` +
        "weights and config.json belong to different models",
    );
  }
  const read = file.laterFloat32(name); // by itself, since the folder may have many shards
  return {
    dtype: "F32",
    shape,
    ...(dtype === "BF16" && { bf16: file.placeOf(name) }),
    get data() {
      const values = read();
      checkFinite(values, shape, name, path);
      return values;
    },
  };
}

/** Weights that some files carry and the model does not need: of a classifier's, the language model's output matrix. */
function isIgnored(name: string): boolean {
  return name.endsWith("rotary_emb.inv_freq") || name === OUTPUT;
}

function unexpected(path: string, name: string): UserError {
  return new UserError(
    `${path}: ${weightName(name)} is not a weight of the model that config.json describes; ` +
      "weights and config.json belong to different models",
  );
}

function duplicate(path: string, name: string): UserError {
  return new UserError(`${path}: ${weightName(name)} is in another shard, too: keep one`);
}
