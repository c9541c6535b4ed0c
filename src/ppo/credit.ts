// From a rollout to what the clipped objective needs: how much better than expected each token did. Which way, the objective says:
// objectives/; what more than one of them needs is here.
import type { Lesson } from "./alarms.ts";
import { tokenRewards } from "./rewards.ts";
import { type Experience, groupByQuestion } from "./rollout.ts";

/** An experience with each token credited. */
export interface CreditedExperience extends Experience {
  readonly advantages: Float32Array;
  /** What the value head learns to predict; empty without one. */
  readonly returns: Float32Array;
}

export function scoreOf({ answer }: Experience): number {
  return answer.verdict.score;
}

/** The rewards of a response's tokens: KL penalties, and the score at the end. */
export function shapedRewards(
  experience: Experience,
  settings: { readonly klCoefficient: number },
): Float32Array {
  return tokenRewards({ ...experience, score: scoreOf(experience) }, settings);
}

/** Gives all tokens of a response its one advantage over the others to its question. */
export function comparedInGroups(
  experiences: readonly Experience[],
  compare: (group: readonly Experience[]) => number[],
): CreditedExperience[] {
  return groupByQuestion(experiences).flatMap((group) => {
    const advantages = compare(group);
    return group.map((experience, i) => ({
      ...experience,
      advantages: new Float32Array(experience.response.length).fill(advantages[i]!),
      returns: new Float32Array(),
    }));
  });
}

const learnedFrom = ["logprobs", "referenceLogprobs", "values", "advantages", "returns"] as const;

/** A number of each kind that is not finite in what the objective learns from; undefined where all are. */
export function notFiniteIn(
  experiences: readonly CreditedExperience[],
): Readonly<Record<string, number>> | undefined {
  const found = learnedFrom.flatMap((kind) => {
    const rows = experiences.flatMap((experience) => experience[kind] ?? []);
    const wrong = rows.flatMap((row) => row.find((number) => !Number.isFinite(number)) ?? []);
    return wrong.length > 0 ? [[kind, wrong[0]!] as const] : [];
  });
  return found.length > 0 ? Object.fromEntries(found) : undefined;
}

/** Comparing the responses to a question teaches nothing where all of them score the same. */
export const spreadLesson: Lesson = {
  isMissing: ({ groupsWithoutSpread }) => groupsWithoutSpread === 1,
  text: "all responses to the same question score the same",
};
