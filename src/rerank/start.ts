// What a reranker starts from, read and tokenised, and the memory that it will take; all but the weights, which take it.
import type { RerankConfig } from "../config.ts";
import { createEpochs } from "../data/epochs.ts";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { UserError } from "../errors.ts";
import { adapterOf } from "../model/adapter.ts";
import { packClasses, type Sequence, splitByTokens, withClass } from "../model/batch.ts";
import { readClassifierConfig } from "../model/classifier.ts";
import type { ModelConfig } from "../model/config.ts";
import { describeModel } from "../model/model.ts";
import { tokenizerFolderOf } from "../models/modelFolder.ts";
import { readSampleGroups, type Sample } from "../reward/samples.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { type Forecast, forecastOf, type StepCount, sizesOf } from "../run/forecast.ts";
import { type LabelledSamples, labelSamples } from "./input.ts";

export interface RerankStart {
  /** Of the checkpoint that it goes on from, or the model's. */
  readonly folder: string;
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly train: LabelledSamples;
  readonly dev: LabelledSamples;
  readonly devGroups: readonly (readonly Sample[])[];
}

/** What of it decides how much memory and how many steps a run takes. */
export interface RerankSizes extends Pick<RerankStart, "model"> {
  readonly train: { readonly sequences: readonly Sequence[] };
  readonly dev: { readonly sequences: readonly Sequence[] };
}

/**
 * Reads what a run starts from: each text of the samples once.
 *
 * @param checkpointFolder of a run that goes on
 * @throws UserError for settings, samples or a model that cannot be used
 */
export function readRerankStart(config: RerankConfig, checkpointFolder?: string): RerankStart {
  const { data } = config;
  const folder = checkpointFolder ?? resolveModelFolder(config.model.init);
  const model = checkpointFolder ? readClassifierConfig(folder) : describeModel(folder).config;
  const tokenizer = loadTokenizer(tokenizerFolderOf(folder));
  if (data.maxTokens > model.maxPositions) {
    throw new UserError(
      `the settings allow ${data.maxTokens} tokens of prompt and answer, but the model has ${model.maxPositions} positions; ` +
        "lower data.maxTokens",
    );
  }
  const train = labelSamples(tokenizer, readSampleGroups(data.samples), data.maxTokens);
  const devGroups = readSampleGroups(data.devSamples);
  const dev = labelSamples(tokenizer, devGroups, data.maxTokens);
  checkNotEmpty(data.samples, train, data.maxTokens);
  checkNotEmpty(data.devSamples, dev, data.maxTokens);
  checkBothLabels(data.samples, train);
  return { folder, model, tokenizer, train, dev, devGroups };
}

/** How many steps a run takes which starts so. */
export function rerankSteps({ training }: RerankConfig, { train }: RerankSizes): StepCount {
  const perEpoch = Math.ceil(train.sequences.length / training.batchSize);
  return { perEpoch, total: perEpoch * training.epochs };
}

/** The memory that it takes. */
export function forecastRerank(config: RerankConfig, start: RerankSizes): Forecast {
  const { model, train, dev } = start;
  const {
    microBatchTokens,
    batchSize,
    recompute = false,
    shardOptimizer = false,
  } = config.training;
  const { perEpoch } = rerankSteps(config, start);
  const batchOf = createEpochs(train.sequences, batchSize, perEpoch, config.seed);
  const pack = (sequences: readonly Sequence[]) =>
    splitByTokens(
      sequences.map((sequence) => withClass(sequence, 0)),
      microBatchTokens,
    ).map((part) => packClasses(part, microBatchTokens));
  const batches = Array.from({ length: perEpoch }, (_, step) => pack(batchOf(step))).flat();
  return forecastOf({
    config: { ...model, tieEmbeddings: true }, // a classifier has no output matrix
    heldAs: config.model.weights ?? "float32",
    adapter: config.adapter && adapterOf(config.adapter),
    reference: "none",
    headCount: 2 * model.dim,
    classes: 2,
    training: { batches: sizesOf(batches), recompute, logitsCopies: 2, shardOptimizer },
    scored: sizesOf(pack(dev.sequences)),
    generators: [],
    guests: 0,
  });
}

/** Share of the samples that are right. */
export function correctFraction(sequences: readonly { readonly correct: boolean }[]): number {
  return sequences.filter(({ correct }) => correct).length / sequences.length;
}

/** @throws UserError when no sample is left */
function checkNotEmpty(path: string, samples: LabelledSamples, maxTokens: number): void {
  if (samples.sequences.length > 0) return;
  const { tooLong, infrastructureFailures } = samples;
  throw new UserError(
    `${path}: expected samples that the sandbox could run, with at most ${maxTokens} tokens of question and answer, ` +
      `found none: ${tooLong} are longer, ${infrastructureFailures} could not be run; ` +
      (tooLong > 0 ? "raise data.maxTokens" : "sample again"),
  );
}

/** @throws UserError when there is nothing to tell apart */
function checkBothLabels(path: string, { sequences }: LabelledSamples): void {
  const share = correctFraction(sequences);
  if (share > 0 && share < 1) return;
  throw new UserError(
    `${path}: expected right and wrong samples to tell apart, found ${sequences.length} that are all ` +
      (share === 1
        ? "right: sample answers to harder questions"
        : "wrong: sample more answers, to easier questions, or from a model that was trained for longer"),
  );
}
