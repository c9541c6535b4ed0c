// Throughput and memory against what grows, as an SVG that stands alone: a column per axis, both scales logarithmic.
import { svgPicture, svgText } from "../../src/evaluate/svg.ts";

/** One measured point. */
export interface Point {
  readonly at: number;
  readonly tokensPerSecond: number;
  readonly peakMegabytes: number;
}

export interface Axis {
  readonly name: string;
  /** What is measured. */
  readonly title: string;
  readonly xLabel: string;
  readonly points: readonly Point[];
}

const panel = { width: 250, height: 170, left: 56, top: 34, gapX: 84, gapY: 66 };
const quantities = [
  { label: "tokens/s", of: ({ tokensPerSecond }: Point) => tokensPerSecond },
  { label: "peak memory, MB", of: ({ peakMegabytes }: Point) => peakMegabytes },
] as const;

export function growthPicture(axes: readonly Axis[]): string {
  const width = panel.left + axes.length * (panel.width + panel.gapX) - panel.gapX + 24;
  const height = panel.top + quantities.length * (panel.height + panel.gapY);
  const panels = axes.flatMap((axis, column) =>
    quantities.map(({ label, of }, row) => {
      const x = panel.left + column * (panel.width + panel.gapX);
      const y = panel.top + row * (panel.height + panel.gapY);
      const points = axis.points.map((point) => [point.at, of(point)] as const);
      return `<g class="cost" transform="translate(${x} ${y})">${drawPanel(axis, label, points, row === 0)}</g>`;
    }),
  );
  const title = "Throughput and memory against weights, length, batch and samples per prompt";
  return svgPicture({ title, width, height }, ["cost"], panels);
}

function drawPanel(
  { title, xLabel }: Axis,
  yLabel: string,
  points: readonly (readonly [at: number, value: number])[],
  isTop: boolean,
): string {
  const { width, height } = panel;
  const ticks = ticksAround(points.map(([, value]) => value));
  const x = scale(
    points.map(([at]) => at),
    [0, width],
  );
  const y = scale(ticks, [height, 0]);
  const places = points.map(([at, value]) => `${x(at)},${y(value)}`);
  return [
    ...(isTop ? [svgText(title, width / 2, -16, "middle")] : []),
    ...ticks.flatMap((tick) => [
      `<path class="grid" d="M0 ${y(tick)}H${width}"/>`,
      svgText(short(tick), -8, y(tick) + 4, "end"),
    ]),
    ...points.map(([at]) => svgText(short(at), x(at), height + 18, "middle")),
    svgText(`${xLabel}; ${yLabel}`, width / 2, height + 38, "middle"),
    `<polyline class="line" points="${places.join(" ")}"/>`,
    ...points.map(([at, value]) => `<circle class="dot" cx="${x(at)}" cy="${y(value)}" r="3"/>`),
  ].join("");
}

/** 1, 2, 5, 10, ... from below the least value to above the most. */
function ticksAround(values: readonly number[]): number[] {
  const candidates = Array.from(
    { length: 30 },
    (_, i) => [1, 2, 5][i % 3]! * 10 ** Math.floor(i / 3),
  );
  const low = candidates.findLast((tick) => tick <= Math.min(...values)) ?? candidates[0]!;
  const high = candidates.find((tick) => tick > Math.max(...values)) ?? candidates.at(-1)!;
  return candidates.filter((tick) => tick >= low && tick <= high);
}

/** Logarithmic, from the least to the most of the values. */
function scale(values: readonly number[], [from, to]: readonly [number, number]) {
  const [low, high] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))];
  return (value: number) =>
    Math.round(10 * (from + ((to - from) * (Math.log(value) - low)) / (high - low || 1))) / 10;
}

/** 1000000 as 1 M */
function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))} k`;
  return String(value);
}
