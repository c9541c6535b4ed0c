// Long curves, thinned out to what a screen can show.
import type { Curve } from "./data.ts";

/** Buckets of a curve: more than a chart has pixels in its width. */
const maxPoints = 400;

/**
 * A figure over the steps. One of more than 400 points is cut into so many buckets, each with its mean, its least and its most value.
 *
 * @param values one per step; undefined where the figure was not measured
 */
export function curveOf(
  name: string,
  values: readonly (number | undefined)[],
  steps: readonly number[],
): Curve {
  const measured = values.flatMap((value, at) => (value === undefined ? [] : [{ at, value }]));
  const finite = measured.filter(({ value }) => Number.isFinite(value));
  const notFinite = measured
    .filter(({ value }) => !Number.isFinite(value))
    .slice(0, 100)
    .map(({ at }) => steps[at]!);
  if (finite.length <= maxPoints)
    return {
      name,
      at: finite.map(({ at }) => at),
      value: finite.map(({ value }) => short(value)),
      notFinite,
    };
  const buckets = Array.from({ length: maxPoints }, (_, b) =>
    finite.slice(placeOf(b, finite.length), placeOf(b + 1, finite.length)),
  );
  const valuesOf = (bucket: typeof finite) => bucket.map(({ value }) => value);
  const mean = (bucket: typeof finite) =>
    valuesOf(bucket).reduce((sum, value) => sum + value / bucket.length, 0);
  return {
    name,
    at: buckets.map((bucket) => bucket.at(-1)!.at),
    value: buckets.map((bucket) => short(mean(bucket))),
    low: buckets.map((bucket) => short(Math.min(...valuesOf(bucket)))),
    high: buckets.map((bucket) => short(Math.max(...valuesOf(bucket)))),
    notFinite,
  };
}

function placeOf(bucket: number, length: number): number {
  return Math.floor((bucket * length) / maxPoints);
}

/** Six digits: more than a chart shows, half of what JSON would write. */
export function short(value: number): number {
  return Number(value.toPrecision(6));
}
