// What the pictures share: a frame in the reader's light or dark, colours, ticks.

/** Light and dark, safe for the colour-blind (Okabe and Ito). */
const palette = [
  ["#0072b2", "#56b4e9"],
  ["#c46a00", "#e69f00"],
  ["#009e73", "#2fc49a"],
  ["#b8609a", "#df9cc3"],
  ["#6e7781", "#9198a1"],
] as const;

/**
 * An SVG that stands alone. Its marks may use the classes `grid`, `line` and `dot`; the latter two have the colour of the group they are in.
 *
 * @param colours classes that get a colour of the palette each, five at most
 */
export function svgPicture(
  { title, width, height }: { title: string; width: number; height: number },
  colours: readonly string[],
  marks: readonly string[],
): string {
  const coloursOf = (theme: 0 | 1) =>
    colours.map((name, i) => `.${name} { color: ${palette[i]![theme]} }`).join(" ");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${title}</title>`,
    `<style>
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .ground { fill: #ffffff }
  .grid { stroke: #d8dee4 }
  .line { fill: none; stroke-width: 2; stroke: currentColor }
  .dot { fill: currentColor }
  ${coloursOf(0)}
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .ground { fill: #0d1117 }
    .grid { stroke: #30363d }
    ${coloursOf(1)}
  }
</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    ...marks,
    "</svg>\n",
  ].join("\n");
}

export function svgText(
  content: string,
  x: number,
  y: number,
  anchor: "start" | "middle" | "end",
): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${content}</text>`;
}

/** Round numbers from below the least value to above the most, two to seven of them, `leastStep` apart or more. */
export function roundTicks(low: number, high: number, leastStep = 0): number[] {
  const unit = Math.max(leastStep, 10 ** Math.floor(Math.log10((high - low) / 6 || 1)));
  const step = [1, 2, 5, 10, 20]
    .map((factor) => factor * unit)
    .find((s) => Math.ceil(high / s) - Math.floor(low / s) <= 6)!;
  const first = Math.floor(low / step);
  const steps = Math.max(1, Math.ceil(high / step) - first);
  return Array.from({ length: steps + 1 }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}
