// The paper's objective: advantages from a value head, KL penalties in the rewards.
// Reference: Trung et al., arXiv 2401.08967, section 3.2.
import type { TokenMean } from "../../config.ts";
import { estimateAdvantages, whiten } from "../advantages.ts";
import { type CreditedExperience, shapedRewards } from "../credit.ts";
import { valueLoss } from "../loss.ts";
import type { Experience } from "../rollout.ts";
import type { Objective } from "./objective.ts";

export interface GaeSettings {
  readonly klCoefficient: number;
  readonly gamma: number;
  readonly gaeLambda: number;
  readonly valueClipRange: number;
  readonly valueCoefficient: number;
  readonly lossMean?: TokenMean | undefined;
}

export function gae(settings: GaeSettings): Objective {
  return {
    needsValueHead: true,
    credit: (experiences) => credit(experiences, settings),
    ratio: "token",
    lossMean: settings.lossMean ?? "response",
    term: {
      name: "valueLoss",
      coefficient: settings.valueCoefficient,
      inputs: ({ values, returns }) => ({ oldValues: values, returns }),
      loss: ({ values }, { oldValues, returns }, weights) =>
        valueLoss(
          { values: values!, oldValues: oldValues!, returns: returns!, weights },
          settings.valueClipRange,
        ),
    },
    lesson: {
      isMissing: ({ isScoreConstant }) => isScoreConstant,
      text: "all responses of a step score the same",
    },
  };
}

/** KL-shaped rewards, then GAE, then whitening over the whole rollout. */
function credit(experiences: readonly Experience[], settings: GaeSettings): CreditedExperience[] {
  const credited = experiences.map((experience) => ({
    ...experience,
    ...estimateAdvantages(shapedRewards(experience, settings), experience.values, settings),
  }));
  const whitened = whiten(credited.map(({ advantages }) => advantages));
  return credited.map((experience, i) => ({ ...experience, advantages: whitened[i]! }));
}
