// From a rollout to what the clipped objective needs: how much better than expected each token did, by the chosen estimator.
import type { PpoConfig } from "../config.ts";
import { estimateAdvantages, leaveOneOut, standardise, whiten } from "./advantages.ts";
import { tokenRewards } from "./rewards.ts";
import { type Experience, groupByQuestion } from "./rollout.ts";

/** An experience with each token credited. */
export interface CreditedExperience extends Experience {
  readonly advantages: Float32Array;
  /** What the value head learns to predict; empty without one. */
  readonly returns: Float32Array;
}

/**
 * Credits each token of a rollout:
 *
 * - gae: KL-shaped rewards, then GAE, then whitening over the whole rollout
 * - grpo: the score, standardised over the responses to its question; the KL penalty is in the loss
 * - rloo: the sum of the KL-shaped rewards, less the mean of the other responses to its question
 */
export function withAdvantages(
  experiences: readonly Experience[],
  ppo: PpoConfig,
): CreditedExperience[] {
  const rewardsOf = (experience: Experience) =>
    tokenRewards({ ...experience, score: scoreOf(experience) }, ppo);
  switch (ppo.advantages) {
    case "gae": {
      const credited = experiences.map((experience) => ({
        ...experience,
        ...estimateAdvantages(rewardsOf(experience), experience.values, ppo),
      }));
      const whitened = whiten(credited.map(({ advantages }) => advantages));
      return credited.map((experience, i) => ({ ...experience, advantages: whitened[i]! }));
    }
    case "grpo":
      return comparedInGroups(experiences, (group) => standardise(group.map(scoreOf)));
    case "rloo":
      return comparedInGroups(experiences, (group) =>
        leaveOneOut(group.map((e) => rewardsOf(e).reduce((a, b) => a + b, 0))),
      );
  }
}

function scoreOf({ answer }: Experience): number {
  return answer.verdict.score;
}

/** Gives all tokens of a response its one advantage over the others to its question. */
function comparedInGroups(
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
