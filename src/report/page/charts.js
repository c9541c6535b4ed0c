// Charts: one figure of several runs over what the steps are drawn against.
import { plain, short, svg } from "./text.js";

/**
 * @typedef {object} Line
 * @property {number} run its place among all runs, which decides its look
 * @property {readonly number[]} x
 * @property {readonly number[]} y
 * @property {readonly number[] | undefined} low
 * @property {readonly number[] | undefined} high
 */

/**
 * @typedef {object} Mark
 * @property {number} run as a line's
 * @property {number} x
 * @property {"alarm" | "best" | "last" | "notFinite"} kind
 * @property {string} text
 */

/**
 * @typedef {object} Chart
 * @property {string} name
 * @property {string} xName
 * @property {readonly [number, number]} domain of x
 * @property {readonly Line[]} lines
 * @property {readonly Mark[]} marks
 * @property {readonly [number, number] | undefined} band
 * @property {readonly number[]} limits
 */

export const size = { width: 360, height: 190, left: 46, right: 8, top: 12, bottom: 30 };
const inner = {
  width: size.width - size.left - size.right,
  height: size.height - size.top - size.bottom,
};

/** Round numbers between low and high, about so many. @param {number} low @param {number} high */
export function ticksOf(low, high, about = 4) {
  const raw = (high - low) / about || 1;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((s) => s >= raw) ?? raw;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++)
    ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/**
 * What the y axis spans: the values, and the normal band unless that would make them a flat line.
 *
 * @param {readonly Line[]} lines
 * @param {readonly [number, number] | undefined} band
 * @param {readonly number[]} limits
 * @returns {[number, number]}
 */
export function spanOf(lines, band, limits) {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { y, low: lows = y, high: highs = y } of lines) {
    for (const value of lows) low = Math.min(low, value);
    for (const value of highs) high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  const range = high - low || Math.abs(high) / 2 || 0.5;
  for (const bound of [...(band ?? []), ...limits]) {
    if (bound < low && low - bound <= 3 * range) low = bound;
    if (bound > high && bound - high <= 3 * range) high = bound;
  }
  const margin = low === high ? range : 0.05 * (high - low);
  // Counts and shares do not go below 0, so their charts do not, either.
  return [low >= 0 ? Math.max(0, low - margin) : low - margin, high + margin];
}

/** @param {readonly [number, number]} domain @param {number} value */
export function xAt([from, to], value) {
  return size.left + (inner.width * (value - from)) / (to - from || 1);
}

/** The place of the point nearest to a value of x. @param {readonly number[]} xs ascending @param {number} x */
export function nearest(xs, x) {
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((xs[middle] ?? 0) <= x) low = middle;
    else high = middle;
  }
  return x - (xs[low] ?? 0) <= (xs[high] ?? 0) - x ? low : high;
}

/** @param {number} value */
const round = (value) => Math.round(10 * value) / 10;

/**
 * The picture of a chart. Its last child is the cursor, a line that `moveCursor` moves.
 *
 * @param {Chart} chart
 */
export function chartPicture({ name, xName, domain, lines, marks, band, limits }) {
  const [low, high] = spanOf(lines, band, limits);
  const x = (/** @type {number} */ value) => round(xAt(domain, value));
  const y = (/** @type {number} */ value) =>
    round(size.top + (inner.height * (high - value)) / (high - low));
  const within = (/** @type {number} */ value) => Math.min(high, Math.max(low, value));
  const right = size.width - size.right;
  const floor = size.height - size.bottom;
  const yTicks = ticksOf(low, high);
  const picture = svg("svg", {
    viewBox: `0 0 ${size.width} ${size.height}`,
    role: "img",
    "aria-label": plain(`${name} against ${xName}. ${describe(lines)}`),
  });
  if (band && band[1] >= low && band[0] <= high) {
    const [top, bottom] = [y(within(band[1])), y(within(band[0]))];
    const height = Math.max(2, bottom - top);
    picture.append(
      svg("rect", { class: "band", x: size.left, y: top, width: inner.width, height }),
    );
  }
  for (const tick of yTicks)
    picture.append(
      svg("path", { class: "grid", d: `M${size.left} ${y(tick)}H${right}` }),
      svg("text", { x: size.left - 5, y: y(tick) + 4, "text-anchor": "end" }, short(tick)),
    );
  const xTicks = ticksOf(domain[0], domain[1]);
  for (const tick of xTicks)
    picture.append(
      svg("path", { class: "tick", d: `M${x(tick)} ${floor}v4` }),
      svg("text", { x: x(tick), y: floor + 15, "text-anchor": "middle" }, short(tick)),
    );
  picture.append(
    svg("text", { x: right, y: size.height - 3, "text-anchor": "end" }, xName),
    svg("path", { class: "axis", d: `M${size.left} ${size.top}V${floor}H${right}` }),
  );
  for (const limit of limits)
    if (limit >= low && limit <= high)
      picture.append(svg("path", { class: "limit", d: `M${size.left} ${y(limit)}H${right}` }));
  for (const mark of marks) picture.append(markPicture(mark, x(mark.x), floor));
  for (const line of lines) picture.append(linePicture(line, x, y));
  picture.append(
    svg("path", { class: "cursor", d: `M0 ${size.top}V${floor}`, visibility: "hidden" }),
  );
  return picture;
}

/** @param {readonly Line[]} lines */
function describe(lines) {
  const values = lines.flatMap(({ y }) => (y.length > 0 ? [[y[0], y.at(-1)]] : []));
  if (values.length === 0) return "No values.";
  return values.map(([first = 0, last = 0]) => `From ${short(first)} to ${short(last)}.`).join(" ");
}

/**
 * @param {Line} line
 * @param {(value: number) => number} px
 * @param {(value: number) => number} py
 */
function linePicture({ run, x, y, low, high }, px, py) {
  const group = svg("g", { class: `run run${run % 8}` });
  const at = (/** @type {readonly number[]} */ values) =>
    values.map((value, i) => `${px(x[i] ?? 0)},${py(value)}`);
  if (low && high)
    group.append(
      svg("path", { class: "spread", d: `M${[...at(low), ...at(high).reverse()].join("L")}Z` }),
    );
  if (y.length > 0) group.append(svg("path", { class: "line", d: `M${at(y).join("L")}` }));
  if (y.length <= 40)
    for (const [i, value] of y.entries())
      group.append(svg("circle", { class: "dot", cx: px(x[i] ?? 0), cy: py(value), r: 2.2 }));
  return group;
}

/** @param {Mark} mark @param {number} x @param {number} floor */
function markPicture({ run, kind, text }, x, floor) {
  const shapes = {
    alarm: `M${x} ${floor}V${size.top - 2}m-4 -8h8l-4 8z`,
    notFinite: `M${x - 4} ${floor - 10}l8 8m0 -8l-8 8`,
    best: `M${x} ${floor - 1}l-5 -8h10z`,
    last: `M${x} ${floor - 1}l-3.5 -6h7z`,
  };
  return svg(
    "path",
    { class: `mark ${kind} run${run % 8}`, d: shapes[kind] },
    svg("title", {}, plain(text)),
  );
}

/** @param {SVGSVGElement} picture @param {number} x in the picture's units */
export function moveCursor(picture, x) {
  const cursor = picture.lastElementChild;
  cursor?.setAttribute("transform", `translate(${round(x)} 0)`);
  cursor?.setAttribute("visibility", "visible");
}

/**
 * Shares over the steps, as bars that stack up to 1.
 *
 * @param {readonly string[]} labels of the bars
 * @param {readonly (readonly number[])[]} counts per bar, in the order of `names`
 * @param {readonly string[]} names
 */
export function sharesPicture(labels, counts, names) {
  const [width, height, bottom] = [720, 180, 22];
  const step = width / counts.length;
  const gap = step > 6 ? 1 : 0;
  const picture = svg("svg", {
    class: "shares",
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": `Shares of ${names.join(", ")} over the steps; the table below has the numbers`,
  });
  const shownLabels = Math.max(1, Math.ceil(counts.length / 10));
  for (const [i, bar] of counts.entries()) {
    const all = bar.reduce((sum, count) => sum + count, 0) || 1;
    let top = height - bottom;
    for (const [kind, count] of bar.entries()) {
      const tall = ((height - bottom) * count) / all;
      top -= tall;
      if (count === 0) continue;
      const place = { x: round(i * step), y: round(top), height: round(tall) };
      picture.append(
        svg("rect", { class: `result${kind}`, ...place, width: round(Math.max(0.5, step - gap)) }),
      );
    }
    if (i % shownLabels === 0)
      picture.append(
        svg(
          "text",
          { x: round((i + 0.5) * step), y: height - 6, "text-anchor": "middle" },
          labels[i],
        ),
      );
  }
  return picture;
}
