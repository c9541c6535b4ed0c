// Accuracy against the number of samples, as an SVG that stands alone.
import { type Curve, curvesOf, type Metrics, methodTitles } from "./summary.ts";
import { roundTicks, svgPicture, svgText } from "./svg.ts";

const plot = { left: 56, right: 510, top: 16, bottom: 320 };
const size = { width: 650, height: 376 };
const labelHeight = 15;

/** Lines with bands of 95 %, one per method, over a logarithmic k; Top-1 as a dashed level. */
export function accuracyPicture(metrics: Metrics): string {
  const curves = curvesOf(metrics);
  const ks = curves[0]!.points.map(({ k }) => k);
  const { top1 } = metrics;
  const bounds = Object.values(metrics).map(({ confidence95 }) => confidence95);
  const least = 100 * Math.min(...bounds.map(([low]) => low));
  const most = 100 * Math.max(...bounds.map(([, high]) => high));
  const ticks = roundTicks(least, most, 1);
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
  const title = "Accuracy against the number of samples";
  return svgPicture(
    { title, ...size },
    ["voting", "weightedVoting", "reranking", "pass", "top1"],
    [
      "<style>.top1 { stroke-dasharray: 6 4 }</style>",
      ...ticks.flatMap((tick) => [
        `<path class="grid" d="M${plot.left} ${y(tick / 100)}H${plot.right}"/>`,
        svgText(`${tick}`, plot.left - 8, y(tick / 100) + 4, "end"),
      ]),
      ...ks.map((k) => svgText(`${k}`, x(k), plot.bottom + 18, "middle")),
      svgText("samples k (logarithmic)", (plot.left + plot.right) / 2, plot.bottom + 42, "middle"),
      `<g transform="translate(16 ${(plot.top + plot.bottom) / 2}) rotate(-90)">${svgText("accuracy, %", 0, 0, "middle")}</g>`,
      ...(top1
        ? [`<path class="line top1" d="M${plot.left} ${y(top1.accuracy)}H${plot.right}"/>`]
        : []),
      ...curves.map((curve) => curveMarks(curve, x, y)),
      ...spread(labels).map((label) => svgText(label.text, plot.right + 10, label.y + 4, "start")),
    ],
  );
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
    `<polygon fill="currentColor" opacity="0.13" points="${[...lower, ...upper.toReversed()].join(" ")}"/>`,
    `<polyline class="line" points="${middle.join(" ")}"/>`,
    ...dots,
    "</g>",
  ].join("");
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
