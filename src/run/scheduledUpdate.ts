// One optimizer step at the rate that the schedule has for it: what SFT and the reranker do after their backward pass.
import { type AdamW, type GuardedUpdate, updateIfFinite } from "../engine/optimizer.ts";
import { type Schedule, scheduleFactor } from "../engine/schedule.ts";

interface ScheduledRate {
  readonly learningRate: number;
  readonly schedule: Schedule;
  /** Share of the horizon over which the rate rises. */
  readonly warmupFraction: number;
}

/**
 * @param horizon steps after which a linear schedule ends at 0
 * @returns a function that updates the weights by the gradients of a step (counted from 0) with this loss, if both are finite. The
 *   schedule counts a step that is skipped, too
 */
export function createScheduledUpdate(
  adamW: AdamW,
  { learningRate: peak, schedule, warmupFraction }: ScheduledRate,
  horizon: number,
) {
  const warmupSteps = Math.round(warmupFraction * horizon);
  return (step: number, loss: number): GuardedUpdate & { readonly learningRate: number } => {
    const learningRate = peak * scheduleFactor(schedule, step, warmupSteps, horizon);
    return { learningRate, ...updateIfFinite(adamW, [learningRate], { loss }) };
  };
}
