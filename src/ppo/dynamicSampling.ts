// Dynamic sampling: questions whose responses all score the same teach nothing, so others are asked in their place.
// Reference: Yu et al., DAPO, arXiv 2503.14476, section 3.2.

import { groupBy } from "../data/groupBy.ts";
import type { Answer } from "../generate/answer.ts";
import type { Rng } from "../rng.ts";
import { hasSpread } from "./advantages.ts";

/**
 * The questions of each round of a step: first the step's own, then as many others, in an order of their own. No question comes
 * twice. It is a function of its arguments alone, so a run that goes on asks what it would have asked.
 */
export function* questionRounds<T>(
  own: readonly T[],
  all: readonly T[],
  maxRounds: number,
  rng: Rng,
): Generator<readonly T[]> {
  yield own;
  const asked = new Set(own);
  const others = rng.shuffled(all.filter((question) => !asked.has(question)));
  const end = Math.min(others.length, (maxRounds - 1) * own.length);
  for (let begin = 0; begin < end; begin += own.length)
    yield others.slice(begin, begin + own.length);
}

/** Of the questions whose responses differ in score the first so many, each with all of its answers. */
export function differingAnswers(answers: readonly Answer[], questions: number): Answer[][] {
  return groupBy(answers, ({ question }) => question)
    .filter((group) => hasSpread(group.map(({ verdict }) => verdict.score)))
    .slice(0, questions);
}
