// How far an accuracy would move with other questions of the same kind.
import type { Rng } from "../rng.ts";

export type Interval = readonly [low: number, high: number];

/** Wilson's 95 % interval of a share. Reference: Wilson, JASA 22 (1927), p. 209. */
export function wilsonInterval(successes: number, trials: number): Interval {
  const z = 1.959963984540054;
  const share = successes / trials;
  const scale = 1 / (1 + z ** 2 / trials);
  const centre = scale * (share + z ** 2 / (2 * trials));
  const half = scale * z * Math.sqrt((share * (1 - share)) / trials + z ** 2 / (4 * trials ** 2));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

const resamples = 2000;

/**
 * 95 % percentile intervals of means over questions: the questions are drawn anew with replacement 2,000 times, and the middle
 * 95 % of the means are kept. For the interval of a paired difference give the differences.
 * Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
 *
 * @param columns [metric][question], one length; all are resampled with the same questions
 * @returns one interval per column
 */
export function bootstrapIntervals(columns: readonly (readonly number[])[], rng: Rng): Interval[] {
  const questions = columns[0]?.length ?? 0;
  const means = columns.map(() => new Float64Array(resamples));
  const drawn = new Uint32Array(questions);
  for (let r = 0; r < resamples; r++) {
    for (let i = 0; i < questions; i++) drawn[i] = rng.integer(questions);
    for (const [m, column] of columns.entries()) {
      let sum = 0;
      for (let i = 0; i < questions; i++) sum += column[drawn[i]!]!;
      means[m]![r] = sum / questions;
    }
  }
  return means.map((values) => {
    values.sort();
    return [quantile(values, 0.025), quantile(values, 0.975)];
  });
}

/** Between two values a straight line, as numpy does by default. */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)]!;
  const above = sorted[Math.ceil(place)]!;
  return below + (place - Math.floor(place)) * (above - below);
}
