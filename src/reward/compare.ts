// When two answers are the same. The one comparator for reward, evaluation, votes and reranking.

/** The recipe's tolerance, which forgives answers rounded to cents. */
export const ANSWER_TOLERANCE = 1e-2;

const NUMERAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** The finite number that an answer stands for, commas removed; undefined for anything else ("nan", "5 apples", "b"). */
export function numberOf(answer: number | string): number | undefined {
  if (typeof answer === "number") return Number.isFinite(answer) ? answer : undefined;
  const text = answer.replaceAll(",", "").trim();
  const value = NUMERAL.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}

/** The choice that a multiple-choice answer names, in lower case: `b` for "b", "B", "'b'" and "(b)". */
export function choiceOf(answer: number | string): string | undefined {
  const match = /^["'(\s]*([a-e])["').\s]*$/i.exec(String(answer));
  return match?.[1]?.toLowerCase();
}

/** Both are numbers at most 0.01 apart, or both name the same choice. NaN equals nothing, itself included. */
export function answersEqual(a: number | string, b: number | string): boolean {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== undefined && y !== undefined) return Math.abs(x - y) <= ANSWER_TOLERANCE;
  const choice = choiceOf(a);
  return choice !== undefined && choice === choiceOf(b);
}
