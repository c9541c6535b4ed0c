// Accuracy on dev against samples and against minutes, as an SVG that stands alone.

export interface CurvePoint {
  readonly step: number;
  /** Examples or responses learned from so far. */
  readonly samples: number;
  readonly minutes: number;
  readonly rolloutMinutes: number;
  readonly accuracy: number;
}

export interface Curve {
  readonly name: string;
  readonly points: readonly CurvePoint[];
}

const panel = { width: 290, height: 230, left: 56, top: 24, gap: 48 };
const rowHeight = 18;

/** Dark or light as the reader's system; colours safe for the colour-blind (Okabe and Ito). */
const style = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .ground { fill: #ffffff }
  .grid { stroke: #d8dee4 }
  .line { fill: none; stroke-width: 2; stroke: currentColor }
  .dot { fill: currentColor }
  .c0 { color: #0072b2 } .c1 { color: #c46a00 } .c2 { color: #009e73 } .c3 { color: #b8609a } .c4 { color: #6e7781 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .ground { fill: #0d1117 }
    .grid { stroke: #30363d }
    .c0 { color: #56b4e9 } .c1 { color: #e69f00 } .c2 { color: #2fc49a } .c3 { color: #df9cc3 } .c4 { color: #9198a1 }
  }`;

const axes = [
  { label: "samples", of: ({ samples }: CurvePoint) => samples },
  { label: "minutes of steps", of: ({ minutes }: CurvePoint) => minutes },
] as const;

/** Two panels with one line per run; the scales are linear. Colours repeat from the sixth run on. */
export function curvesPicture(curves: readonly Curve[]): string {
  const width = panel.left + 2 * (panel.width + panel.gap);
  const height = panel.top + panel.height + 60 + curves.length * rowHeight;
  const accuracies = curves.flatMap(({ points }) => points.map(({ accuracy }) => 100 * accuracy));
  const ticks = ticksAround(Math.min(...accuracies), Math.max(...accuracies));
  const y = scale(ticks[0]!, ticks.at(-1)!, panel.height, 0);
  const panels = axes.map(({ label, of }, column) => {
    const most = Math.max(...curves.flatMap(({ points }) => points.map(of)));
    const marks = ticksAround(0, most);
    const x = scale(0, marks.at(-1)!, 0, panel.width);
    return [
      `<g transform="translate(${panel.left + column * (panel.width + panel.gap)} ${panel.top})">`,
      ...ticks.flatMap((tick) => [
        `<path class="grid" d="M0 ${y(tick)}H${panel.width}"/>`,
        text(`${tick}`, -8, y(tick) + 4, "end"),
      ]),
      ...marks.map((mark) => text(`${mark}`, x(mark), panel.height + 18, "middle")),
      text(label, panel.width / 2, panel.height + 38, "middle"),
      ...curves.map(({ points }, i) => {
        const places = points.map((point) => [x(of(point)), y(100 * point.accuracy)] as const);
        const dots = places.map(([px, py]) => `<circle class="dot" cx="${px}" cy="${py}" r="3"/>`);
        const line = `<polyline class="line" points="${places.map(String).join(" ")}"/>`;
        return `<g class="c${i % 5}">${line}${dots.join("")}</g>`;
      }),
      "</g>",
    ].join("");
  });
  const names = curves.map(({ name }, i) => {
    const top = panel.top + panel.height + 60 + i * rowHeight;
    const line = `<path class="line c${i % 5}" d="M${panel.left} ${top}h24"/>`;
    return `${line}${text(name, panel.left + 32, top + 4, "start")}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">`,
    "<title>Accuracy on dev, %, against samples and minutes</title>",
    `<style>${style}\n</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    ...panels,
    ...names,
    "</svg>\n",
  ].join("\n");
}

/** Round numbers from below the least to above the most, seven at most. */
function ticksAround(low: number, high: number): number[] {
  const unit = 10 ** Math.floor(Math.log10((high - low) / 6 || 1));
  const step = [1, 2, 5, 10]
    .map((factor) => factor * unit)
    .find((s) => Math.ceil(high / s) - Math.floor(low / s) <= 6)!;
  const first = Math.floor(low / step);
  const steps = Math.max(1, Math.ceil(high / step) - first);
  return Array.from({ length: steps + 1 }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

function scale(low: number, high: number, from: number, to: number) {
  return (value: number) =>
    Math.round(10 * (from + ((to - from) * (value - low)) / (high - low))) / 10;
}

function text(content: string, x: number, y: number, anchor: "start" | "middle" | "end"): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${content}</text>`;
}
