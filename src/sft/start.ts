// What supervised fine-tuning starts from, read and tokenised, and the memory that it will take; all but the weights, which take it.
import type { SftConfig } from "../config.ts";
import { createEpochs } from "../data/epochs.ts";
import { type Example, readExamples } from "../data/examples.ts";
import {
  checkSamplingPrefix,
  encodeExample,
  findSamplingFormat,
  formatPrompt,
  type SamplingFormat,
} from "../data/prompt.ts";
import { choosePrompt } from "../data/promptChoice.ts";
import type { TemplatePrompt } from "../data/templatePrompt.ts";
import { loadTokenizer, type Tokenizer, trainTokenizer } from "../data/tokenizer.ts";
import { withoutGenerationConfig } from "../data/tokenizerFiles.ts";
import { UserError } from "../errors.ts";
import { evaluatorSize } from "../evaluate/accuracy.ts";
import { prepareQuestions, type Question } from "../generate/answer.ts";
import { adapterOf } from "../model/adapter.ts";
import { packSequences, type Sequence, splitByTokens } from "../model/batch.ts";
import type { ModelConfig } from "../model/config.ts";
import { plainLlama } from "../model/families.ts";
import { describeModel } from "../model/model.ts";
import { tokenizerFolderOf } from "../models/modelFolder.ts";
import { goldKind, type RewardChoice } from "../reward/openReward.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { type Forecast, forecastOf, type StepCount, sizesOf } from "../run/forecast.ts";
import { say } from "../terminal.ts";

export interface SftStart {
  /** Of the checkpoint that it goes on from, or of the model that it starts from; undefined for a new one. */
  readonly folder: string | undefined;
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly prompt: TemplatePrompt | undefined;
  readonly sampling: SamplingFormat;
  readonly train: readonly Example[];
  /** Those of the examples that fit. */
  readonly sequences: readonly Sequence[];
  readonly dev: { readonly questions: Question[]; readonly tooLong: number };
}

/** What of it decides how much memory and how many steps a run takes. */
export type SftSizes = Pick<SftStart, "model" | "sequences">;

/**
 * Reads what a run starts from.
 *
 * @param checkpointFolder of a run that goes on
 * @throws UserError for settings, data or a model that cannot be used
 */
export function readSftStart(
  config: SftConfig,
  choice: RewardChoice,
  checkpointFolder?: string,
): SftStart {
  const { data, evaluation } = config;
  const { init, scratch } = config.model;
  const gold = goldKind(data.cotKind, choice);
  const train = readExamples(data.train, gold);
  const folder = checkpointFolder ?? (init && resolveModelFolder(init));
  const { model, tokenizer } =
    folder === undefined ? newModel(scratch!, train) : describeFolder(folder);
  const prompt = choosePrompt(data.prompt, tokenizer);
  const sampling = findSamplingFormat(tokenizer, train, data.programPrefix, prompt);
  checkSamplingPrefix(tokenizer, train, sampling);
  const sequences = encodeAll(tokenizer, train, config, prompt);
  const devExamples = readExamples(data.dev, gold).slice(0, evaluation.questions ?? undefined);
  const dev = prepareQuestions(tokenizer, devExamples, sampling, data.maxPromptTokens);
  return { folder, model, tokenizer, prompt, sampling, train, sequences, dev };
}

/** How many steps a run takes which starts so. */
export function sftSteps({ training }: SftConfig, { sequences }: SftSizes): StepCount {
  const perEpoch = Math.ceil(sequences.length / training.batchSize);
  return { perEpoch, total: perEpoch * training.epochs };
}

/** The memory that it takes. */
export function forecastSft(config: SftConfig, start: SftSizes): Forecast {
  const { model, sequences } = start;
  const { data, training, evaluation, sandbox } = config;
  const { microBatchTokens, recompute = false, shardOptimizer = false } = training;
  const { perEpoch } = sftSteps(config, start);
  const batchOf = createEpochs(sequences, training.batchSize, perEpoch, config.seed);
  const batches = Array.from({ length: perEpoch }, (_, step) =>
    splitByTokens(batchOf(step), microBatchTokens).map((part) =>
      packSequences(part, microBatchTokens),
    ),
  );
  return forecastOf({
    config: model,
    heldAs: config.model.weights ?? "float32",
    adapter: config.adapter && adapterOf(config.adapter),
    reference: "none",
    headCount: 0,
    classes: model.vocabSize,
    training: { batches: sizesOf(batches.flat()), recompute, logitsCopies: 2, shardOptimizer },
    scored: [],
    generators: [evaluatorSize(data.maxPromptTokens, evaluation)],
    guests: data.cotKind === "python" ? sandbox.workers : 0,
  });
}

function describeFolder(folder: string) {
  return {
    model: describeModel(folder).config,
    tokenizer: loadTokenizer(tokenizerFolderOf(folder)),
  };
}

/** A new model with its own tokenizer. */
function newModel(scratch: NonNullable<SftConfig["model"]["scratch"]>, train: readonly Example[]) {
  const { vocabSize, tokenizer: tokenizerFolder } = scratch;
  const tokenizer = scratchTokenizer(scratch, train);
  if (tokenizer.vocabSize > vocabSize) {
    throw new UserError(
      `model.scratch.vocabSize: expected at least ${tokenizer.vocabSize}, the size of the tokenizer in ` +
        `${tokenizerFolder}, found ${vocabSize}; raise it`,
    );
  }
  // What a text never says is sampled until training has made it unlikely, and decodes to nothing.
  if (2 * tokenizer.vocabSize < vocabSize)
    say(
      `note: the tokenizer has ${tokenizer.vocabSize} tokens, model.scratch.vocabSize is ${vocabSize}: lower it, or the model will ` +
        "at first write tokens that stand for no text",
    );
  const model: ModelConfig = {
    ...scratchShape(scratch),
    eosIds: [tokenizer.eosId],
    ...(tokenizer.bosId !== undefined && { bosId: tokenizer.bosId }),
    ...(tokenizer.padId !== undefined && { padId: tokenizer.padId }),
  };
  return { model, tokenizer };
}

/** A new model's configuration, without the tokens that its tokenizer has. */
export function scratchShape(scratch: NonNullable<SftConfig["model"]["scratch"]>): ModelConfig {
  const { tokenizer: _, ...shape } = scratch;
  const headDim = shape.dim / shape.heads;
  return { ...plainLlama, ...shape, headDim, ropeScaling: null, eosIds: [] };
}

/** The tokenizer of a new model: that of a folder, or one trained on the training texts. */
export function scratchTokenizer(
  { tokenizer, vocabSize }: NonNullable<SftConfig["model"]["scratch"]>,
  train: readonly Example[],
): Tokenizer {
  if (tokenizer !== undefined) return tokenizerAlone(tokenizer);
  const texts = train.flatMap(({ question, cot }) => [formatPrompt(question), cot ?? ""]);
  return trainTokenizer(texts, vocabSize);
}

/** A folder's tokenizer for a new model, which does not end where the folder's own model does. */
function tokenizerAlone(folder: string): Tokenizer {
  const tokenizer = loadTokenizer(folder);
  return { ...tokenizer, files: withoutGenerationConfig(tokenizer.files) };
}

/** All examples that fit; the others are left out. */
function encodeAll(
  tokenizer: Tokenizer,
  train: readonly Example[],
  { data }: SftConfig,
  prompt: TemplatePrompt | undefined,
): Sequence[] {
  const sequences = train
    .map((example) => encodeExample(tokenizer, example, prompt))
    .map(({ promptTokens, completionTokens }) => ({
      prompt: promptTokens,
      response: completionTokens,
    }))
    .filter(
      ({ prompt, response }) =>
        prompt.length <= data.maxPromptTokens && response.length <= data.maxCompletionTokens,
    );
  if (sequences.length > 0) return sequences;
  throw new UserError(
    `${data.train}: none of the ${train.length} examples has a prompt of at most ${data.maxPromptTokens} tokens and a ` +
      `completion of at most ${data.maxCompletionTokens}; raise data.maxPromptTokens or data.maxCompletionTokens`,
  );
}
