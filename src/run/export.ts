// Export: a model leaves as a Hugging Face folder for other tools, and gets its name only when it was read back and found to be
// its source. One model is in memory at a time, one weight of it twice.
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { parseJson, readText } from "../data/jsonl.ts";
import { formatPrompt } from "../data/prompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { messageOf, UserError } from "../errors.ts";
import { type ModelConfig, toGenerationConfig, toHuggingFaceConfig } from "../model/config.ts";
import { compareLogits, type LogitComparison, sequenceLogits } from "../model/logits.ts";
import { disposeModel, type Model, type WeightFormat, weightFiles } from "../model/model.ts";
import {
  narrow,
  openSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from "../model/safetensors.ts";
import type { FloatDtype, TensorData } from "../model/safetensorsHeader.ts";
import { Rng } from "../rng.ts";
import { type Disk, explainDiskErrors, nodeDisk } from "./disk.ts";
import { endTokens, loadModelFolder, readAnswerFormat, saveModelFolder } from "./modelFolder.ts";

export interface ExportOptions extends WeightFormat {
  /** Whether the value head of a ReFT checkpoint goes along. */
  readonly valueHead: boolean;
}

export interface ExportReport extends LogitComparison {
  /** Size of all files together. */
  readonly bytes: number;
  /** How many of them hold weights. */
  readonly weightFiles: number;
}

/** Where a ReFT checkpoint has its value head. */
const valueHeadSource = join("training", "value_head.safetensors");
/** The names by which LLaMA-Factory and TRL's AutoModelForCausalLMWithValueHead know file and weights. */
const valueHeadFile = "value_head.safetensors";
const generationFile = "generation_config.json";
const valueHeadNames = [
  ["value_head.weight", "v_head.summary.weight"],
  ["value_head.bias", "v_head.summary.bias"],
] as const;

/** Relative to the largest logit. Equal weights give equal bits on a CPU; this leaves 8 roundings of float32 to others. */
const logitTolerance = 1e-6;

/**
 * Writes a model into a fresh folder: aside, read back, compared, renamed. Two things must hold. Every weight equals the source's,
 * rounded to nearest even, bit for bit. And the logits of the folder, loaded anew, equal those of the source's configuration with
 * these weights. So rounding is all that sets the export apart from its source, and the report says what it does to the logits.
 *
 * @param source folder of a model or checkpoint
 * @returns the comparison of the export with its source on fixed prompts
 * @throws UserError when the output is in use, a weight does not fit into the type, the disk refuses, or the comparison fails;
 * no file is left then
 */
export function exportModel(
  source: string,
  output: string,
  options: ExportOptions,
  disk: Disk = nodeDisk,
): ExportReport {
  checkFresh(output);
  const target = resolve(output);
  const aside = join(dirname(target), `.${basename(target)}.tmp`);
  const remove = () => disk.remove(aside);
  try {
    return explainDiskErrors(`the export ${output}`, "Then give the same command again.", () => {
      remove();
      disk.makeFolder(aside);
      const comparison = writeAndCompare(source, aside, options, disk);
      const files = readdirSync(aside).map((name) => statSync(join(aside, name)));
      const bytes = files.reduce((sum, { size }) => sum + size, 0);
      const report = { ...comparison, bytes, weightFiles: weightFiles(aside).length };
      disk.rename(aside, target);
      disk.sync(dirname(target));
      return report;
    });
  } catch (error) {
    attemptTo(remove); // half an export would keep a full disk full
    throw error;
  }
}

function checkFresh(output: string): void {
  if (!existsSync(output)) return;
  if (statSync(output).isDirectory() && readdirSync(output).length === 0) return;
  throw new UserError(
    `${output}: expected a new or empty folder, found files; give another --output`,
  );
}

function attemptTo(action: () => void): void {
  try {
    action();
  } catch {
    // The first error is the one to report; the next export to the same place removes what is left.
  }
}

function writeAndCompare(
  source: string,
  folder: string,
  options: ExportOptions,
  disk: Disk,
): LogitComparison {
  const { dtype } = options;
  const valueHead = options.valueHead ? readValueHead(source) : new Map();
  const format = readAnswerFormat(source);
  const { model, tokenizer } = loadModelFolder(source);
  try {
    const { config } = model;
    checkRange(model, dtype, source);
    const prompts = fixedPrompts(config, tokenizer);
    const original = sequenceLogits(model, prompts);
    const generation = toGenerationConfig(config, endTokens(model, tokenizer));
    saveModelFolder(folder, model, tokenizer, format, options);
    disk.write(join(folder, generationFile), `${JSON.stringify(generation, null, 2)}\n`);
    if (options.valueHead) writeSafetensors(join(folder, valueHeadFile), valueHead);
    for (const name of readdirSync(folder)) disk.sync(join(folder, name));
    disk.sync(folder);
    return asFailedCheck(() => {
      checkJson(join(folder, "config.json"), toHuggingFaceConfig(config, dtype));
      checkJson(join(folder, generationFile), generation);
      checkJson(join(folder, "tokenizer.json"), tokenizer.files.tokenizerJson);
      checkJson(join(folder, "tokenizer_config.json"), tokenizer.files.tokenizerConfig);
      if (format) checkJson(join(folder, "reft.json"), format);
      if (options.valueHead) checkValueHead(join(folder, valueHeadFile), valueHead);
      for (const path of weightFiles(folder)) takeWeights(model, path, dtype);
      const expected = sequenceLogits(model, prompts);
      disposeModel(model);
      const found = reloadedLogits(folder, prompts);
      checkLogits(expected, found);
      return compareLogits(original, found, config.vocabSize);
    });
  } finally {
    disposeModel(model);
  }
}

/** The smallest magnitudes that round to infinity. */
const overflows: Readonly<Record<FloatDtype, number>> = {
  F32: Number.POSITIVE_INFINITY,
  F16: 65_520,
  BF16: (2 - 2 ** -8) * 2 ** 127,
};

function checkRange(model: Model, dtype: FloatDtype, source: string): void {
  for (const [name, variable] of model.parameters) {
    const value = variable.values().find((v) => !(Math.abs(v) < overflows[dtype]));
    if (value === undefined) continue;
    const advice = Number.isFinite(value) ? "export with --dtype bf16 or f32" : "use another model";
    throw new UserError(`${source}: ${name} holds ${value}, which ${dtype} cannot hold; ${advice}`);
  }
}

/** In float32 whatever the model's type, as TRL computes it. */
function readValueHead(source: string): Map<string, TensorToWrite> {
  const path = join(source, valueHeadSource);
  if (!existsSync(path))
    throw new UserError(
      `${path}: missing, but --value-head expects a checkpoint of train-reft, which has a value head`,
    );
  using file = openSafetensors(path);
  const tensors = valueHeadNames.map(([name, exported]) => {
    const data = file.readFloat32(name);
    return [exported, { dtype: "F32", shape: file.tensors.get(name)!.shape, data }] as const;
  });
  return new Map(tensors);
}

// --- The comparison ---

function asFailedCheck<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw new UserError(
      `the export failed its check and was removed: ${messageOf(error)}. ` +
        "Try another disk; if that fails, too, suspect the memory.",
      { cause: error },
    );
  }
}

function checkJson(path: string, expected: unknown): void {
  const found = parseJson(readText(path), path, z.unknown());
  if (JSON.stringify(found) === JSON.stringify(expected)) return;
  throw new Error(`${path}: not what was written`);
}

function checkValueHead(path: string, expected: ReadonlyMap<string, TensorToWrite>): void {
  using file = openSafetensors(path);
  for (const [name, { data }] of expected) checkEqual(file.read(name), data, name, path);
}

/** Checks a file's weights against the model's, then gives the model those of the file, which are rounded. */
function takeWeights(model: Model, path: string, dtype: FloatDtype): void {
  using file = openSafetensors(path);
  for (const [name, found] of file.tensors) {
    const variable = model.parameters.get(name);
    if (variable === undefined) continue; // loading the folder names it
    if (found.dtype !== dtype) throw new Error(`${path}: ${name} is ${found.dtype}, not ${dtype}`);
    checkEqual(file.read(name), narrow(variable.values(), dtype), name, path);
    variable.load(file.readFloat32(name));
  }
}

function checkEqual(found: TensorData, expected: TensorData, name: string, path: string): void {
  const [a, b] = [found, expected].map((data) => Buffer.from(data.buffer)) as [Buffer, Buffer];
  if (a.equals(b)) return;
  const place = Math.floor(a.findIndex((byte, i) => byte !== b[i]) / found.BYTES_PER_ELEMENT);
  throw new Error(`${path}: ${name}: number ${place} is not the source's`);
}

/** Random tokens, which reach rows of the embedding that no text does, and a text. */
function fixedPrompts(config: ModelConfig, tokenizer: Tokenizer): number[][] {
  const rng = Rng.named(0, "export");
  const length = Math.min(32, config.maxPositions);
  const random = Array.from({ length: 4 }, () =>
    Array.from({ length }, () => rng.integer(config.vocabSize)),
  );
  const text = formatPrompt("Ann has 3 boxes of 12 pens and gives 5 away. How many are left?");
  return [...random, tokenizer.encode(text).slice(0, config.maxPositions)];
}

function reloadedLogits(folder: string, prompts: readonly number[][]): Float32Array[] {
  const { model } = loadModelFolder(folder);
  try {
    return sequenceLogits(model, prompts);
  } finally {
    disposeModel(model);
  }
}

function checkLogits(expected: readonly Float32Array[], found: readonly Float32Array[]): void {
  let [difference, largest] = [0, 0];
  expected.forEach((logits, i) => {
    logits.forEach((logit, k) => {
      difference = Math.max(difference, Math.abs(logit - found[i]![k]!));
      largest = Math.max(largest, Math.abs(logit));
    });
  });
  if (difference <= logitTolerance * largest) return; // false for NaN, which Math.max hands on
  throw new Error(
    `logits differ by up to ${difference} from those of the source with the same weights`,
  );
}
