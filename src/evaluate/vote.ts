// Chooses one of several answers to a question: the one that most samples agree on.
import { readAnswer } from "../data/answer.ts";
import type { JsonValue } from "../data/json.ts";
import { answersEqual } from "../reward/compare.ts";

/** One sampled answer, as far as choosing goes. */
export interface Candidate {
  /** What came out; undefined where nothing did. */
  readonly answer: JsonValue | undefined;
  readonly correct: boolean;
  /** What the reward takes for the same answer, in place of `answer`; null: it does not vote. */
  readonly vote?: string | null;
  /** The classifier's P(correct). */
  readonly probability?: number;
}

/**
 * Votes among some candidates of a pool. An answer joins the first group whose first member the reward's comparator takes
 * for the same; of groups with equal votes the one that came first wins, and its first member stands for it. A candidate
 * without an answer does not vote. Where a reward said what an answer votes for, such votes are the same when their texts are.
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
  const ballots = candidates.map(ballotOf);
  const different = [...new Map(ballots.map((ballot) => [keyOf(ballot), ballot]))];
  const keys = different.map(([key]) => key);
  const answerIds = ballots.map((ballot) => keys.indexOf(keyOf(ballot)));
  const isSame = different.map(([, a]) => different.map(([, b]) => areSame(a, b)));
  return (chosen, weightOf) => {
    const groups: { first: number; weight: number }[] = [];
    for (const i of chosen) {
      if (!hasVote(candidates[i]!)) continue;
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

function hasVote({ answer, vote }: Candidate): boolean {
  return vote === undefined ? answer !== undefined : vote !== null;
}

/** What a candidate votes for: as its reward says, or by the answer that can be read; neither equals nothing. */
interface Ballot {
  readonly vote?: string;
  readonly answer?: number | string;
}

function ballotOf({ answer, vote }: Candidate): Ballot {
  if (typeof vote === "string") return { vote };
  const read = answer === undefined || vote === null ? undefined : readAnswer(answer);
  return read === undefined ? {} : { answer: read };
}

function keyOf(ballot: Ballot): string {
  return JSON.stringify(ballot);
}

function areSame(a: Ballot, b: Ballot): boolean {
  if (a.vote !== undefined || b.vote !== undefined) return a.vote === b.vote;
  return a.answer !== undefined && b.answer !== undefined && answersEqual(a.answer, b.answer);
}
