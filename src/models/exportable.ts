// What can be exported: a language model or a classifier, as one kind of thing.
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import {
  generationConfigName,
  tokenizerFileContents,
  withoutGenerationConfig,
} from "../data/tokenizerFiles.ts";
import type { Variable } from "../engine/variable.ts";
import { jsonText } from "../formats/jsonl.ts";
import type { FloatDtype } from "../formats/safetensorsHeader.ts";
import {
  classifierParameters,
  createClassifierScorer,
  disposeClassifier,
  isClassifier,
  loadClassifier,
  toClassifierConfig,
} from "../model/classifier.ts";
import { type ModelConfig, toHuggingFaceConfig } from "../model/config.ts";
import { endTokens } from "../model/ending.ts";
import { sequenceLogits } from "../model/logits.ts";
import { disposeModel } from "../model/model.ts";
import { mergeAdapter } from "./mergeAdapter.ts";
import {
  checkVocabulary,
  generationConfigOf,
  loadModelFolder,
  readAnswerFormat,
  tokenizerFolderOf,
} from "./modelFolder.ts";

/** Whoever opens it disposes it. */
export interface Exportable {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly parameters: ReadonlyMap<string, Variable>;
  /** Logits per position: the vocabulary's or the labels'. */
  readonly width: number;
  /**
   * Adds the adapter to the weights, if there is one.
   *
   * @returns how much of what it changes is lost in weights of that type; undefined without one
   */
  merge(dtype: FloatDtype): number | undefined;
  /** Of one or more positions per sequence, with the current parameters. */
  logits(sequences: readonly (readonly number[])[]): Float32Array[];
  /** Everything but the weights: the content of each file, by its name. */
  files(dtype: FloatDtype): ReadonlyMap<string, string | Uint8Array>;
  dispose(): void;
}

/** @throws UserError when a file is missing or damaged, or tokenizer and model do not belong together */
export function openExportable(folder: string): Exportable {
  return isClassifier(folder) ? openClassifier(folder) : openLanguageModel(folder);
}

function openLanguageModel(folder: string): Exportable {
  const format = readAnswerFormat(folder);
  const { model: loaded, tokenizer } = loadModelFolder(folder);
  let model = loaded;
  const { config, parameters } = model;
  return {
    config,
    tokenizer,
    parameters,
    width: config.vocabSize,
    merge: (dtype) => {
      const { adapter } = model;
      if (!adapter) return undefined;
      const merged = mergeAdapter({ ...model, adapter }, dtype);
      model = merged.model;
      return merged.lost;
    },
    logits: (sequences) => sequenceLogits(model, sequences),
    files: (dtype) => {
      const files = new Map(tokenizerFileContents(tokenizer.files));
      files.set("config.json", jsonText(toHuggingFaceConfig(config, dtype)));
      const generation = generationConfigOf(model, tokenizer, folder);
      if (generation) files.set(generationConfigName, jsonText(generation));
      if (format) files.set("reft.json", jsonText(format));
      return files;
    },
    dispose: () => disposeModel(model),
  };
}

function openClassifier(folder: string): Exportable {
  const tokenizer = loadTokenizer(tokenizerFolderOf(folder));
  let classifier = loadClassifier(folder);
  const { config } = classifier.model;
  checkVocabulary(tokenizer, config, folder);
  // What is read ends in the tokenizer's EOS, which an adapter's base may not name.
  const ending = { ...config, eosIds: endTokens(classifier.model, tokenizer) };
  return {
    config,
    tokenizer,
    parameters: classifierParameters(classifier),
    width: 2,
    merge: (dtype) => {
      const { model, head } = classifier;
      if (!model.adapter) return undefined;
      const merged = mergeAdapter({ ...model, adapter: model.adapter }, dtype);
      classifier = { model: merged.model, head };
      return merged.lost;
    },
    logits: (sequences) => {
      const scorer = createClassifierScorer(classifier);
      const whole = sequences.map((tokens) => ({
        prompt: tokens.slice(0, 1),
        response: tokens.slice(1),
      }));
      const logits = scorer.logits(whole, 1024);
      scorer.dispose();
      return [logits];
    },
    files: (dtype) => {
      // A classifier writes nothing, so nothing of how to sample goes along.
      const files = tokenizerFileContents(withoutGenerationConfig(tokenizer.files));
      return new Map(files).set("config.json", jsonText(toClassifierConfig(ending, dtype)));
    },
    dispose: () => disposeClassifier(classifier),
  };
}
