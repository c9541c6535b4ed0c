// Accuracy against the number of samples, as an SVG that stands alone.
import { type Curve, curvesOf, type Metric, type Metrics, methodTitles } from "./summary.ts";

const plot = { left: 56, right: 510, top: 16, bottom: 320 };
const size = { width: 650, height: 376 };
const labelHeight = 15;

/** Dark or light as the reader's system; told apart by label, colours safe for the colour-blind (Okabe and Ito). */
const style = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .ground { fill: #ffffff }
  .grid { stroke: #d8dee4 }
  .line { fill: none; stroke-width: 2; stroke: currentColor }
  .band { fill: currentColor; opacity: 0.13 }
  .dot { fill: currentColor }
  .voting { color: #0072b2 } .weightedVoting { color: #c46a00 } .reranking { color: #009e73 } .pass { color: #b8609a }
  .top1 { color: #6e7781; stroke-dasharray: 6 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .ground { fill: #0d1117 }
    .grid { stroke: #30363d }
    .voting { color: #56b4e9 } .weightedVoting { color: #e69f00 } .reranking { color: #2fc49a } .pass { color: #df9cc3 }
    .top1 { color: #9198a1 }
  }`;

/** Lines with bands of 95 %, one per method, over a logarithmic k; Top-1 as a dashed level. */
export function accuracyPicture(metrics: Metrics): string {
  const curves = curvesOf(metrics);
  const ks = curves[0]!.points.map(({ k }) => k);
  const { top1 } = metrics;
  const ticks = percentTicks(Object.values(metrics));
  const [low, high] = [ticks[0]!, ticks.at(-1)!];
  const x = (k: number) =>
    round(plot.left + ((plot.right - plot.left) * Math.log(k)) / Math.log(Math.max(2, ks.at(-1)!)));
  const y = (share: number) =>
    round(plot.bottom - ((plot.bottom - plot.top) * (100 * share - low)) / (high - low));
  const labels = curves.map(({ method, points }) => ({
    text: `${methodTitles[method]}@k`,
    y: y(points.at(-1)!.accuracy),
  }));
  if (top1) labels.push({ text: "Top-1", y: y(top1.accuracy) });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" role="img">`,
    "<title>Accuracy against the number of samples</title>",
    `<style>${style}\n</style>`,
    `<rect class="ground" width="${size.width}" height="${size.height}"/>`,
    ...ticks.flatMap((tick) => [
      `<path class="grid" d="M${plot.left} ${y(tick / 100)}H${plot.right}"/>`,
      text(`${tick}`, plot.left - 8, y(tick / 100) + 4, "end"),
    ]),
    ...ks.map((k) => text(`${k}`, x(k), plot.bottom + 18, "middle")),
    text("samples k (logarithmic)", (plot.left + plot.right) / 2, plot.bottom + 42, "middle"),
    `<g transform="translate(16 ${(plot.top + plot.bottom) / 2}) rotate(-90)">${text("accuracy, %", 0, 0, "middle")}</g>`,
    ...(top1
      ? [`<path class="line top1" d="M${plot.left} ${y(top1.accuracy)}H${plot.right}"/>`]
      : []),
    ...curves.map((curve) => curveMarks(curve, x, y)),
    ...spread(labels).map((label) => text(label.text, plot.right + 10, label.y + 4, "start")),
    "</svg>\n",
  ].join("\n");
}

function curveMarks(
  { method, points }: Curve,
  x: (k: number) => number,
  y: (share: number) => number,
): string {
  const lower = points.map(({ k, confidence95 }) => `${x(k)},${y(confidence95[0])}`);
  const upper = points.map(({ k, confidence95 }) => `${x(k)},${y(confidence95[1])}`);
  const middle = points.map(({ k, accuracy }) => `${x(k)},${y(accuracy)}`);
  const dots = points.map(
    ({ k, accuracy }) => `<circle class="dot" cx="${x(k)}" cy="${y(accuracy)}" r="3"/>`,
  );
  return [
    `<g class="${method}">`,
    `<polygon class="band" points="${[...lower, ...upper.toReversed()].join(" ")}"/>`,
    `<polyline class="line" points="${middle.join(" ")}"/>`,
    ...dots,
    "</g>",
  ].join("");
}

function text(content: string, x: number, y: number, anchor: "start" | "middle" | "end"): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${content}</text>`;
}

/** Round percentages that enclose all intervals, seven at most. */
function percentTicks(metrics: readonly Metric[]): number[] {
  const low = 100 * Math.min(...metrics.map(({ confidence95 }) => confidence95[0]));
  const high = 100 * Math.max(...metrics.map(({ confidence95 }) => confidence95[1]));
  const step = [1, 2, 5, 10].find((s) => Math.ceil(high / s) - Math.floor(low / s) <= 6) ?? 20;
  const first = Math.floor(low / step) * step;
  const steps = Math.max(1, Math.ceil(high / step) - Math.floor(low / step));
  return Array.from({ length: steps + 1 }, (_, i) => first + i * step);
}

/** From top to bottom, moved apart where two would overlap, none below the plot. */
function spread<T extends { readonly y: number }>(labels: readonly T[]): T[] {
  let y = Number.NEGATIVE_INFINITY;
  return labels
    .toSorted((a, b) => a.y - b.y)
    .map((label, i) => {
      const lowest = plot.bottom - (labels.length - 1 - i) * labelHeight;
      y = Math.min(Math.max(label.y, y + labelHeight), lowest);
      return { ...label, y };
    });
}

const round = (value: number) => Math.round(10 * value) / 10;
