// Experiences for tests, made of the few numbers that a test is about.
import type { Experience } from "../../src/ppo/rollout.ts";

/** What of an experience a test says; the prompt's array says to which question it belongs. */
export interface GivenExperience {
  readonly prompt: readonly number[];
  readonly score: number;
  readonly logprobs: ArrayLike<number>;
  readonly referenceLogprobs?: ArrayLike<number>;
  readonly values?: ArrayLike<number>;
  readonly response?: readonly number[];
  readonly text?: string;
  readonly isTruncated?: boolean;
}

/** An experience; without values, and the reference thinks what the policy thinks, unless told otherwise. */
export function experienceOf(given: GivenExperience): Experience {
  const { prompt, score, logprobs, referenceLogprobs = logprobs, values = [], text = "" } = given;
  const { isTruncated = false } = given;
  const tokens = given.response ?? Array.from(logprobs, () => 1);
  const example = { id: "q", question: "?", answer: 1 };
  return {
    prompt,
    response: tokens,
    logprobs: Float32Array.from(logprobs),
    referenceLogprobs: Float32Array.from(referenceLogprobs),
    values: Float32Array.from(values),
    answer: {
      question: { example, prompt: { tokens: [...prompt], prefixTokens: [] } },
      response: { tokens, logprobs: Float32Array.from(logprobs), isTruncated },
      text,
      verdict: {
        outcome: { kind: "answer", value: score },
        score,
        correct: score === 1,
        extracted: true,
      },
    },
  };
}
