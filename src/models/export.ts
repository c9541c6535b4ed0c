// Export: a model leaves as a Hugging Face folder for other tools, and gets its name only when it was read back and found to be
// its source. One model is in memory at a time, one weight of it twice.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { formatPrompt } from "../data/prompt.ts";
import { messageOf, UserError } from "../errors.ts";
import { type Disk, nodeDisk } from "../formats/disk.ts";
import { writeFreshFolder } from "../formats/freshFolder.ts";
import {
  narrow,
  openSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from "../formats/safetensors.ts";
import type { FloatDtype, TensorData } from "../formats/safetensorsHeader.ts";
import { checkFinite } from "../model/finite.ts";
import { compareLogits, type LogitComparison } from "../model/logits.ts";
import { saveWeights, type WeightFormat, weightFiles } from "../model/model.ts";
import { Rng } from "../rng.ts";
import { type Exportable, openExportable } from "./exportable.ts";

export interface ExportOptions extends WeightFormat {
  /** Whether the value head of a ReFT checkpoint goes along. */
  readonly valueHead: boolean;
}

export interface ExportReport extends LogitComparison {
  /** Size of all files together. */
  readonly bytes: number;
  /** How many of them hold weights. */
  readonly weightFiles: number;
  /** Of what an adapter changes, how much rounding to the export's type loses; undefined without an adapter. */
  readonly mergeLoss: number | undefined;
}

/** Where a ReFT checkpoint has its value head. */
const valueHeadSource = join("training", "value_head.safetensors");
/** The names by which LLaMA-Factory and TRL's AutoModelForCausalLMWithValueHead know file and weights. */
const valueHeadFile = "value_head.safetensors";
const valueHeadNames = [
  ["value_head.weight", "v_head.summary.weight"],
  ["value_head.bias", "v_head.summary.bias"],
] as const;

/** Relative to the largest logit. Equal weights give equal bits on a CPU; this leaves 8 roundings of float32 to others. */
const logitTolerance = 1e-6;
/** One product in place of two and a sum rounds otherwise. */
const mergeTolerance = 1e-4;

/**
 * Writes a model into a fresh folder: aside, read back, compared, renamed. Two things must hold. Every weight equals the source's,
 * rounded to nearest even, bit for bit. And the logits of the folder, loaded anew, equal those of the source's configuration with
 * these weights. So rounding is all that sets the export apart from its source, and the report says what it does to the logits.
 *
 * @param source folder of a model, a classifier or a checkpoint of either
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
  return writeFreshFolder(output, disk, (folder) => {
    const comparison = writeAndCompare(source, folder, options, disk);
    const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
    const bytes = sizes.reduce((a, b) => a + b);
    return { ...comparison, bytes, weightFiles: weightFiles(folder).length };
  });
}

function writeAndCompare(
  source: string,
  folder: string,
  options: ExportOptions,
  disk: Disk,
): LogitComparison & Pick<ExportReport, "mergeLoss"> {
  const valueHead = options.valueHead ? readValueHead(source) : undefined;
  const model = openExportable(source);
  try {
    const prompts = fixedPrompts(model);
    const original = model.logits(prompts);
    const mergeLoss = model.merge(options.dtype);
    if (mergeLoss !== undefined)
      asFailedCheck(() => checkLogits(original, model.logits(prompts), mergeTolerance));
    checkRange(model, options.dtype, source);
    const files = model.files(options.dtype);
    for (const [name, content] of files) {
      if (dirname(name) !== ".") disk.makeFolder(join(folder, dirname(name)));
      disk.write(join(folder, name), content);
    }
    saveWeights(model.parameters, folder, options);
    if (valueHead) writeSafetensors(join(folder, valueHeadFile), valueHead);
    for (const name of readdirSync(folder)) disk.sync(join(folder, name));
    disk.sync(folder);
    return asFailedCheck(() => {
      for (const [name, content] of files) checkContent(join(folder, name), content);
      if (valueHead) checkValueHead(join(folder, valueHeadFile), valueHead);
      for (const path of weightFiles(folder)) takeWeights(model, path, options.dtype);
      const expected = model.logits(prompts);
      model.dispose();
      const found = reloadedLogits(folder, prompts);
      checkLogits(expected, found, logitTolerance);
      return { ...compareLogits(original, found, model.width), mergeLoss };
    });
  } finally {
    model.dispose();
  }
}

/** The smallest magnitudes that round to infinity. */
const overflows: Readonly<Record<FloatDtype, number>> = {
  F32: Number.POSITIVE_INFINITY,
  F16: 65_520,
  BF16: (2 - 2 ** -8) * 2 ** 127,
};

function checkRange(model: Exportable, dtype: FloatDtype, source: string): void {
  for (const [name, variable] of model.parameters) {
    const value = variable.values().find((v) => Math.abs(v) >= overflows[dtype]);
    if (value === undefined) continue;
    throw new UserError(
      `${source}: ${name} holds ${value}, which ${dtype} cannot hold; export as bf16 or f32`,
    );
  }
}

/** In float32 whatever the model's type, as TRL computes it. */
function readValueHead(source: string): Map<string, TensorToWrite> {
  const path = join(source, valueHeadSource);
  if (!existsSync(path))
    throw new UserError(
      `${path}: missing, but valueHead expects a checkpoint of train-reft, which has a value head; give one, or leave the option out`,
    );
  using file = openSafetensors(path);
  const tensors = valueHeadNames.map(([name, exported]) => {
    const data = file.readFloat32(name);
    const { shape } = file.tensors.get(name)!;
    checkFinite(data, shape, name, path);
    return [exported, { dtype: "F32", shape, data }] as const;
  });
  return new Map(tensors);
}

/** Random tokens, which reach rows of the embedding that no text does, and a text. */
function fixedPrompts({ config, tokenizer }: Exportable): number[][] {
  const rng = Rng.named(0, "export");
  const length = Math.min(32, config.maxPositions);
  const random = Array.from({ length: 8 }, () =>
    Array.from({ length }, () => rng.integer(config.vocabSize)),
  );
  const text = formatPrompt("Ann has 3 boxes of 12 pens and gives 5 away. How many are left?");
  return [...random, tokenizer.encode(text).slice(0, config.maxPositions)];
}

// --- The comparison ---

/** Runs a check of what was written. @throws UserError in place of whatever it throws */
export function asFailedCheck<T>(check: () => T): T {
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

function checkContent(path: string, expected: string | Uint8Array): void {
  if (readFileSync(path).equals(Buffer.from(expected))) return;
  throw new Error(`${path}: not what was written`);
}

function checkValueHead(path: string, expected: ReadonlyMap<string, TensorToWrite>): void {
  using file = openSafetensors(path);
  for (const [name, { data }] of expected) checkEqual(file.read(name), data, name, path);
}

/** Checks a file's weights against the model's, then gives the model those of the file, which are rounded. */
function takeWeights(model: Exportable, path: string, dtype: FloatDtype): void {
  using file = openSafetensors(path);
  for (const [name, found] of file.tensors) {
    const variable = model.parameters.get(name);
    if (variable === undefined) continue; // loading the folder names it
    if (found.dtype !== dtype) throw new Error(`${path}: ${name} is ${found.dtype}, not ${dtype}`);
    checkEqual(file.read(name), narrow(variable.values(), dtype), name, path);
    variable.load(file.readFloat32(name));
  }
}

/** @throws Error that names the first number of a weight that is not the source's, bit for bit */
export function checkEqual(
  found: TensorData,
  expected: TensorData,
  name: string,
  path: string,
): void {
  const [a, b] = [found, expected].map((data) =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  ) as [Buffer, Buffer];
  if (a.equals(b)) return;
  const place = Math.floor(a.findIndex((byte, i) => byte !== b[i]) / found.BYTES_PER_ELEMENT);
  throw new Error(`${path}: ${name}: number ${place} is not the source's`);
}

function reloadedLogits(folder: string, prompts: readonly number[][]): Float32Array[] {
  const model = openExportable(folder);
  try {
    return model.logits(prompts);
  } finally {
    model.dispose();
  }
}

function checkLogits(
  expected: readonly Float32Array[],
  found: readonly Float32Array[],
  tolerance: number,
): void {
  let [difference, largest] = [0, 0];
  expected.forEach((logits, i) => {
    logits.forEach((logit, k) => {
      difference = Math.max(difference, Math.abs(logit - found[i]![k]!));
      largest = Math.max(largest, Math.abs(logit));
    });
  });
  if (difference <= tolerance * largest) return; // false for NaN, which Math.max hands on
  throw new Error(
    `logits differ by up to ${difference} from those of the source with the same weights`,
  );
}
