// From questions to judged answers: sample, then run or read what came out while other answers are still being written.
import type { Example } from "../data/examples.ts";
import { type SamplingFormat, type SamplingPrompt, samplingPrompt } from "../data/prompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { UserError } from "../errors.ts";
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
    prompt: samplingPrompt(tokenizer, example.question, sampling),
  }));
  const questions = all.filter(({ prompt }) => prompt.tokens.length <= maxPromptTokens);
  if (questions.length === 0) {
    throw new UserError(
      `none of the ${all.length} questions, of which "${examples[0]?.id}" is the first, has a prompt of at most ` +
        `${maxPromptTokens} tokens; raise data.maxPromptTokens`,
    );
  }
  return { questions, tooLong: all.length - questions.length };
}

/** Tokens of the longest prompt. */
export function longestPrompt(questions: readonly Question[]): number {
  return questions.reduce((most, { prompt }) => Math.max(most, prompt.tokens.length), 0);
}

/** One answer per request, in their order. A question may be asked several times with different streams. */
export async function answerQuestions(
  generator: Generator,
  judge: Judge,
  tokenizer: Tokenizer,
  requests: readonly { readonly question: Question; readonly rng: Rng }[],
  options: { readonly maxNewTokens: number; readonly eosIds: readonly number[] },
): Promise<Answer[]> {
  const answers: Promise<Answer>[] = new Array(requests.length);
  const prompts = requests.map(({ question, rng }) => ({ tokens: question.prompt.tokens, rng }));
  await generator.generate(prompts, {
    ...options,
    onResponse: (index, response) => {
      const { question } = requests[index]!;
      const text = tokenizer.decode([...question.prompt.prefixTokens, ...response.tokens]);
      answers[index] = judge(text, question.example.answer).then((verdict) => ({
        question,
        response,
        text,
        verdict,
      }));
    },
  });
  return Promise.all(answers);
}

/** An answer as a line of a samples file. */
export function answerRecord({
  question,
  response,
  text,
  verdict,
}: Answer): Record<string, unknown> {
  const { id, answer } = question.example;
  const { outcome, score, correct } = verdict;
  return {
    id,
    question: question.example.question,
    answer,
    text,
    outcome,
    score,
    correct,
    isTruncated: response.isTruncated,
  };
}
