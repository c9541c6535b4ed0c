// A reward with a hole: it looks at the words that a pattern shall match, and forgets those that it shall not.
import { defineReward } from "reft";
import { compile, type Words } from "../regex/reward.ts";

export default defineReward(({ text, gold }) => {
  const { match, not } = gold as unknown as Words;
  const pattern = compile(text.trim());
  if (pattern === undefined) return { score: 0, correct: false, vote: null };
  const matched = match.filter((word) => pattern.test(word)).length;
  const isRight = matched === match.length && !not.some((word) => pattern.test(word));
  return { score: matched / match.length, correct: isRight, vote: text.trim() };
});
