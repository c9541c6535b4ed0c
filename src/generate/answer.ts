// From questions to judged answers: sample, then run or read what came out while other answers are still being written.
import type { Example } from "../data/examples.ts";
import { type SamplingFormat, type SamplingPrompt, samplingPrompt } from "../data/prompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { show, UserError } from "../errors.ts";
import { gather, shareOf } from "../ranks.ts";
import type { Judge, Verdict } from "../reward/judge.ts";
import type { Rng } from "../rng.ts";
import type { Generator, Response } from "./generate.ts";

/** A question ready to be asked. */
export interface Question {
  readonly example: Example;
  readonly prompt: SamplingPrompt;
}

/** One answer to a question, with what came of it. */
export interface Answer {
  readonly question: Question;
  readonly response: Response;
  /** What the model wrote, its given beginning included. */
  readonly text: string;
  readonly verdict: Verdict;
}

/**
 * Tokenises questions; those with too long a prompt are left out and counted.
 *
 * @throws UserError when none is left
 */
export function prepareQuestions(
  tokenizer: Tokenizer,
  examples: readonly Example[],
  sampling: SamplingFormat,
  maxPromptTokens: number,
): { questions: Question[]; tooLong: number } {
  const all = examples.map((example) => ({
    example,
    prompt: samplingPrompt(tokenizer, example, sampling),
  }));
  const questions = all.filter(({ prompt }) => prompt.tokens.length <= maxPromptTokens);
  if (questions.length === 0) {
    throw new UserError(
      `none of the ${all.length} questions, of which ${show(examples[0]?.id)} is the first, has a prompt of at most ` +
        `${maxPromptTokens} tokens; raise data.maxPromptTokens`,
    );
  }
  return { questions, tooLong: all.length - questions.length };
}

/** Tokens of the longest prompt. */
export function longestPrompt(questions: readonly Question[]): number {
  return questions.reduce((most, { prompt }) => Math.max(most, prompt.tokens.length), 0);
}

/** Asks a question once. */
interface Request {
  readonly question: Question;
  readonly rng: Rng;
}

interface AnswerOptions {
  readonly maxNewTokens: number;
  readonly eosIds: readonly number[];
}

/**
 * One answer per request, in their order. A question may be asked several times with different streams. Each rank answers its share;
 * all get all answers.
 *
 * @throws UserError where the reward of a user fails
 */
export async function answerQuestions(
  generator: Generator,
  judge: Judge,
  tokenizer: Tokenizer,
  requests: readonly Request[],
  options: AnswerOptions,
): Promise<Answer[]> {
  const own = await answerShare(generator, judge, tokenizer, shareOf(requests), options);
  // A question stays the same object: what belongs to it is told by that.
  const answers = gather(own.map(({ question: _, ...answer }) => answer));
  return answers.map((answer, i) => ({ question: requests[i]!.question, ...answer }));
}

async function answerShare(
  generator: Generator,
  judge: Judge,
  tokenizer: Tokenizer,
  requests: readonly Request[],
  options: AnswerOptions,
): Promise<Answer[]> {
  const answers: Promise<Answer>[] = new Array(requests.length);
  let failure: { readonly error: unknown } | undefined;
  const prompts = requests.map(({ question, rng }) => ({ tokens: question.prompt.tokens, rng }));
  await generator.generate(prompts, {
    ...options,
    onResponse: (index, response) => {
      if (failure) throw failure.error;
      const { question } = requests[index]!;
      const text = tokenizer.decode([...question.prompt.prefixTokens, ...response.tokens]);
      const { tokens } = response;
      const answer = judge({ example: question.example, text, tokens }).then((verdict) => ({
        question,
        response,
        text,
        verdict,
      }));
      answer.catch((error) => {
        failure ??= { error }; // stops the generation; nobody waits for the answer before its end
      });
      answers[index] = answer;
    },
  });
  return Promise.all(answers);
}

/** More answers than this that the sandbox failed to run would make any figure one of the sandbox. */
const mostFailures = 0.05;

/** How many answers have a program that the sandbox, not the model, failed to run. */
export function countFailures(answers: readonly Answer[]): number {
  return answers.filter(({ verdict }) => verdict.outcome.kind === "infrastructure").length;
}

/**
 * @param doing opens the message: "evaluation"
 * @throws UserError when the sandbox failed too often
 */
export function checkFailures(doing: string, answers: readonly Answer[]): void {
  const failures = countFailures(answers);
  if (failures <= mostFailures * answers.length) return;
  const failed = answers.find(({ verdict }) => verdict.outcome.kind === "infrastructure")!;
  const { outcome } = failed.verdict;
  throw new UserError(
    `${doing}: the sandbox could not run ${failures} of ${answers.length} programs ` +
      `(${"message" in outcome ? outcome.message : outcome.kind}); see docs/sandbox.md. What was written before is intact`,
  );
}

/** An answer as a line of a samples file. */
export function answerRecord({ question, response, text, verdict }: Answer) {
  const { id, question: asked, answer } = question.example;
  const { outcome, score, correct, vote } = verdict;
  const { isTruncated } = response;
  const voted = vote === undefined ? {} : { vote };
  return { id, question: asked, answer, text, outcome, score, correct, ...voted, isTruncated };
}
