// The figures that rewards give beside their scores, as metrics.
import type { Verdict } from "./judge.ts";

/** The mean of every figure over the verdicts that have it, under `reward/<name>`. */
export function meanLogs(verdicts: readonly Verdict[]): Record<string, number> {
  const sums = new Map<string, { sum: number; count: number }>();
  for (const { logs = {} } of verdicts) {
    for (const [name, figure] of Object.entries(logs)) {
      const { sum, count } = sums.get(name) ?? { sum: 0, count: 0 };
      sums.set(name, { sum: sum + figure, count: count + 1 });
    }
  }
  return Object.fromEntries(
    [...sums].map(([name, { sum, count }]) => [`reward/${name}`, sum / count]),
  );
}
