// Greedy accuracy on a set of questions, with its uncertainty.
import type { KvCacheDtype } from "../config.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import {
  type Answer,
  answerQuestions,
  answerRecord,
  checkFailures,
  countFailures,
  type Question,
} from "../generate/answer.ts";
import { capacityOf, createGenerator } from "../generate/generate.ts";
import { endTokens } from "../model/ending.ts";
import type { GeneratorSize } from "../model/footprint.ts";
import type { Model } from "../model/model.ts";
import { doing, percent } from "../progress.ts";
import type { Judge } from "../reward/judge.ts";
import { meanLogs } from "../reward/logs.ts";
import { Rng } from "../rng.ts";
import { writeSamples } from "../run/metrics.ts";
import type { Run } from "../run/run.ts";
import type { Measurement } from "../run/steps.ts";
import { columnsOf, say } from "../terminal.ts";
import { answersTable } from "./answersTable.ts";

export interface EvaluationOptions {
  /** Responses generated side by side. */
  readonly slots: number;
  readonly maxNewTokens: number;
  /** float32 unless given. */
  readonly kvCacheDtype?: KvCacheDtype | undefined;
}

/** Asks every question once, greedily. */
export interface Evaluator {
  /** @throws UserError when the sandbox, not the programs, failed too often */
  evaluate(questions: readonly Question[]): Promise<Answer[]>;
  dispose(): void;
}

/** What an evaluator holds of responses in the making. */
export function evaluatorSize(
  maxPromptTokens: number,
  { slots, maxNewTokens, kvCacheDtype }: EvaluationOptions,
): GeneratorSize {
  return { slots, capacity: capacityOf(maxPromptTokens + maxNewTokens), kvCacheDtype };
}

/** An evaluator of a model's current weights. */
export function createEvaluator(
  model: Model,
  tokenizer: Tokenizer,
  judge: Judge,
  maxPromptTokens: number,
  { slots, maxNewTokens, kvCacheDtype }: EvaluationOptions,
): Evaluator {
  const maxTokens = maxPromptTokens + maxNewTokens;
  const generator = createGenerator(model, { slots, maxTokens, temperature: 0, kvCacheDtype });
  const rng = Rng.named(0, "greedy"); // drawn from, never used
  return {
    async evaluate(questions) {
      const requests = questions.map((question) => ({ question, rng }));
      const eosIds = endTokens(model, tokenizer);
      const answers = await answerQuestions(generator, judge, tokenizer, requests, {
        maxNewTokens,
        eosIds,
      });
      checkFailures("evaluation", answers);
      return answers;
    },
    dispose: () => generator.dispose(),
  };
}

/** Shares of a set of answers, how many of them the sandbox failed to run (these count as wrong), and what the reward logs. */
export function summariseAnswers(answers: readonly Answer[]) {
  const share = (holds: (answer: Answer) => boolean) =>
    answers.filter(holds).length / answers.length;
  return {
    accuracy: share(({ verdict }) => verdict.correct),
    extractedFraction: share(({ verdict }) => verdict.extracted),
    truncatedFraction: share(({ response }) => response.isTruncated),
    lengthTokens:
      answers.reduce((sum, { response }) => sum + response.tokens.length, 0) / answers.length,
    infrastructureFailures: countFailures(answers),
    ...meanLogs(answers.map(({ verdict }) => verdict)),
  };
}

/** The figures of a set of answers, as they are logged. */
export function evaluationMetrics(answers: readonly Answer[]): Record<string, number> {
  const entries = Object.entries(summariseAnswers(answers));
  return Object.fromEntries(entries.map(([name, value]) => [`eval/${name}`, value]));
}

/** How wide the tables in a log are. */
const columnsOfLog = 100;

/** Measures the dev accuracy of a run's weights, writes the answers down, and knows the best so far. */
export interface AccuracyMeasure {
  measure(step: number): Promise<Measurement>;
  /** -1 before the first measurement. */
  best(): number;
}

/** @param before the best accuracy of a run that goes on */
export function createAccuracyMeasure(
  run: Run,
  evaluator: Evaluator,
  questions: readonly Question[],
  before = -1,
): AccuracyMeasure {
  let best = before;
  return {
    async measure(step) {
      using _ = doing(`measuring ${questions.length} dev questions`);
      const answers = await evaluator.evaluate(questions);
      writeSamples(run, step, answers.map(answerRecord));
      const figures = evaluationMetrics(answers);
      const accuracy = figures["eval/accuracy"]!;
      say(
        `dev after step ${step}: ${percent(accuracy)} of ${answers.length} right, of which some:\n` +
          answersTable(answers, columnsOf(process.stderr) ?? columnsOfLog),
      );
      const isBest = accuracy > best;
      best = Math.max(best, accuracy);
      return { isBest, figures };
    },
    best: () => best,
  };
}
