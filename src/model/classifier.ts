// Tells right answers from wrong ones: a model with two labels on the hidden state of a sequence's last token, as transformers'
// LlamaForSequenceClassification and its like. Label 0 is wrong, label 1 is right.
import { join } from "node:path";
import { z } from "zod";
import { compileNamed } from "../engine/compile.ts";
import { readAndDispose, type Tensor, tf } from "../engine/tf.ts";
import { Variable } from "../engine/variable.ts";
import { UserError } from "../errors.ts";
import { makeFolder } from "../folders.ts";
import { jsonText, parseJson, readText, writeFileAtomically } from "../formats/jsonl.ts";
import type { FloatDtype } from "../formats/safetensorsHeader.ts";
import { gather, shareOf } from "../ranks.ts";
import { Rng } from "../rng.ts";
import {
  type AdapterFolder,
  adapterWeights,
  adapterWeightsName,
  loadAdapter,
  readAdapterFolder,
  writeAdapterConfig,
} from "./adapter.ts";
import { inputLength, packClasses, type Sequence, splitByTokens, withClass } from "./batch.ts";
import { type ModelConfig, readModelConfig, toHuggingFaceConfig } from "./config.ts";
import { families } from "./families.ts";
import {
  disposeModel,
  type HeldAs,
  loadVariables,
  type Model,
  outputWeightName,
  parameterShapes,
  saveVariables,
  withEndIds,
} from "./model.ts";
import { type BatchTensors, batchTensors, predictingStates } from "./score.ts";
import { readWeights, type Weights } from "./weights.ts";

/** A classifier in memory. Whoever makes it disposes it with `disposeClassifier`. */
export interface Classifier {
  /** Without a matrix that turns hidden states into logits of tokens. */
  readonly model: Model;
  /** score.weight [2, dim] */
  readonly head: Variable;
}

const headName = "score.weight";
const task = "ForSequenceClassification";
const architecturesSchema = z.looseObject({ architectures: z.array(z.string()).nullish() });

/** The weights before the head. A model with tied embeddings has no output matrix of its own. */
function backboneShapes(config: ModelConfig): Map<string, readonly number[]> {
  return parameterShapes({ ...config, tieEmbeddings: true });
}

/**
 * Puts a fresh head on a language model: normal with `initializerStd`, as transformers does. The model becomes the classifier's
 * and loses its output matrix.
 */
export function createClassifier(source: Model, seed: number): Classifier {
  const { config, parameters } = source;
  const names = [...backboneShapes(config).keys()];
  if (!config.tieEmbeddings) parameters.get(outputWeightName(config))!.dispose();
  const rng = Rng.named(seed, "classifier head");
  const values = Float32Array.from(
    { length: 2 * config.dim },
    () => rng.normal() * config.initializerStd,
  );
  return {
    model: { ...source, parameters: new Map(names.map((name) => [name, parameters.get(name)!])) },
    head: new Variable(headName, [2, config.dim], values),
  };
}

export function disposeClassifier({ model, head }: Classifier): void {
  disposeModel(model);
  head.dispose();
}

/** All weights by name, the head last. */
export function classifierParameters(classifier: Classifier): Map<string, Variable> {
  return new Map([...classifier.model.parameters, ...headsOf(classifier)]);
}

/** What stands on the model, by name. */
export function headsOf({ head }: Classifier): ReadonlyMap<string, Variable> {
  return new Map([[head.name, head]]);
}

/** The configuration of a classifier's folder. @throws UserError for another model */
export function readClassifierConfig(folder: string): ModelConfig {
  const adapted = readAdapterFolder(folder);
  if (!adapted) return readModelConfig(folder, task);
  if (adapted.isClassifier) return withEndIds(readModelConfig(adapted.base), folder);
  throw new UserError(
    `${folder}: expected a classifier (task_type SEQ_CLS), found an adapter of a language model; give a run of train-rerank`,
  );
}

/** Whether a model's folder says that it holds a classifier. @throws UserError when its config.json cannot be read */
export function isClassifier(folder: string): boolean {
  const adapted = readAdapterFolder(folder);
  if (adapted) return adapted.isClassifier;
  const path = join(folder, "config.json");
  const { architectures } = parseJson(readText(path), path, architecturesSchema);
  return architectures?.[0]?.endsWith(task) ?? false;
}

/**
 * Reads a Hugging Face folder of a LlamaForSequenceClassification with two labels.
 *
 * @throws UserError when a file or weight is missing, superfluous, misshapen or damaged
 */
export function loadClassifier(folder: string, weights?: HeldAs): Classifier {
  const adapted = readAdapterFolder(folder);
  const config = readClassifierConfig(folder);
  if (adapted) return loadAdaptedClassifier(folder, adapted, config, weights);
  const shapes = backboneShapes(config).set(headName, [2, config.dim]);
  const parameters = loadVariables(folder, shapes, weights);
  const head = parameters.get(headName)!;
  parameters.delete(headName);
  return { model: { config, parameters }, head };
}

/** A language model's backbone with the adapter and the head of a folder, as peft lays them out for SEQ_CLS. */
function loadAdaptedClassifier(
  folder: string,
  adapted: AdapterFolder,
  config: ModelConfig,
  weights?: HeldAs,
): Classifier {
  const shapes = backboneShapes(config);
  const parameters = loadVariables(adapted.base, shapes, weights);
  try {
    const ofHead = new Map([[headName, [2, config.dim]]]);
    const { heads, ...adapter } = loadAdapter(folder, adapted, shapes, ofHead);
    return { model: { config, parameters, adapter }, head: heads.get(headName)! };
  } catch (error) {
    disposeModel({ config, parameters });
    throw error;
  }
}

/** Writes config.json and model.safetensors (float32) as transformers does; with an adapter, that and the head alone as peft does. */
export function saveClassifier(classifier: Classifier, folder: string): void {
  const { adapter } = classifier.model;
  if (adapter) {
    makeFolder(folder);
    writeAdapterConfig(adapter, folder, "SEQ_CLS");
    const weights = adapterWeights(adapter, headsOf(classifier));
    saveVariables(weights, join(folder, adapterWeightsName));
    return;
  }
  const json = toClassifierConfig(classifier.model.config);
  makeFolder(folder);
  writeFileAtomically(join(folder, "config.json"), jsonText(json));
  saveVariables(classifierParameters(classifier), join(folder, "model.safetensors"));
}

/** A config.json that transformers loads as a LlamaForSequenceClassification with weights of the given type. */
export function toClassifierConfig(
  config: ModelConfig,
  dtype?: FloatDtype,
): Record<string, unknown> {
  // A source's own labels, and the kind of loss that goes with them, are not those of this head.
  const { num_labels: _, problem_type: __, ...json } = toHuggingFaceConfig(config, dtype);
  return {
    ...json,
    architectures: [`${families[config.modelType].className}${task}`],
    pad_token_id: paddingId(config),
    id2label: { 0: "wrong", 1: "right" },
    label2id: { wrong: 0, right: 1 },
  };
}

/** transformers takes the last token that is not this one for the end of a sequence, so no sequence may end in it. */
function paddingId({ padId, bosId, eosIds, vocabSize }: ModelConfig): number | undefined {
  const ids = [padId, bosId, ...Array(vocabSize).keys()];
  return ids.find((id) => id !== undefined && id < vocabSize && !eosIds.includes(id));
}

/**
 * Logits of the two labels.
 *
 * @param batch as `batchTensors` makes it of `packClasses`
 * @returns [predictions, 2]
 */
export function classLogits(config: ModelConfig, weights: Weights, batch: BatchTensors): Tensor {
  return weights.project(predictingStates(config, weights, batch), headName);
}

export interface ClassifierScorer {
  /**
   * Each rank computes its share; all get all logits.
   *
   * @param maxTokens size of the largest batch that is computed at once
   * @returns [sequences, 2] the logits of wrong and right
   */
  logits(sequences: readonly Sequence[], maxTokens: number): Float32Array;
  /** P(correct) of each sequence. */
  score(sequences: readonly Sequence[], maxTokens: number): Float32Array;
  dispose(): void;
}

/** Judges sequences, each read to its end, with a classifier's current weights. */
export function createClassifierScorer(classifier: Classifier): ClassifierScorer {
  const heads = headsOf(classifier);
  const run = compileNamed("classify", (batch: BatchTensors) => ({
    logits: classLogits(classifier.model.config, readWeights(classifier.model, { heads }), batch),
  }));
  const logits = (sequences: readonly Sequence[], maxTokens: number): Float32Array => {
    const read = sequences.map((sequence) => withClass(sequence, 0)); // any class: it is not read
    const own = splitByTokens(shareOf(read, inputLength), maxTokens).map((part) => {
      const inputs = batchTensors(packClasses(part, maxTokens));
      const [padded] = readAndDispose([run(inputs).logits]);
      tf.dispose(Object.values(inputs));
      return padded!.subarray(0, 2 * part.length);
    });
    const all = new Float32Array(2 * read.length);
    let next = 0;
    for (const logits of gather(own)) {
      all.set(logits, next);
      next += logits.length;
    }
    return all;
  };
  return {
    logits,
    score: (sequences, maxTokens) => probabilitiesOf(logits(sequences, maxTokens)),
    dispose: () => run.dispose(),
  };
}

/** P(correct) by the logits of wrong and right: [n, 2] gives [n]. */
export function probabilitiesOf(logits: Float32Array): Float32Array {
  return Float32Array.from(
    { length: logits.length / 2 },
    (_, i) => 1 / (1 + Math.exp(logits[2 * i]! - logits[2 * i + 1]!)),
  );
}
