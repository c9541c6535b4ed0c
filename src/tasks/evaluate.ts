// Greedy Top-1 on a data set; with samples also what choosing one of many answers brings, by vote or reranker.
import { join } from "node:path";
import { loadTokenizer } from "../data/tokenizer.ts";
import { UserError } from "../errors.ts";
import { createEvaluator, summariseAnswers } from "../evaluate/accuracy.ts";
import { measurePools, type Pool, poolSizes, poolsOf } from "../evaluate/pools.ts";
import { checkResults, writeReport } from "../evaluate/report.ts";
import type { Metrics } from "../evaluate/summary.ts";
import { makeFolder, tryFolder } from "../folders.ts";
import { writeJsonl } from "../formats/jsonl.ts";
import { type Answer, answerRecord, longestPrompt } from "../generate/answer.ts";
import { disposeClassifier, loadClassifier, readClassifierConfig } from "../model/classifier.ts";
import { disposeModel } from "../model/model.ts";
import { checkVocabulary, tokenizerFolderOf } from "../models/modelFolder.ts";
import { createProgress } from "../progress.ts";
import { fromLeader } from "../ranks.ts";
import { classifyToFile, readProbabilities } from "../rerank/classify.ts";
import type { Judge } from "../reward/judge.ts";
import { openReward } from "../reward/openReward.ts";
import { readSampleGroups, type Sample, summariseSamples } from "../reward/samples.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { growFile } from "../run/growFile.ts";
import { hashInputs } from "../run/inputs.ts";
import { takeLockOnce } from "../run/lock.ts";
import {
  type Asking,
  type AskingArguments,
  openAsking,
  sampleWithProgress,
  warnOfFailures,
} from "./asking.ts";
import { checkCount } from "./count.ts";

/** Questions asked between two updates of the progress. */
const chunkQuestions = 128;

export interface EvaluateArguments extends AskingArguments {
  /** Folder for results, answers and samples. */
  readonly output: string;
  /** Sampled answers per question, beside the greedy one. */
  readonly samples?: number | undefined;
  /** A classifier, or its run, that chooses among the samples. */
  readonly reranker?: string | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
}

export interface EvaluateResults {
  /** How many were asked. */
  readonly questions: number;
  /** Of the greedy answers. */
  readonly correct: number;
  /** Of the greedy answers; the same as `metrics.top1`. */
  readonly accuracy: number;
  /** `top1` and, with samples, `voting@10` and so on; docs/evaluation.md defines them. */
  readonly metrics: Metrics;
}

/** Asks every question once, greedily, and samples answers if told to; writes results, answers and samples. */
export async function evaluate(args: EvaluateArguments): Promise<EvaluateResults> {
  const { output, samples } = args;
  checkCount("samples", samples ?? 1);
  const reranker = rerankerIn(args);
  fromLeader(() => tryFolder(output));
  const asking = openAsking(args);
  fromLeader(() => makeFolder(output));
  const giveBack = takeLockOnce(join(output, "run.lock"));
  try {
    return await measure(args, asking, reranker);
  } finally {
    giveBack();
  }
}

async function measure(
  args: EvaluateArguments,
  asking: Asking,
  reranker: string | undefined,
): Promise<EvaluateResults> {
  const { output, samples, seed = 0 } = args;
  const reward = Array.isArray(args.reward) ? args.reward : undefined;
  const measurement = {
    ...{ model: asking.folder, data: args.data, reward, samples },
    ...{ cot: asking.format.cotKind, questions: asking.questions.length },
  };
  fromLeader(() => checkResults(output, measurement));
  const answers = await answerAll(args, asking, seed);
  const summary = summariseAnswers(answers);
  warnOfFailures(summary.infrastructureFailures, answers.length);
  fromLeader(() => writeJsonl(join(output, "answers.jsonl"), answers.map(answerRecord)));
  const groups = samples === undefined ? [] : fromLeader(() => readSampleGroups(samplesIn(output)));
  const sampled = summariseSamples(groups);
  warnOfFailures(sampled.infrastructureFailures, sampled.samples);
  const measured = samples
    ? measurePools(await poolsOfGroups(groups, output, reranker), poolSizes(samples), seed)
    : [];
  const questions = answers.map(({ question: { example }, verdict }, i) => ({
    id: example.id,
    question: example.question,
    shares: { top1: Number(verdict.correct), ...measured[i]?.shares },
  }));
  const { accuracy, ...counts } = summary;
  const correct = Math.round(accuracy * answers.length);
  const details = {
    model: asking.folder,
    data: args.data,
    cot: asking.format.cotKind,
    precision: args.precision,
    ...(args.kvCacheDtype !== undefined && { kvCacheDtype: args.kvCacheDtype }),
    maxNewTokens: asking.maxNewTokens,
    ...(samples !== undefined && {
      samples,
      seed,
      sampleInfrastructureFailures: sampled.infrastructureFailures,
    }),
    ...(reranker !== undefined && { reranker }),
    ...(reward !== undefined && { reward }),
    questions: answers.length,
    correct,
    ...counts,
  };
  const metrics = fromLeader(() => writeReport(output, details, questions, seed));
  return { questions: answers.length, correct, accuracy, metrics };
}

/** Greedy answers, and samples in their file. The model is then disposed. */
async function answerAll(args: EvaluateArguments, asking: Asking, seed: number): Promise<Answer[]> {
  const { output, samples } = args;
  try {
    const { format, rewards } = asking;
    await using reward = await openReward({ ...format, sandbox: args.sandbox, rewards });
    const { judge } = reward;
    // Samples first: those of another model or seed are refused before any work, and Ctrl-C keeps what is sampled.
    if (samples !== undefined)
      await sampleWithProgress(samplesIn(output), asking, judge, { ...args, samples, seed });
    return await answerGreedily(args, asking, judge);
  } finally {
    disposeModel(asking.model);
  }
}

async function answerGreedily(
  { slots, kvCacheDtype }: EvaluateArguments,
  { model, tokenizer, questions, maxNewTokens }: Asking,
  judge: Judge,
): Promise<Answer[]> {
  const maxPrompt = longestPrompt(questions);
  const options = { slots, maxNewTokens, kvCacheDtype };
  const evaluator = createEvaluator(model, tokenizer, judge, maxPrompt, options);
  const progress = createProgress("evaluate", questions.length);
  const answers = [];
  for (let begin = 0; begin < questions.length; begin += chunkQuestions) {
    answers.push(...(await evaluator.evaluate(questions.slice(begin, begin + chunkQuestions))));
    progress.update(answers.length);
  }
  progress.stop();
  evaluator.dispose();
  return answers;
}

/** The folder of the classifier, looked at before any answer is sampled for it. */
function rerankerIn({ reranker, samples }: EvaluateArguments): string | undefined {
  if (reranker === undefined) return undefined;
  if (samples === undefined) {
    throw new UserError("reranker: chooses among sampled answers: give samples, too");
  }
  const folder = resolveModelFolder(reranker);
  const config = readClassifierConfig(folder);
  checkVocabulary(loadTokenizer(tokenizerFolderOf(folder)), config, folder);
  return folder;
}

/** The folder's samples, with the classifier's probabilities if there is one. */
async function poolsOfGroups(
  groups: readonly (readonly Sample[])[],
  folder: string,
  reranker: string | undefined,
): Promise<Pool[]> {
  if (reranker === undefined) return poolsOf(groups);
  const output = join(folder, "probabilities.jsonl");
  const inputs = fromLeader(() => hashInputs({ reranker, samples: samplesIn(folder) }));
  const tokenizer = loadTokenizer(tokenizerFolderOf(reranker));
  const classifier = loadClassifier(reranker, "stored");
  try {
    await growFile("rerank", output, groups.length, (onBlock) =>
      classifyToFile(output, classifier, tokenizer, groups, inputs, onBlock),
    );
  } finally {
    disposeClassifier(classifier);
  }
  return poolsOf(
    groups,
    fromLeader(() => readProbabilities(output, groups)),
  );
}

function samplesIn(folder: string): string {
  return join(folder, "samples.jsonl");
}
