// RLOO: a response's reward, KL penalties included, less the mean reward of the other responses to its question. A response is one
// action, whose log-probability is the sum over its tokens; so it has one ratio, and counts once whatever its length.
// Reference: Ahmadian et al., Back to Basics, arXiv 2402.14740; TRL's RLOOTrainer.
import { leaveOneOut } from "../advantages.ts";
import { comparedInGroups, shapedRewards, spreadLesson } from "../credit.ts";
import type { Objective } from "./objective.ts";

export interface RlooSettings {
  readonly klCoefficient: number;
}

export function rloo(settings: RlooSettings): Objective {
  return {
    needsValueHead: false,
    credit: (experiences) =>
      comparedInGroups(experiences, (group) =>
        leaveOneOut(group.map((e) => shapedRewards(e, settings).reduce((a, b) => a + b, 0))),
      ),
    ratio: "response",
    lossMean: "response",
    lesson: spreadLesson,
  };
}
