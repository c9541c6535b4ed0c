// Accuracy on dev against samples and against minutes, as an SVG that stands alone.
import { roundTicks, svgPicture, svgText } from "../src/evaluate/svg.ts";

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

const colours = ["c0", "c1", "c2", "c3", "c4"];

const axes = [
  { label: "samples", of: ({ samples }: CurvePoint) => samples },
  { label: "minutes of steps", of: ({ minutes }: CurvePoint) => minutes },
] as const;

/** Two panels with one line per run; the scales are linear. Colours repeat from the sixth run on. */
export function curvesPicture(curves: readonly Curve[]): string {
  const width = panel.left + 2 * (panel.width + panel.gap);
  const height = panel.top + panel.height + 60 + curves.length * rowHeight;
  const accuracies = curves.flatMap(({ points }) => points.map(({ accuracy }) => 100 * accuracy));
  const ticks = roundTicks(Math.min(...accuracies), Math.max(...accuracies));
  const y = scale(ticks[0]!, ticks.at(-1)!, panel.height, 0);
  const panels = axes.map(({ label, of }, column) => {
    const most = Math.max(...curves.flatMap(({ points }) => points.map(of)));
    const marks = roundTicks(0, most);
    const x = scale(0, marks.at(-1)!, 0, panel.width);
    return [
      `<g transform="translate(${panel.left + column * (panel.width + panel.gap)} ${panel.top})">`,
      ...ticks.flatMap((tick) => [
        `<path class="grid" d="M0 ${y(tick)}H${panel.width}"/>`,
        svgText(`${tick}`, -8, y(tick) + 4, "end"),
      ]),
      ...marks.map((mark) => svgText(`${mark}`, x(mark), panel.height + 18, "middle")),
      svgText(label, panel.width / 2, panel.height + 38, "middle"),
      ...curves.map(({ points }, i) => {
        const places = points.map((point) => [x(of(point)), y(100 * point.accuracy)] as const);
        const dots = places.map(([px, py]) => `<circle class="dot" cx="${px}" cy="${py}" r="3"/>`);
        const line = `<polyline class="line" points="${places.map(String).join(" ")}"/>`;
        return `<g class="${colours[i % colours.length]}">${line}${dots.join("")}</g>`;
      }),
      "</g>",
    ].join("");
  });
  const names = curves.map(({ name }, i) => {
    const top = panel.top + panel.height + 60 + i * rowHeight;
    const line = `<path class="line ${colours[i % colours.length]}" d="M${panel.left} ${top}h24"/>`;
    return `${line}${svgText(name, panel.left + 32, top + 4, "start")}`;
  });
  const yLabel = `<g transform="translate(14 ${panel.top + panel.height / 2}) rotate(-90)">${svgText("accuracy on dev, %", 0, 0, "middle")}</g>`;
  const title = "Accuracy on dev, %, against samples and minutes";
  return svgPicture({ title, width, height }, colours, [yLabel, ...panels, ...names]);
}

function scale(low: number, high: number, from: number, to: number) {
  return (value: number) =>
    Math.round(10 * (from + ((to - from) * (value - low)) / (high - low))) / 10;
}
