// One rollout: sampled answers, judged, with everything about them that learning needs, as plain data.
import { groupBy } from "../data/groupBy.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { type Answer, answerQuestions, type Question } from "../generate/answer.ts";
import type { Generator } from "../generate/generate.ts";
import type { Sequence } from "../model/batch.ts";
import type { Scorer } from "../model/score.ts";
import type { Judge } from "../reward/judge.ts";
import type { Rng } from "../rng.ts";
import { differingAnswers } from "./dynamicSampling.ts";

/** One response and what is known of it; arrays have one number per response token, EOS included. */
export interface Experience extends Sequence {
  readonly answer: Answer;
  /** Of the sampling policy, computed as in training. */
  readonly logprobs: Float32Array;
  /** Undefined where nothing asks for them. */
  readonly referenceLogprobs?: Float32Array | undefined;
  /** Of the value head before each token; empty without one. */
  readonly values: Float32Array;
}

export interface RolloutParts {
  readonly generator: Generator;
  readonly judge: Judge;
  readonly tokenizer: Tokenizer;
  /** The policy, with its value head if there is one. */
  readonly policyScorer: Scorer;
  /** Undefined where no KL coefficient asks for it. */
  readonly referenceScorer?: Scorer | undefined;
}

export interface RolloutOptions {
  readonly maxNewTokens: number;
  readonly eosIds: readonly number[];
  readonly microBatchTokens: number;
  /** How many questions whose responses differ in score are wanted; undefined takes all questions of the first round. */
  readonly differingQuestions?: number | undefined;
}

export interface Rollout {
  /** What can be learned from. */
  readonly experiences: readonly Experience[];
  /** Everything that was sampled and judged, also what is left out of the experiences. */
  readonly answers: readonly Answer[];
  readonly rounds: number;
  /** Are there as many questions as were wanted? */
  readonly isFull: boolean;
  /** Programs that the sandbox, not the model, failed to run: their responses are left out. */
  readonly infrastructureFailures: number;
  /** Mean |log-probability when sampled - when recomputed| over all tokens: the rounding that caching and packing change. */
  readonly logprobGap: number;
}

interface Request {
  readonly question: Question;
  readonly rng: Rng;
}

/**
 * Samples one answer per request, has it judged, and scores it with policy and reference.
 *
 * @param rounds of requests; a further one is asked while questions are wanting
 */
export async function collectRollout(
  parts: RolloutParts,
  rounds: Iterable<readonly Request[]>,
  options: RolloutOptions,
): Promise<Rollout> {
  const { kept, ...sampled } = await sampleRounds(parts, rounds, options);
  const sequences = kept.map(({ question, response }) => ({
    prompt: question.prompt.tokens,
    response: response.tokens,
  }));
  const { logprobs, values } = parts.policyScorer.score(sequences, options.microBatchTokens);
  const ofReference = parts.referenceScorer?.score(sequences, options.microBatchTokens);
  const experiences = kept.map((answer, i) => ({
    ...sequences[i]!,
    answer,
    logprobs: logprobs[i]!,
    referenceLogprobs: ofReference?.logprobs[i],
    values: values[i]!,
  }));
  return { ...sampled, experiences, logprobGap: meanGap(experiences) };
}

/** Asks round after round until there are as many differing questions as wanted; the first round alone where none are. */
async function sampleRounds(
  { generator, judge, tokenizer }: RolloutParts,
  rounds: Iterable<readonly Request[]>,
  { maxNewTokens, eosIds, differingQuestions }: RolloutOptions,
): Promise<Omit<Rollout, "experiences" | "logprobGap"> & { readonly kept: readonly Answer[] }> {
  const answers: Answer[] = [];
  let [asked, infrastructureFailures] = [0, 0];
  let kept: readonly Answer[] = answers;
  let isFull = false;
  for (const requests of rounds) {
    const options = { maxNewTokens, eosIds };
    const round = await answerQuestions(generator, judge, tokenizer, requests, options);
    const judged = round.filter(({ verdict }) => verdict.outcome.kind !== "infrastructure");
    answers.push(...judged);
    infrastructureFailures += round.length - judged.length;
    asked++;
    const groups = differingQuestions && differingAnswers(answers, differingQuestions);
    if (groups) kept = groups.flat();
    isFull = !groups || groups.length === differingQuestions;
    if (isFull) break;
  }
  return { kept, answers, infrastructureFailures, rounds: asked, isFull };
}

function meanGap(experiences: readonly Experience[]): number {
  let [sum, tokens] = [0, 0];
  for (const { answer, logprobs } of experiences) {
    logprobs.forEach((logprob, t) => {
      sum += Math.abs(logprob - answer.response.logprobs[t]!);
    });
    tokens += logprobs.length;
  }
  return tokens === 0 ? 0 : sum / tokens;
}

/** Sequences by their question, in the order in which questions first occur. */
export function groupByQuestion<S extends Sequence>(sequences: readonly S[]): S[][] {
  return groupBy(sequences, ({ prompt }) => prompt); // a question's prompt is one array
}
