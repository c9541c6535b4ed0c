// Export as a GGUF file, for llama.cpp and what is built on it. As with a Hugging Face folder (export.ts) the output gets its name
// only when it was read back and found to be its source. One weight is in memory at a time.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { formatPrompt } from "../data/prompt.ts";
import { createTokenizer, loadTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { UserError } from "../errors.ts";
import { type Disk, nodeDisk } from "../formats/disk.ts";
import { writeFreshFolder } from "../formats/freshFolder.ts";
import { type GgufFile, openGguf } from "../formats/gguf.ts";
import { type GgufDtype, roundedToGguf } from "../formats/ggufQuantize.ts";
import {
  type GgufTensorToWrite,
  type GgufWritten,
  readBack,
  writeGguf,
} from "../formats/ggufWriter.ts";
import type { TensorToWrite } from "../formats/safetensors.ts";
import { type Adapter, disposeAdapter, loadAdapter, readAdapterFolder } from "../model/adapter.ts";
import { isClassifier } from "../model/classifier.ts";
import type { ModelConfig } from "../model/config.ts";
import { endTokens } from "../model/ending.ts";
import { checkHoldsModel, openWeights, parameterShapes, withEndIds } from "../model/model.ts";
import { asFailedCheck, checkEqual } from "./export.ts";
import { ggufConfig, ggufWeights } from "./ggufModel.ts";
import { tokenizerFromGguf } from "./ggufTokenizer.ts";
import { adapterDelta, createMergeLoss, mergedWeights } from "./mergeAdapter.ts";
import {
  type AnswerFormat,
  checkVocabulary,
  readAnswerFormat,
  tokenizerFolderOf,
} from "./modelFolder.ts";
import { modelfile } from "./modelfile.ts";
import { ggufDtypeOf, modelToGguf, tensorsToGguf } from "./modelToGguf.ts";
import { tokenizerToGguf } from "./tokenizerToGguf.ts";

export interface GgufExportOptions {
  readonly dtype: GgufDtype;
  /** Whether a Modelfile for Ollama is written, too. */
  readonly modelfile: boolean;
}

export interface GgufExportReport {
  /** Size of all files together. */
  readonly bytes: number;
  /** How many it has. */
  readonly tensors: number;
  /** How far rounding moves a weight at most. */
  readonly maxDifference: number;
  /** Of what an adapter changes, how much rounding loses; undefined without an adapter. */
  readonly mergeLoss: number | undefined;
}

/** All of these have one name, so that commands in other tools stay the same. */
const [ggufName, modelfileName] = ["model.gguf", "Modelfile"];

/**
 * Writes model.gguf, and a Modelfile where asked, into a fresh folder: aside, read back, compared, renamed. Read by the importer,
 * the file must have the source's configuration, its tokens for some texts, and every weight, rounded as its type says, bit for bit.
 *
 * @param source folder of a language model or of a checkpoint of one
 * @throws UserError when the output is in use, a GGUF file cannot express the model, a weight does not fit into the type, the disk
 * refuses, or the comparison fails; no file is left then
 */
export function exportGguf(
  source: string,
  output: string,
  options: GgufExportOptions,
  disk: Disk = nodeDisk,
): GgufExportReport {
  return writeFreshFolder(output, disk, (folder) => {
    using opened = openMerged(source);
    const content = contentOf(source, opened, options.dtype);
    const text = options.modelfile ? modelfileOf(source, content) : undefined;
    const path = join(folder, ggufName);
    writeGguf(path, content.metadata, content.tensors);
    if (text !== undefined) disk.write(join(folder, modelfileName), text);
    for (const name of readdirSync(folder)) disk.sync(join(folder, name));
    disk.sync(folder);
    const rounding = asFailedCheck(() => checkFile(path, content, options.dtype));
    const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
    return { bytes: sizes.reduce((a, b) => a + b), tensors: content.tensors.size, ...rounding };
  });
}

/** A model's weights, the adapter added where there is one, each read when its `data` are asked for. */
interface Opened extends Disposable {
  readonly config: ModelConfig;
  readonly adapter: Adapter | undefined;
  /** Under Hugging Face's names. */
  readonly weights: ReadonlyMap<string, TensorToWrite>;
}

interface Content extends Pick<Opened, "config" | "adapter" | "weights"> {
  readonly tokenizer: Tokenizer;
  readonly format: AnswerFormat | undefined;
  readonly endIds: readonly number[];
  readonly metadata: ReadonlyMap<string, GgufWritten>;
  readonly tensors: ReadonlyMap<string, GgufTensorToWrite>;
}

function openMerged(source: string): Opened {
  if (isClassifier(source)) {
    throw new UserError(
      `${source}: a classifier (train-rerank) cannot be exported as a GGUF file, whose models write text; ` +
        "export it as a Hugging Face folder",
    );
  }
  checkHoldsModel(source);
  const adapted = readAdapterFolder(source);
  const { config, weights } = openWeights(adapted?.base ?? source);
  if (!adapted) return { config, weights, adapter: undefined, [Symbol.dispose]: () => {} };
  const adapter = loadAdapter(source, adapted, parameterShapes(config));
  return {
    config: withEndIds(config, source),
    weights: mergedWeights(weights, adapter),
    adapter,
    [Symbol.dispose]: () => disposeAdapter(adapter),
  };
}

function contentOf(
  source: string,
  { config, weights, adapter }: Opened,
  dtype: GgufDtype,
): Content {
  const tokenizer = loadTokenizer(tokenizerFolderOf(source));
  const format = readAnswerFormat(source);
  checkVocabulary(tokenizer, config, source);
  const endIds = endTokens({ config }, tokenizer);
  const { vocabSize } = config;
  const use = { vocabSize, endIds, isAskedPlainly: format !== undefined };
  const metadata = new Map<string, GgufWritten>([
    ...modelToGguf(config, dtype),
    ...tokenizerToGguf(tokenizer, use, source),
  ]);
  const tensors = tensorsToGguf(config, weights, dtype, source);
  checkExpressed(config, metadata, tensors, source);
  return { config, tokenizer, format, endIds, weights, adapter, metadata, tensors };
}

/** @throws UserError where reading the metadata gives another configuration */
function checkExpressed(
  config: ModelConfig,
  metadata: ReadonlyMap<string, GgufWritten>,
  tensors: ReadonlyMap<string, GgufTensorToWrite>,
  source: string,
): void {
  const found = comparable(
    ggufConfig({
      path: source,
      metadata: new Map([...metadata].map(([key, value]) => [key, readBack(value)])),
      shapes: new Map([...tensors].map(([name, { shape }]) => [name, shape])),
      readFloat32: (name) => tensors.get(name)!.data,
    }),
  );
  const wanted = comparable(config);
  const others = Object.keys(wanted).filter((key) => !isDeepStrictEqual(found[key], wanted[key]));
  if (others.length === 0) return;
  throw new UserError(
    `${source}: a GGUF file cannot express its ${others.join(", ")}; export a Hugging Face folder instead`,
  );
}

/** What a GGUF file has of a configuration beside special tokens, its numbers in float32. A Mistral without a window is a LLaMA there. */
function comparable(config: ModelConfig): Record<string, unknown> {
  const { modelType, initializerStd, padId, bosId, eosIds, otherKeys, ...shape } = config; // the middle four come from the tokenizer, or not at all
  const round = (_: string, value: unknown) =>
    typeof value === "number" ? Math.fround(value) : value;
  return JSON.parse(JSON.stringify(shape, round));
}

function modelfileOf(
  source: string,
  { config, tokenizer, format, endIds, metadata }: Content,
): string {
  if (format === undefined) {
    throw new UserError(
      `${source}: has no reft.json, so there is no prompt for a Modelfile; give a model that was trained here, or leave modelfile out`,
    );
  }
  const tokens = metadata.get("tokenizer.ggml.tokens") as readonly string[];
  const stops = endIds.map((id) => tokens[id]!);
  const { maxPositions } = config;
  return modelfile(tokenizer, format, { from: ggufName, maxPositions, stops }, source);
}

// --- The comparison ---

const texts = [
  formatPrompt("Ann has 3 boxes of 12 pens and gives 5 away. How many are left?"),
  'def solution():\n    """It\'s 1,234.5?"""\n    x = 12345 // 7\n\n    return {"naïve": [x], "🙂": \'"\'}\n',
  "  two  spaces\t and a tab \r\n",
];

/** @returns what rounding does */
function checkFile(
  path: string,
  { config, tokenizer, weights, adapter, metadata }: Content,
  dtype: GgufDtype,
): Pick<GgufExportReport, "maxDifference" | "mergeLoss"> {
  using file = openGguf(path);
  checkMetadata(file, metadata);
  const rebuilt = createTokenizer(tokenizerFromGguf(file.metadata, path), path);
  for (const text of texts) {
    if (isDeepStrictEqual(rebuilt.encode(text), tokenizer.encode(text))) continue;
    throw new Error(`${path}: its tokenizer gives other ids than the source's`);
  }
  let maxDifference = 0;
  const loss = createMergeLoss();
  const found = ggufWeights(file, config);
  for (const [name, { shape, data }] of weights) {
    const source = data as Float32Array;
    const rounded = roundedToGguf(source, ggufDtypeOf(shape, dtype));
    checkEqual(found.get(name)!.data, rounded, name, path);
    maxDifference = Math.max(maxDifference, largestDifference(source, rounded));
    const delta = adapter && adapterDelta(adapter, name);
    if (delta) loss.add(delta, source, rounded);
  }
  return { maxDifference, mergeLoss: adapter && loss.value() };
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

function checkMetadata(file: GgufFile, metadata: ReadonlyMap<string, GgufWritten>): void {
  for (const [key, value] of metadata) {
    if (isDeepStrictEqual(file.metadata.get(key), readBack(value))) continue;
    throw new Error(`${file.path}: ${key} is not what was written`);
  }
}
