// One rollout: sampled answers, judged, with everything about them that learning needs, as plain data.
import type { Sequence } from "../data/batch.ts";
import { groupBy } from "../data/groupBy.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { type Answer, answerQuestions, type Question } from "../generate/answer.ts";
import type { Generator } from "../generate/generate.ts";
import type { Scorer } from "../model/score.ts";
import type { Judge } from "../reward/judge.ts";
import type { Rng } from "../rng.ts";

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
  readonly policy: Scorer;
  /** Undefined where no KL coefficient asks for it. */
  readonly reference?: Scorer | undefined;
}

export interface RolloutOptions {
  readonly maxNewTokens: number;
  readonly eosIds: readonly number[];
  readonly microBatchTokens: number;
}

export interface Rollout {
  readonly experiences: readonly Experience[];
  /** Programs that the sandbox, not the model, failed to run: their responses are left out. */
  readonly infrastructureFailures: number;
  /** Mean |log-probability when sampled - when recomputed| over all tokens: the rounding that caching and packing change. */
  readonly logprobGap: number;
}

/** Samples one answer per request, has it judged, and scores it with policy and reference. */
export async function collectRollout(
  { generator, judge, tokenizer, policy, reference }: RolloutParts,
  requests: readonly { readonly question: Question; readonly rng: Rng }[],
  { maxNewTokens, eosIds, microBatchTokens }: RolloutOptions,
): Promise<Rollout> {
  const all = await answerQuestions(generator, judge, tokenizer, requests, {
    maxNewTokens,
    eosIds,
  });
  const answers = all.filter(({ verdict }) => verdict.outcome.kind !== "infrastructure");
  const sequences = answers.map(({ question, response }) => ({
    prompt: question.prompt.tokens,
    response: response.tokens,
  }));
  const { logprobs, values } = policy.score(sequences, microBatchTokens);
  const ofReference = reference?.score(sequences, microBatchTokens);
  const experiences = answers.map((answer, i) => ({
    ...sequences[i]!,
    answer,
    logprobs: logprobs[i]!,
    referenceLogprobs: ofReference?.logprobs[i],
    values: values[i]!,
  }));
  return {
    experiences,
    infrastructureFailures: all.length - answers.length,
    logprobGap: meanGap(experiences),
  };
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
