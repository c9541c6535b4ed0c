// Accuracies as Markdown.
import { methods } from "./pools.ts";
import { curvesOf, type Metric, type Metrics, methodTitles } from "./summary.ts";

/** Which of several equals wins, as every evaluation states it. */
export const tieRule =
  "Of answers with equal votes, and of candidates with equal probabilities, the one sampled first wins.";

/** A share in percent: "46.6". */
export function percent(share: number): string {
  return (100 * share).toFixed(1);
}

/** A table with aligned columns, as formatters leave it. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, c) => Math.max(3, ...rows.map((row) => row[c]!.length)));
  const lines = rows.map((row) => row.map((cell, c) => cell.padEnd(widths[c]!)));
  const rule = widths.map((width) => "-".repeat(width));
  return [lines[0]!, rule, ...lines.slice(1)].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** The page of one evaluation: Top-1, then the methods by the number of samples. */
export function resultsPage(metrics: Metrics, questions: number): string {
  const samples = curvesOf(metrics)[0]!.points.at(-1)!.k;
  const { top1 } = metrics;
  return `${[
    "# Accuracy",
    `${questions.toLocaleString("en")} questions, ${samples} sampled answers to each. In percent, with 95 % intervals over questions.`,
    ...(top1
      ? [`Top-1, one greedy answer: **${percent(top1.accuracy)}** (${interval(top1)})`]
      : []),
    methodsTable([metrics]),
    `${tieRule} Below k = ${samples} the figures are means over choices of k samples. ` +
      "pass@k is the share of questions with a right answer among k, the upper bound of every choice.",
    "![Accuracy against k](accuracy.svg)",
  ].join("\n\n")}\n`;
}

/**
 * The methods of one model by the number of samples.
 *
 * @param seeds one evaluation per seed
 */
export function methodsTable(seeds: readonly Metrics[]): string {
  const curves = curvesOf(seeds[0]!);
  return markdownTable([
    ["", ...curves[0]!.points.map(({ k }) => `k = ${k}`)],
    ...curves.map(({ method, points }) => [
      `${methodTitles[method]}@k`,
      ...points.map(({ k }) => cell(seeds, `${method}@${k}`)),
    ]),
  ]);
}

/** A metric with its interval, "46.6 (43.5 to 49.7)", or of several seeds "46.6 ± 1.1"; empty where there is none. */
function cell(seeds: readonly Metrics[], name: string): string {
  const found = seeds.flatMap((metrics) => metrics[name] ?? []);
  if (found.length > 1) return percentWithError(found.map(({ accuracy }) => accuracy));
  return found.map((metric) => `${percent(metric.accuracy)} (${interval(metric)})`).join();
}

const interval = ({ confidence95: [low, high] }: Metric) => `${percent(low)} to ${percent(high)}`;

/** A model of the model card's table. */
export interface ModelRow {
  readonly model: string;
  /** One evaluation per seed. */
  readonly seeds: readonly Metrics[];
}

/**
 * Several models in one table: Top-1, and every method that any of them has, at the largest k that all have. A
 * cell has the 95 % interval, or of several seeds the mean ± its standard error; it is empty where a model lacks the method.
 */
export function modelTable(rows: readonly ModelRow[]): string {
  const curves = rows.flatMap(({ seeds }) => seeds.flatMap(curvesOf));
  const sizes = curves.map(({ points }) => points.map(({ k }) => k));
  const k = sizes[0]?.findLast((size) => sizes.every((others) => others.includes(size)));
  const present = methods.filter((name) => curves.some(({ method }) => method === name));
  const columns = [
    { name: "top1", title: "Top-1" },
    ...present.map((method) => ({
      name: `${method}@${k}`,
      title: `${methodTitles[method]}@${k}`,
    })),
  ];
  return markdownTable([
    ["model", ...columns.map(({ title }) => title)],
    ...rows.map(({ model, seeds }) => [model, ...columns.map(({ name }) => cell(seeds, name))]),
  ]);
}

/** "46.6", or of several seeds mean and standard error: "46.6 ± 1.1". */
export function percentWithError(shares: readonly number[]): string {
  const n = shares.length;
  const mean = shares.reduce((a, b) => a + b, 0) / n;
  if (n === 1) return percent(mean);
  const variance = shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / (n - 1);
  return `${percent(mean)} ± ${percent(Math.sqrt(variance / n))}`;
}
