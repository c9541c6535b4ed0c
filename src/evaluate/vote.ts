// Chooses one of several answers to a question: the one that most samples agree on.
import { readAnswer } from "../data/answer.ts";
import { answersEqual } from "../reward/compare.ts";

/** One sampled answer, as far as choosing goes. */
export interface Candidate {
  /** What came out; undefined where nothing did. */
  readonly answer: number | string | undefined;
  readonly correct: boolean;
  /** The classifier's P(correct). */
  readonly probability?: number;
}

/**
 * Votes among some candidates of a pool. An answer joins the first group whose first member the reward's comparator takes
 * for the same; of groups with equal votes the one that came first wins, and its first member stands for it. A candidate
 * without an answer does not vote.
 *
 * @param chosen places in the pool, in the order that decides ties
 * @param weightOf what a candidate's vote counts: 1 in a plain vote
 * @returns undefined when none of the chosen has an answer
 */
export type Vote = (
  chosen: readonly number[],
  weightOf: (candidate: Candidate) => number,
) => Candidate | undefined;

/** Votes over one pool. Answers are read and compared here, once, because a pool is voted on many times. */
export function createVote(candidates: readonly Candidate[]): Vote {
  const read = candidates.map(({ answer }) => (answer === undefined ? answer : readAnswer(answer)));
  const different = [...new Set(read)];
  const answerIds = read.map((answer) => different.indexOf(answer));
  const isSame = different.map((a) =>
    different.map((b) => a !== undefined && b !== undefined && answersEqual(a, b)),
  );
  return (chosen, weightOf) => {
    const groups: { first: number; weight: number }[] = [];
    for (const i of chosen) {
      if (candidates[i]!.answer === undefined) continue;
      const sameAs = isSame[answerIds[i]!]!;
      const group = groups.find(({ first }) => sameAs[answerIds[first]!]);
      const weight = weightOf(candidates[i]!);
      if (group) group.weight += weight;
      else groups.push({ first: i, weight });
    }
    let winner = groups[0];
    for (const group of groups) if (group.weight > winner!.weight) winner = group;
    return winner && candidates[winner.first];
  };
}
