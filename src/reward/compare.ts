// When two answers are the same. The one comparator for reward, evaluation, votes and reranking.
import { readAnswer } from "../data/answer.ts";
import type { JsonValue } from "../data/json.ts";

/** The recipe's tolerance, which forgives answers rounded to cents. */
export const ANSWER_TOLERANCE = 1e-2;

/**
 * Both are numbers at most 0.01 apart, or both name the same choice, as `1,234` and 1234: the usual reward for programs and written
 * answers. What says neither equals nothing, itself included.
 */
export function answersEqual(a: JsonValue, b: JsonValue): boolean {
  const [x, y] = [readAnswer(a), readAnswer(b)];
  if (typeof x === "number" && typeof y === "number") return Math.abs(x - y) <= ANSWER_TOLERANCE;
  return x !== undefined && x === y;
}
