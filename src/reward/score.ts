// The end-of-response reward: 1 for the right answer, a little for an answer at all, nothing otherwise.
import { choiceOf, readAnswer } from "../data/answer.ts";
import type { JsonValue } from "../data/json.ts";
import { answersEqual } from "./compare.ts";
import type { Outcome } from "./outcome.ts";

export interface Score {
  /** Of an answer that is compared with the gold answer 1, `partialReward` or 0; of other rewards any finite number. */
  readonly score: number;
  readonly correct: boolean;
  /** An answer came out, right or wrong. */
  readonly extracted: boolean;
}

export interface ScoreOptions {
  /** Reward of an answer that came out but is wrong: 0.1 in the paper, 0 to switch it off. */
  readonly partialReward: number;
  /**
   * As the authors' code: in multiple choice, a program that fails counts as an extracted answer ("none"), and a program ends at
   * its first blank line (createJudge).
   */
  readonly paperParity: boolean;
}

// A choice counts only where one is asked for; a number counts everywhere, though it is never the right choice.
function isExtracted(outcome: Outcome, answer: JsonValue, paperParity: boolean): boolean {
  if (outcome.kind === "infrastructure") return false;
  const isMultipleChoice = choiceOf(answer) !== undefined;
  if (paperParity && isMultipleChoice) return true;
  if (outcome.kind !== "answer") return false;
  const read = readAnswer(outcome.value);
  return typeof read === "number" || (isMultipleChoice && read !== undefined);
}

/**
 * Scores what came out against the gold answer. `infrastructure` scores 0 like a failure: the caller leaves such
 * samples out.
 * Reference: ReFT, arXiv 2401.08967, section 3.2; parity with the authors' code where it says so.
 */
export function scoreOutcome(
  outcome: Outcome,
  answer: JsonValue,
  { partialReward, paperParity }: ScoreOptions,
): Score {
  const correct = outcome.kind === "answer" && answersEqual(outcome.value, answer);
  const extracted = correct || isExtracted(outcome, answer, paperParity);
  return { score: correct ? 1 : extracted ? partialReward : 0, correct, extracted };
}
