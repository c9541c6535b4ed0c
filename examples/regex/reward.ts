// What a pattern is worth: the share of the words that it sorts as the question asks.
import { defineReward } from "reft";

export interface Words {
  readonly match: readonly string[];
  readonly not: readonly string[];
}

export default defineReward(({ text, gold }) => {
  const { match, not } = gold as unknown as Words;
  const pattern = compile(text.trim());
  if (pattern === undefined) return { score: 0, vote: null, logs: { valid: 0 } };
  const right =
    match.filter((word) => pattern.test(word)).length +
    not.filter((word) => !pattern.test(word)).length;
  const score = right / (match.length + not.length);
  return { score, correct: score === 1, vote: text.trim(), logs: { valid: 1 } };
});

/** The pattern for whole words; undefined where it is none, or could take long. */
export function compile(text: string): RegExp | undefined {
  if (text.length > 40) return undefined;
  try {
    return new RegExp(`^(?:${text})$`);
  } catch {
    return undefined;
  }
}
