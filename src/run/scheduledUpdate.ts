// One optimizer step at the rate that the schedule has for it: what SFT and the reranker do after their backward pass.
import type { AdamW } from "../engine/optimizer.ts";
import { type Schedule, scheduleFactor } from "../engine/schedule.ts";
import { type CheckpointOwner, notFinite } from "./checkpoint.ts";

interface ScheduledRate {
  readonly learningRate: number;
  readonly schedule: Schedule;
  /** Share of the horizon over which the rate rises. */
  readonly warmupFraction: number;
}

/**
 * @param horizon steps after which a linear schedule ends at 0
 * @returns a function that updates the weights by the gradients of a step (counted from 0) with this loss
 * @throws UserError, from that function, for a loss or a gradient that is not finite
 */
export function createScheduledUpdate(
  run: CheckpointOwner,
  adamW: AdamW,
  { learningRate: peak, schedule, warmupFraction }: ScheduledRate,
  horizon: number,
) {
  const warmupSteps = Math.round(warmupFraction * horizon);
  return (step: number, loss: number): { learningRate: number; gradNorm: number } => {
    const learningRate = peak * scheduleFactor(schedule, step, warmupSteps, horizon);
    if (!Number.isFinite(loss)) throw notFinite(run, step + 1, `the loss is ${loss}`);
    const gradNorm = adamW.update([learningRate]);
    if (!Number.isFinite(gradNorm))
      throw notFinite(run, step + 1, `the gradient's norm is ${gradNorm}`);
    return { learningRate, gradNorm };
  };
}
