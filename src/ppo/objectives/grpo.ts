// GRPO: a response's score, standardised over the responses to its question; the KL penalty is in the loss.
// Reference: Shao et al., DeepSeekMath, arXiv 2402.03300, section 4.1; TRL's GRPOTrainer.
import type { TokenMean } from "../../config.ts";
import { deviationOf, standardise } from "../advantages.ts";
import { type CreditedExperience, comparedInGroups, scoreOf, spreadLesson } from "../credit.ts";
import { klLoss } from "../loss.ts";
import type { Experience } from "../rollout.ts";
import type { LossTerm, Objective } from "./objective.ts";

export interface GrpoSettings {
  readonly klCoefficient: number;
  readonly lossMean?: TokenMean | undefined;
  readonly scaleAdvantages?: "group" | "rollout" | "none" | undefined;
  readonly ratio?: "token" | "response" | undefined;
}

export function grpo(settings: GrpoSettings): Objective {
  return {
    needsValueHead: false,
    credit: (experiences) => credit(experiences, settings.scaleAdvantages ?? "group"),
    ratio: settings.ratio === "response" ? "responseMean" : "token", // Zheng et al., GSPO, arXiv 2507.18071, eq. 7
    lossMean: settings.lossMean ?? "response",
    ...(settings.klCoefficient > 0 && { term: klTerm(settings.klCoefficient) }),
    lesson: spreadLesson,
  };
}

function klTerm(coefficient: number): LossTerm {
  return {
    name: "klLoss",
    coefficient,
    inputs: ({ referenceLogprobs }) => ({ referenceLogprobs: referenceLogprobs! }),
    loss: ({ logprobs }, { referenceLogprobs }, weights) =>
      klLoss(logprobs, referenceLogprobs!, weights),
  };
}

/** @param scale whose deviation the lead over the group is divided by; Dr. GRPO (arXiv 2503.20783) divides by none */
function credit(
  experiences: readonly Experience[],
  scale: "group" | "rollout" | "none",
): CreditedExperience[] {
  const ofRollout = scale === "rollout" ? deviationOf(experiences.map(scoreOf)) : undefined;
  return comparedInGroups(experiences, (group) =>
    standardise(group.map(scoreOf), scale === "none" ? null : ofRollout),
  );
}
