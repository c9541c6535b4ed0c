// GRPO: a response's score, standardised over the responses to its question; the KL penalty is in the loss.
// Reference: Shao et al., DeepSeekMath, arXiv 2402.03300, section 4.1; TRL's GRPOTrainer.
import { standardise } from "../advantages.ts";
import { comparedInGroups, scoreOf, spreadLesson } from "../credit.ts";
import { klLoss } from "../loss.ts";
import type { Objective } from "./objective.ts";

export interface GrpoSettings {
  readonly klCoefficient: number;
}

export function grpo({ klCoefficient }: GrpoSettings): Objective {
  return {
    needsValueHead: false,
    credit: (experiences) =>
      comparedInGroups(experiences, (group) => standardise(group.map(scoreOf))),
    lossMean: "response",
    term: {
      name: "klLoss",
      coefficient: klCoefficient,
      inputs: ({ referenceLogprobs }) => ({ referenceLogprobs }),
      loss: ({ logprobs }, { referenceLogprobs }, weights) =>
        klLoss(logprobs, referenceLogprobs!, weights),
    },
    lesson: spreadLesson,
  };
}
