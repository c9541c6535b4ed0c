// When a policy has collapsed: it earns nothing, says always the same, has left its reference or no longer answers, for several steps.
import type { ReftConfig } from "../config.ts";
import type { StepSigns } from "./alarms.ts";
import { createStreaks } from "./streaks.ts";

/** One sign of it, by the figure of metrics.jsonl that shows it. */
interface Sign {
  readonly figure: string;
  readonly value: (signs: StepSigns) => number | undefined;
  readonly isBeyond: (value: number, signs: StepSigns) => boolean;
  readonly limit: string;
}

export interface Collapse {
  /** Steps in a row. */
  readonly steps: number;
  readonly figures: Readonly<Record<string, number>>;
  readonly message: string;
}

export interface CollapseWatch {
  /** What has collapsed, after the step with which that is certain; undefined after all others. */
  after(signs: StepSigns): Collapse | undefined;
  /** Steps in a row that had each sign up to now, by its name. */
  counts(): Record<string, number>;
}

const usualSteps = 5;

/**
 * @param before of a run that goes on
 * @param limitsBefore with which it counted them: what it has said with these is not said again, and what fewer steps would have
 * said is said after the next one
 */
export function createCollapseWatch(
  limits: ReftConfig["alarms"],
  before: Readonly<Record<string, number>> = {},
  limitsBefore = limits,
): CollapseWatch {
  const { minExtractedFraction, maxTruncatedFraction } = limits;
  const { collapseSteps = usualSteps, minEntropy = 0.001 } = limits;
  const { maxKl = Number.POSITIVE_INFINITY } = limits;
  /** Streaks as long as this have been said. */
  let saidFrom = Math.max(collapseSteps, limitsBefore.collapseSteps ?? usualSteps);
  const watched: readonly Sign[] = [
    {
      figure: "reward/score",
      value: ({ score }) => score,
      isBeyond: (score, { isScoreConstant }) => isScoreConstant && score === 0,
      limit: "of all responses",
    },
    {
      figure: "response/entropyEstimate",
      value: ({ entropy }) => entropy,
      isBeyond: (entropy) => entropy < minEntropy,
      limit: `below ${minEntropy}`,
    },
    {
      figure: "kl/reference",
      value: ({ klReference }) => klReference,
      isBeyond: (kl) => kl > maxKl,
      limit: `above ${maxKl}`,
    },
    {
      figure: "reward/extractedFraction",
      value: ({ extractedFraction }) => extractedFraction,
      isBeyond: (share) => share < minExtractedFraction,
      limit: `below ${minExtractedFraction}`,
    },
    {
      figure: "response/truncatedFraction",
      value: ({ truncatedFraction }) => truncatedFraction,
      isBeyond: (share) => share > maxTruncatedFraction,
      limit: `above ${maxTruncatedFraction}`,
    },
  ];
  const nameOf = ({ figure }: Sign) => `collapse: ${figure}`;
  const streaks = createStreaks(watched.map(nameOf), before);
  return {
    after(signs) {
      const found = watched.flatMap((sign) => {
        const value = sign.value(signs);
        const isBeyond = value !== undefined && sign.isBeyond(value, signs);
        const count = streaks.count(nameOf(sign), isBeyond);
        return isBeyond && count >= collapseSteps ? [{ ...sign, value, count }] : [];
      });
      const isNew = found.some(({ count }) => count <= saidFrom);
      saidFrom = collapseSteps;
      if (!isNew) return undefined;
      const seen = found.map(
        ({ figure, value, limit }) => `${figure} is ${Number(value.toPrecision(3))}, ${limit}`,
      );
      return {
        steps: collapseSteps,
        figures: Object.fromEntries(found.map(({ figure, value }) => [figure, value])),
        message: `the policy has collapsed, for ${collapseSteps} steps: ${seen.join("; ")}`,
      };
    },
    counts: streaks.counts,
  };
}
