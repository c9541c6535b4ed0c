// What the tasks that ask questions share: a model, questions, how to ask, where programs run.
import type { KvCacheDtype, Precision } from "../config.ts";
import { readExamples } from "../data/examples.ts";
import { usePrecision } from "../engine/products.ts";
import { show } from "../errors.ts";
import { prepareQuestions, type Question } from "../generate/answer.ts";
import { type SampleOptions, sampleToFile } from "../generate/sample.ts";
import { endTokens } from "../model/ending.ts";
import type { Judge } from "../reward/judge.ts";
import {
  checkedReward,
  goldKind,
  type LoadedRewards,
  loadRewards,
  type RewardChoice,
} from "../reward/openReward.ts";
import type { SandboxOptions } from "../reward/sandbox/sandbox.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { growFile } from "../run/growFile.ts";
import { hashInputs, hashPrompt } from "../run/inputs.ts";
import { say } from "../terminal.ts";
import { type Answering, formOf, openAnswering, type ToldFormat } from "./answering.ts";
import { answerLength } from "./answerLength.ts";
import { checkCount } from "./count.ts";

export interface AskingArguments extends ToldFormat {
  /** A run's folder, of which the best checkpoint is asked, a checkpoint, or a model's folder. */
  readonly model: string;
  /** JSONL file of the questions. */
  readonly data: string;
  /** Limit to the first N questions. */
  readonly questions?: number | undefined;
  /** Without it 256, or as many as the positions leave after the longest prompt. */
  readonly maxNewTokens?: number | undefined;
  /** Answers in the making at once. */
  readonly slots: number;
  /** Of cached keys and values: bf16 takes half the memory, and rounds them. float32 unless given. */
  readonly kvCacheDtype?: KvCacheDtype | undefined;
  /** Of the matrix products of the whole process. */
  readonly precision: Precision;
  /** Limits of the programs that are run. */
  readonly sandbox: SandboxOptions;
  /** Without it the answer is compared with the gold answer, as its form asks. */
  readonly reward?: RewardChoice;
}

/** What a caller need not say. */
export const askingDefaults = {
  slots: 32,
  precision: "float32",
  sandbox: { timeoutSeconds: 10, workers: 2, memoryMegabytes: 512 },
} as const;

/** A model with the questions that it is asked. Whoever gets it disposes the model. */
export interface Asking extends Answering {
  readonly questions: readonly Question[];
  readonly maxNewTokens: number;
  readonly rewards: LoadedRewards;
}

/** @throws UserError for a number that must be another */
export function checkCounts({ questions = 1, maxNewTokens = 1, slots }: AskingArguments): void {
  checkCount("questions", questions);
  checkCount("maxNewTokens", maxNewTokens);
  checkCount("slots", slots);
}

/** @throws UserError for bad flags, a model, data or reward that cannot be read, or questions that leave no room for an answer */
export function openAsking(args: AskingArguments): Asking {
  checkCounts(args);
  usePrecision(args.precision);
  const folder = resolveModelFolder(args.model);
  const cotKind = formOf(folder, args);
  const rewards = loadRewards(checkedReward(cotKind, args.reward));
  const examples = readExamples(args.data, goldKind(cotKind, args.reward)).slice(0, args.questions);
  const answering = openAnswering(folder, args);
  const { model, tokenizer, format } = answering;
  const everyLength = Number.POSITIVE_INFINITY;
  const { questions } = prepareQuestions(tokenizer, examples, format.sampling, everyLength);
  const prompts = questions.map(({ example, prompt }) => ({
    where: `${args.data}: question ${show(example.id)}`,
    tokens: prompt.tokens.length,
  }));
  const maxNewTokens = answerLength(model, prompts, args.maxNewTokens);
  return { ...answering, questions, maxNewTokens, rewards };
}

/** Says so where the sandbox failed, but not often enough to stop. */
export function warnOfFailures(failures: number, programs: number): void {
  if (failures === 0) return;
  say(
    `warning: the sandbox could not run ${failures} of ${programs} programs, which count as wrong`,
  );
}

/** Samples answers into a file. @throws as sampleToFile and growFile */
export async function sampleWithProgress(
  output: string,
  { folder, model, tokenizer, format, questions, maxNewTokens, rewards }: Asking,
  judge: Judge,
  args: AskingArguments & Pick<SampleOptions, "samples" | "seed">,
): Promise<void> {
  const { data, samples, seed, slots, kvCacheDtype, precision, reward } = args;
  const { cotKind, sampling } = format;
  const { prompt, ...begin } = sampling;
  const inputs = {
    ...hashInputs({ model: folder, data }),
    ...{ cotKind, ...begin },
    ...hashPrompt(prompt),
    ...(Array.isArray(reward) && { reward: JSON.stringify(reward) }),
    ...rewards.hashes,
    ...(precision !== "float32" && { precision }), // so that files from before there was a choice stay of use
  };
  const eosIds = endTokens(model, tokenizer);
  const options = { samples, seed, maxNewTokens, slots, kvCacheDtype, eosIds };
  const parts = { model, tokenizer, judge, questions };
  await growFile("sample", output, questions.length, (onBlock) =>
    sampleToFile(output, parts, options, inputs, onBlock),
  );
}
