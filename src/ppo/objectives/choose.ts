// The objective that a configuration names.
import type { PpoConfig } from "../../config.ts";
import { gae } from "./gae.ts";
import { grpo } from "./grpo.ts";
import type { Objective } from "./objective.ts";
import { rloo } from "./rloo.ts";

export function objectiveOf(ppo: PpoConfig): Objective {
  switch (ppo.advantages) {
    case "gae":
      return gae(ppo);
    case "grpo":
      return grpo(ppo);
    case "rloo":
      return rloo(ppo);
  }
}
