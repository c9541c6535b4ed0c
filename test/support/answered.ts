// An answer to be judged, where the question does not matter.
import type { Answered } from "../../src/reward/judge.ts";

export function answered(
  text: string,
  answer: Answered["example"]["answer"],
  more: object = {},
): Answered {
  return { example: { id: "q1", question: "?", answer, ...more }, text, tokens: [] };
}
