// Learning-rate schedules: the factor by which the peak rate is multiplied.

export type Schedule = "linear" | "constant";

/** The factor at a step, by the schedule's name. */
export function scheduleFactor(
  schedule: Schedule,
  step: number,
  warmupSteps: number,
  totalSteps: number,
): number {
  return schedule === "linear"
    ? linearSchedule(step, warmupSteps, totalSteps)
    : constantSchedule(step, warmupSteps);
}

/**
 * Rises linearly over the warm-up, then falls linearly to 0 at the horizon. The first update (step 0) of a warm-up has rate 0,
 * as transformers' get_linear_schedule_with_warmup.
 */
export function linearSchedule(step: number, warmupSteps: number, totalSteps: number): number {
  if (step < warmupSteps) return step / Math.max(1, warmupSteps);
  return Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps));
}

/** Rises linearly over the warm-up, then stays. */
export function constantSchedule(step: number, warmupSteps: number): number {
  return step < warmupSteps ? step / Math.max(1, warmupSteps) : 1;
}
