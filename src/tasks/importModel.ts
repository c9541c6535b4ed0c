// A GGUF file, or another tool's Hugging Face folder, becomes a model folder.
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { createTokenizer, saveTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { UserError } from "../errors.ts";
import { nodeDisk } from "../formats/disk.ts";
import { writeFreshFolder } from "../formats/freshFolder.ts";
import { openGguf } from "../formats/gguf.ts";
import { jsonText, reading, writeFileAtomically } from "../formats/jsonl.ts";
import { writeSafetensors } from "../formats/safetensors.ts";
import { type ModelConfig, toHuggingFaceConfig } from "../model/config.ts";
import { families } from "../model/families.ts";
import { describeOtherKind, refuseAdapters } from "../model/folderKind.ts";
import { disposeModel, parameterCount } from "../model/model.ts";
import { ggufConfig, ggufWeights } from "../models/ggufModel.ts";
import { tokenizerFromGguf } from "../models/ggufTokenizer.ts";
import {
  checkVocabulary,
  loadModelFolder,
  readAnswerFormat,
  saveModelFolder,
} from "../models/modelFolder.ts";

/**
 * Writes a model folder with float32 weights. It appears under its name only when it is complete.
 *
 * @param source a GGUF file or a Hugging Face folder
 * @param output a folder that is not there yet, or empty
 * @returns what was imported, in one sentence
 * @throws UserError for a model of a family that is not supported, or that cannot be used as it is, and for an output that is in use
 */
export function importModel(source: string, output: string): string {
  if (!existsSync(source)) {
    throw new UserError(
      `${source}: expected a GGUF file or a model's folder, found nothing there; check the path`,
    );
  }
  const isFolder = statSync(source).isDirectory();
  const isOther = !isFolder && !isGguf(source);
  if (isOther && /\.gguf$/i.test(source))
    throw new UserError(
      `${source}: expected a GGUF file, which begins with "GGUF", found ${statSync(source).size} bytes that do not; fetch it again`,
    );
  const kind = isOther ? describeOtherKind(source) : undefined;
  if (kind !== undefined) throw new UserError(`${source}: expected a GGUF file; ${kind}`);
  const write = isFolder ? importFolder : importGguf;
  return writeFreshFolder(output, nodeDisk, (folder) => {
    const config = write(source, folder);
    for (const name of readdirSync(folder)) nodeDisk.sync(join(folder, name));
    return describe(config, output);
  });
}

/** Whatever the file is called. */
function isGguf(path: string): boolean {
  const start = new Uint8Array(4);
  const descriptor = reading(path, () => openSync(path, "r"));
  try {
    reading(path, () => readSync(descriptor, start));
  } finally {
    closeSync(descriptor);
  }
  return new TextDecoder().decode(start) === "GGUF";
}

function importGguf(path: string, folder: string): ModelConfig {
  using file = openGguf(path);
  const files = tokenizerFromGguf(file.metadata, path);
  const tokenizer = createTokenizer(files, path);
  const config = withPadding(ggufConfig(file), tokenizer);
  checkVocabulary(tokenizer, config, path);
  const weights = ggufWeights(file, config);
  saveTokenizer(tokenizer, folder);
  writeFileAtomically(join(folder, "config.json"), jsonText(toHuggingFaceConfig(config)));
  writeSafetensors(join(folder, "model.safetensors"), weights);
  return config;
}

function importFolder(source: string, folder: string): ModelConfig {
  refuseAdapters(source); // they are used as they are, and have no weights to write
  const { model, tokenizer } = loadModelFolder(source);
  try {
    const config = withPadding(model.config, tokenizer);
    const format = readAnswerFormat(source);
    saveModelFolder(folder, { ...model, config }, tokenizer, format);
    return config;
  } finally {
    disposeModel(model);
  }
}

/** The tokenizer's padding token: it is never EOS. */
function withPadding({ padId: _, ...config }: ModelConfig, { padId }: Tokenizer): ModelConfig {
  return padId === undefined ? config : { ...config, padId };
}

function describe(config: ModelConfig, output: string): string {
  const { modelType, layers, dim, vocabSize, maxPositions } = config;
  const millions = (parameterCount(config) / 1e6).toFixed(1);
  return (
    `${output}: a ${families[modelType].className} of ${millions} million weights, ${layers} layers of width ${dim}, ` +
    `${vocabSize} tokens, ${maxPositions} positions`
  );
}
