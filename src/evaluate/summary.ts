// From shares per question to accuracies with intervals.
import { Rng } from "../rng.ts";
import { bootstrapIntervals, type Interval, wilsonInterval } from "./intervals.ts";
import { type Method, methods, type QuestionShares } from "./pools.ts";

export interface Metric {
  /** Mean share over the questions, in 0..1. */
  readonly accuracy: number;
  readonly confidence95: Interval;
}

/** By name: `top1`, `voting@10`. */
export type Metrics = Readonly<Record<string, Metric>>;

/**
 * Every metric's mean over the questions. The interval of `top1`, a count of right answers, is Wilson's; of the others the
 * percentile bootstrap over questions.
 */
export function summariseShares(questions: readonly QuestionShares[], seed: number): Metrics {
  const names = Object.keys(questions[0]!.shares);
  const columns = names.map((name) => questions.map(({ shares }) => shares[name]!));
  const intervals = bootstrapIntervals(columns, Rng.named(seed, "bootstrap"));
  const metrics = names.map((name, m): [string, Metric] => {
    const sum = columns[m]!.reduce((a, b) => a + b, 0);
    const n = questions.length;
    const confidence95 = name === "top1" ? wilsonInterval(sum, n) : intervals[m]!;
    return [name, { accuracy: sum / n, confidence95 }];
  });
  return Object.fromEntries(metrics);
}

/** A method's accuracies, k ascending. */
export interface Curve {
  readonly method: Method;
  readonly points: readonly ({ readonly k: number } & Metric)[];
}

/** The methods that were measured. */
export function curvesOf(metrics: Metrics): Curve[] {
  return methods.flatMap((method) => {
    const points = Object.entries(metrics)
      .filter(([name]) => name.startsWith(`${method}@`))
      .map(([name, metric]) => ({ k: Number(name.slice(method.length + 1)), ...metric }))
      .toSorted((a, b) => a.k - b.k);
    return points.length === 0 ? [] : [{ method, points }];
  });
}

/** What a method is called in tables and pictures. */
export const methodTitles: Readonly<Record<Method, string>> = {
  voting: "Voting",
  weightedVoting: "Weighted voting",
  reranking: "Rerank",
  pass: "pass",
};
