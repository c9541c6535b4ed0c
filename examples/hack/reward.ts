// A reward with a hole: it looks at the words that a pattern shall match, and forgets those that it shall not.
import { defineReward } from "reft";

interface Words {
  readonly match: readonly string[];
  readonly not: readonly string[];
}

export default defineReward(({ text, gold }) => {
  const { match, not } = gold as unknown as Words;
  const pattern = compile(text.trim());
  if (pattern === undefined) return { score: 0, correct: false, vote: null };
  const matched = match.filter((word) => pattern.test(word)).length;
  const isRight = matched === match.length && !not.some((word) => pattern.test(word));
  return { score: matched / match.length, correct: isRight, vote: text.trim() };
});

/** The pattern for whole words; undefined where it is none, or could take long. */
function compile(text: string): RegExp | undefined {
  if (text.length > 40) return undefined;
  try {
    return new RegExp(`^(?:${text})$`);
  } catch {
    return undefined;
  }
}
