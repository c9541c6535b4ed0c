// What reinforced fine-tuning starts from, read and tokenised, and the memory that it will take; all but the weights, which take it.
import type { ReftConfig } from "../config.ts";
import { createEpochs } from "../data/epochs.ts";
import { type Example, readExamples } from "../data/examples.ts";
import { findSamplingFormat } from "../data/prompt.ts";
import { choosePrompt } from "../data/promptChoice.ts";
import { describePrompt, isSamePrompt, type TemplatePrompt } from "../data/templatePrompt.ts";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { UserError } from "../errors.ts";
import { evaluatorSize } from "../evaluate/accuracy.ts";
import { prepareQuestions, type Question } from "../generate/answer.ts";
import { capacityOf } from "../generate/generate.ts";
import { adapterOf } from "../model/adapter.ts";
import { packSequences, splitByTokens } from "../model/batch.ts";
import type { ModelConfig } from "../model/config.ts";
import { describeModel } from "../model/model.ts";
import { type AnswerFormat, readAnswerFormat, tokenizerFolderOf } from "../models/modelFolder.ts";
import { goldKind, type RewardChoice } from "../reward/openReward.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import {
  type Forecast,
  forecastOf,
  type StepCount,
  sizesOf,
  type Workload,
} from "../run/forecast.ts";

export interface ReftStart {
  readonly warmupFolder: string;
  /** Of the checkpoint that it goes on from, or the warm-up's. */
  readonly folder: string;
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly prompt: TemplatePrompt | undefined;
  readonly format: AnswerFormat;
  readonly train: readonly Example[];
  /** Those of the examples that fit. */
  readonly questions: readonly Question[];
  readonly tooLong: number;
  readonly dev: { readonly questions: Question[]; readonly tooLong: number };
  readonly reference: Workload["reference"];
}

/** What of it decides how much memory and how many steps a run takes. */
export interface ReftSizes extends Pick<ReftStart, "model" | "reference"> {
  readonly questions: readonly { readonly prompt: { readonly tokens: readonly number[] } }[];
}

/** The file whose questions choose the best checkpoint. */
export function devFileOf({ paperParity, data }: ReftConfig): string {
  return paperParity ? data.test! : data.dev;
}

/**
 * Reads what a run starts from.
 *
 * @param checkpointFolder of a run that goes on
 * @throws UserError for settings, data or a model that cannot be used
 */
export function readReftStart(
  config: ReftConfig,
  choice: RewardChoice,
  checkpointFolder?: string,
): ReftStart {
  const { data, rollout, evaluation } = config;
  const warmupFolder = resolveModelFolder(config.model.init);
  const folder = checkpointFolder ?? warmupFolder;
  const { config: model } = describeModel(folder);
  const tokenizer = loadTokenizer(tokenizerFolderOf(folder));
  const prompt = choosePrompt(data.prompt, tokenizer);
  // Answers are enough; self-training alone learns chains of thought, too, where the data has them.
  const gold = goldKind(data.cotKind, choice);
  const train = readExamples(data.train, gold);
  const format = readAnswerFormat(warmupFolder) ?? {
    cotKind: data.cotKind,
    sampling: findSamplingFormat(tokenizer, train, data.programPrefix, prompt),
  };
  checkFormat(format, config, prompt);
  const prepare = (examples: readonly Example[]) =>
    prepareQuestions(tokenizer, examples, format.sampling, data.maxPromptTokens);
  const { questions, tooLong } = prepare(train);
  const dev = prepare(
    readExamples(devFileOf(config), gold).slice(0, evaluation.questions ?? undefined),
  );
  if (questions.length < rollout.questionsPerStep) {
    throw new UserError(
      `${data.train}: expected at least rollout.questionsPerStep = ${rollout.questionsPerStep} questions of at most ` +
        `${data.maxPromptTokens} tokens, found ${questions.length}`,
    );
  }
  const reference = referenceOf(config, describeModel(warmupFolder).adapter !== undefined);
  return {
    ...{ warmupFolder, folder, model, tokenizer, prompt, format, train },
    ...{ questions, tooLong, dev, reference },
  };
}

/** What the reference takes beside the policy, whose frozen weights it shares where there is an adapter. */
export function referenceOf(
  { ppo, adapter }: ReftConfig,
  hasWarmupAdapter: boolean,
): Workload["reference"] {
  if (ppo?.klCoefficient === 0) return "none";
  if (!adapter) return "weights";
  return hasWarmupAdapter ? "adapter" : "none";
}

/** How many steps a run takes which starts so. */
export function reftSteps({ rollout, training }: ReftConfig, { questions }: ReftSizes): StepCount {
  const perEpoch = Math.floor(questions.length / rollout.questionsPerStep);
  const all = perEpoch * training.epochs;
  return { perEpoch, total: Math.min(all, training.maxSteps ?? all) };
}

/** The memory that it takes. */
export function forecastReft(config: ReftConfig, sizes: ReftSizes): Forecast {
  const { model, questions, reference } = sizes;
  const { data, rollout, ppo, selfTraining, training, evaluation, sandbox } = config;
  const { recompute = false, shardOptimizer = false } = training;
  const { miniBatchSize } = ppo ?? selfTraining!;
  const longest = Math.max(...questions.map(({ prompt }) => prompt.tokens.length));
  return forecastOf({
    config: model,
    heldAs: config.model.weights ?? "float32",
    adapter: config.adapter && adapterOf(config.adapter),
    reference,
    headCount: ppo?.advantages === "gae" ? model.dim + 1 : 0,
    classes: model.vocabSize,
    training: {
      batches: batchesOf(config, sizes, miniBatchSize),
      ...{ recompute, shardOptimizer },
      // The loss's own and its gradient; the entropy's three more.
      logitsCopies: ppo?.entropyCoefficient === undefined ? 2 : 5,
    },
    scored: batchesOf(config, sizes, rollout.questionsPerStep * rollout.samplesPerQuestion),
    generators: [
      {
        slots: rollout.slots,
        capacity: capacityOf(longest + rollout.maxNewTokens),
        kvCacheDtype: rollout.kvCacheDtype,
      },
      evaluatorSize(data.maxPromptTokens, evaluation),
    ],
    guests: data.cotKind === "python" ? sandbox.workers : 0,
  });
}

/** How long responses may be, in shares of the longest: shorter ones can fill a batch better. */
const lengths = [1, 1 / 2, 1 / 4, 1 / 8];
/** Steps that are packed: those of the first epoch that have the longest prompts. */
const packedSteps = 8;

/** Batches of the responses of a step. Its questions are known; what will be said to them nobody knows. */
function batchesOf(config: ReftConfig, sizes: ReftSizes, batchSize: number) {
  const { rollout, training, seed } = config;
  const { microBatchTokens } = training;
  const { questionsPerStep, samplesPerQuestion, maxNewTokens } = rollout;
  const { perEpoch, total } = reftSteps(config, sizes);
  const prompts = sizes.questions.map(({ prompt }) => prompt.tokens);
  const promptsOf = createEpochs(prompts, questionsPerStep, perEpoch, seed);
  const tokensOf = (of: readonly (readonly number[])[]) =>
    of.reduce((sum, { length }) => sum + length, 0);
  const steps = Array.from({ length: Math.min(perEpoch, total) }, (_, step) => promptsOf(step))
    .toSorted((a, b) => tokensOf(b) - tokensOf(a))
    .slice(0, packedSteps);
  const packed = steps.flatMap((step) =>
    lengths.flatMap((share) => {
      const response = new Array<number>(Math.ceil(share * maxNewTokens)).fill(0);
      const sequences = step.flatMap((prompt) =>
        Array.from({ length: samplesPerQuestion }, () => ({ prompt, response })),
      );
      return parts(sequences, batchSize).flatMap((batch) =>
        splitByTokens(batch, microBatchTokens).map((part) => packSequences(part, microBatchTokens)),
      );
    }),
  );
  return sizesOf(packed);
}

function parts<T>(items: readonly T[], size: number): T[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** @throws UserError when the model was taught to answer in another way than this run asks */
function checkFormat(
  { cotKind, sampling }: AnswerFormat,
  { data, model }: ReftConfig,
  prompt: TemplatePrompt | undefined,
): void {
  if (!isSamePrompt(sampling.prompt, prompt)) {
    throw new UserError(
      `${model.init} was trained with ${describePrompt(sampling.prompt)}, but data.prompt gives ` +
        `${describePrompt(prompt)}: use the same`,
    );
  }
  if (cotKind === data.cotKind && sampling.programPrefix === data.programPrefix) return;
  throw new UserError(
    `${model.init} was trained with cotKind ${cotKind} and programPrefix ${sampling.programPrefix}, but data.cotKind is ` +
      `${data.cotKind} and data.programPrefix ${data.programPrefix}: use the same`,
  );
}
