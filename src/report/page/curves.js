// The curves of all figures, with one cursor for all of them.
import { chartPicture, moveCursor, nearest, size, xAt } from "./charts.js";
import { choice, el, labelled, plain, sentence, short, shown, svg } from "./text.js";

/** @typedef {import("../data.ts").ReportData} ReportData */
/** @typedef {import("../data.ts").RunData} RunData */
/** @typedef {import("../data.ts").Axes} Axes */
/** @typedef {import("../figures.ts").Figure} Figure */
/** @typedef {import("./charts.js").Line} Line */
/** @typedef {import("./charts.js").Mark} Mark */

/** @type {readonly (readonly [keyof Axes, string])[]} */
const axisNames = [
  ["step", "steps"],
  ["samples", "samples"],
  ["minutes", "minutes"],
];

/**
 * Figures in the groups that explain them; what no row explains stands last.
 *
 * @param {ReportData} data
 * @returns {{ title: string, figures: Figure[] }[]}
 */
export function groupsOf({ figures, runs }) {
  const names = new Set(runs.flatMap(({ curves }) => curves.map(({ name }) => name)));
  /** @type {{ title: string, figures: Figure[] }[]} */
  const groups = figures.map((group) => ({
    title: group.title,
    figures: group.figures.flatMap((figure) => {
      const isOwn = figure.name === "reward/<name>";
      const matching = isOwn
        ? [...names].filter((name) => name.startsWith("reward/"))
        : [figure.name].filter((name) => names.has(name));
      for (const name of matching) names.delete(name);
      return matching.map((name) => ({ ...figure, name }));
    }),
  }));
  const others = [...names].map((name) => ({ name, meaning: "", normal: "", otherwise: "" }));
  return [...groups, { title: "Other figures", figures: others }].filter(
    (group) => group.figures.length > 0,
  );
}

/** How far a figure lies outside of its normal band. @param {RunData} run @param {Figure} figure */
export function outsideOf(run, { name, band }) {
  const curve = run.curves.find((other) => other.name === name);
  if (!band || !curve) return undefined;
  const outside = curve.value.flatMap((value, i) =>
    value < band[0] || value > band[1] ? [curve.at[i] ?? 0] : [],
  );
  const [first] = outside;
  if (first === undefined) return undefined;
  return {
    first: run.axes.step[first] ?? 0,
    share: outside.length / curve.value.length,
    isNow: outside.at(-1) === curve.at.at(-1),
  };
}

/** A run's colour and dashes. @param {number} run */
function swatch(run) {
  const line = svg("path", { class: "line", d: "M0 5H26" });
  return svg(
    "svg",
    { class: `swatch run run${run % 8}`, viewBox: "0 0 26 10", "aria-hidden": "true" },
    line,
  );
}

/**
 * The section of curves, and how others move its cursor and give it new figures of the same runs.
 *
 * @param {ReportData} first
 */
export function curvesSection(first) {
  let data = first;
  /** @type {{ axis: keyof Axes, hidden: Set<number>, opened: Set<string>, filter: string, at: number | undefined }} */
  const state = { axis: "step", hidden: new Set(), opened: new Set(), filter: "", at: undefined };
  const body = el("div", { class: "figures" });
  const slider = el("input", {
    type: "range",
    min: 0,
    max: 1000,
    value: 1000,
    oninput: () =>
      moveTo(domain()[0] + (Number(slider.value) / 1000) * (domain()[1] - domain()[0])),
  });
  const place = el("output", { class: "place" });
  /** @type {{ picture: SVGSVGElement, domain: [number, number], lines: Line[], reading: HTMLElement }[]} */
  let charts = [];

  /** From 0 to where the longest of some runs ends. @param {readonly number[]} runs @returns {[number, number]} */
  function domainOf(runs) {
    const ends = runs.map((i) => data.runs[i]?.axes[state.axis].at(-1) ?? 0);
    return [0, Math.max(0, ...ends) || 1];
  }

  function domain() {
    return domainOf([...data.runs.keys()].filter((i) => !state.hidden.has(i)));
  }

  /** @param {number} x */
  function moveTo(x) {
    state.at = x;
    const [from, to] = domain();
    const unit = axisNames.find(([axis]) => axis === state.axis)?.[1] ?? "";
    slider.value = String(Math.round((1000 * (x - from)) / (to - from)));
    place.textContent = `${short(state.axis === "minutes" ? x : Math.round(x))} ${unit}`;
    slider.setAttribute("aria-valuetext", place.textContent);
    for (const { picture, domain: own, lines, reading } of charts) {
      moveCursor(picture, xAt(own, Math.min(x, own[1])));
      reading.replaceChildren(...lines.flatMap((line) => readingOf(line, x)));
    }
  }

  /** @param {Line} line @param {number} x @returns {Node[]} */
  function readingOf({ run, x: xs, y, low, high }, x) {
    if (y.length === 0) return [];
    const i = nearest(xs, x);
    const spread = low && high ? ` (${short(low[i] ?? 0)} to ${short(high[i] ?? 0)})` : "";
    const at = state.axis === "step" ? ` at ${short(xs[i] ?? 0)}` : "";
    const name = data.runs.length > 1 ? `${plain(data.runs[run]?.name ?? "")} ` : "";
    return [
      el("span", {}, swatch(run), ` ${name}`, el("b", {}, short(y[i] ?? 0)), `${spread}${at}`),
    ];
  }

  /** @param {Figure} figure */
  function card(figure) {
    const lines = data.runs.flatMap((run, i) =>
      state.hidden.has(i) ? [] : linesOf(run, i, figure),
    );
    const marks = data.runs.flatMap((run, i) =>
      state.hidden.has(i) ? [] : marksOf(run, i, figure),
    );
    const limits = [...new Set(data.runs.flatMap(({ limits }) => limits[figure.name] ?? []))];
    const { name, meaning, normal, otherwise, band, limit } = figure;
    const xName = axisNames.find(([axis]) => axis === state.axis)?.[1] ?? "";
    const own = domainOf(lines.map(({ run }) => run));
    const picture = chartPicture({ name, xName, domain: own, lines, marks, band, limits });
    picture.addEventListener("pointermove", (event) => {
      const box = picture.getBoundingClientRect();
      const [from, to] = own;
      const units = ((event.clientX - box.left) / box.width) * size.width;
      const share = (units - size.left) / (size.width - size.left - size.right);
      moveTo(from + Math.min(1, Math.max(0, share)) * (to - from));
    });
    const reading = el("p", { class: "reading" });
    charts.push({ picture, domain: own, lines, reading });
    const outside = data.runs.flatMap((run, i) => {
      const found = state.hidden.has(i) ? undefined : outsideOf(run, figure);
      if (found === undefined) return [];
      const share = `${Math.ceil(100 * found.share)} % of its points, first at step ${found.first}`;
      return [
        el(
          "p",
          { class: "outside" },
          ...shown(`${run.name}: outside its normal band at ${share}.`),
        ),
      ];
    });
    const drawn = [
      band ? `The green band is ${[...new Set(band)].map(short).join(" to ")}. ` : "",
      limits.length > 0 ? `The dashed line is \`${limit}\`. ` : "",
    ].join("");
    return el(
      "figure",
      { class: "card", id: cardId(name) },
      el("figcaption", {}, el("h4", {}, ...shown(name))),
      meaning === "" ? undefined : el("p", { class: "meaning" }, ...sentence(meaning)),
      picture,
      reading,
      ...outside,
      normal === "" && otherwise === ""
        ? undefined
        : el(
            "details",
            {
              open: state.opened.has(name),
              ontoggle: (/** @type {Event} */ { target }) => {
                if (/** @type {HTMLDetailsElement} */ (target).open) state.opened.add(name);
                else state.opened.delete(name);
              },
            },
            el(
              "summary",
              {},
              "What is normal",
              el("span", { class: "hidden" }, ` for ${plain(name)}`),
            ),
            normal === "" ? undefined : el("p", {}, ...sentence(`Normal: ${normal}. ${drawn}`)),
            otherwise === ""
              ? undefined
              : el("p", {}, ...sentence(`When it is not: ${otherwise}.`)),
          ),
    );
  }

  /** @param {RunData} run @param {number} place @param {Figure} figure @returns {Line[]} */
  function linesOf({ axes, curves }, place, figure) {
    const curve = curves.find(({ name }) => name === figure.name);
    if (curve === undefined) return [];
    const x = curve.at.map((i) => axes[state.axis][i] ?? 0);
    return [{ run: place, x, y: curve.value, low: curve.low, high: curve.high }];
  }

  /** @param {RunData} run @param {number} place @param {Figure} figure @returns {Mark[]} */
  function marksOf({ name, axes, curves, alarms, checkpoints }, place, figure) {
    const curve = curves.find((other) => other.name === figure.name);
    if (curve === undefined) return [];
    const xOf = (/** @type {number} */ step) => axes[state.axis][nearest(axes.step, step)] ?? 0;
    const signs = data.signs.flatMap(({ of, step, message }) =>
      of === name && step !== null ? [{ step, message }] : [],
    );
    const flags = [...signs, ...alarms];
    const flagSteps = [...new Set(flags.map(({ step }) => step))].slice(0, 200);
    return [
      ...checkpoints.map(({ step, isBest, isLast }) => ({
        run: place,
        x: xOf(step),
        kind: isBest ? /** @type {const} */ ("best") : /** @type {const} */ ("last"),
        text: `${name}: ${[isBest ? "best" : "", isLast ? "last" : ""].filter(Boolean).join(" and ")} checkpoint, step ${step}`,
      })),
      ...flagSteps.map((step) => ({
        run: place,
        x: xOf(step),
        kind: /** @type {const} */ ("alarm"),
        text: `${name}, step ${step}: ${flags
          .filter((flag) => flag.step === step)
          .map(({ message }) => message)
          .join("; ")}`,
      })),
      ...curve.notFinite.map((step) => ({
        run: place,
        x: xOf(step),
        kind: /** @type {const} */ ("notFinite"),
        text: `${name}, step ${step}: not a finite number`,
      })),
    ];
  }

  function draw() {
    charts = [];
    const wanted = state.filter.toLowerCase();
    const groups = groupsOf(data).flatMap(({ title, figures }) => {
      const matching = figures.filter(({ name, meaning }) =>
        `${name} ${meaning}`.toLowerCase().includes(wanted),
      );
      if (matching.length === 0) return [];
      return [el("h3", {}, title), el("div", { class: "cards" }, ...matching.map(card))];
    });
    const none = el("p", {}, "No figure has this in its name or meaning.");
    const focused = document.activeElement?.closest(".card")?.id ?? "";
    body.replaceChildren(...(groups.length > 0 ? groups : [none]));
    document.getElementById(focused)?.querySelector("summary")?.focus();
    moveTo(state.at === undefined ? domain()[1] : Math.min(state.at, domain()[1]));
  }

  const axisChoice = choice(axisNames, (axis) => {
    const share = Number(slider.value) / 1000;
    state.axis = /** @type {keyof Axes} */ (axis);
    state.at = share * domain()[1];
    draw();
  });
  const filter = el("input", {
    type: "search",
    placeholder: "kl, eval/, length",
    oninput: () => {
      state.filter = filter.value.trim();
      draw();
    },
  });
  const toggles = data.runs.map((run, i) => {
    const box = el("input", {
      type: "checkbox",
      checked: true,
      onchange: () => {
        if (box.checked) state.hidden.delete(i);
        else state.hidden.add(i);
        draw();
      },
    });
    return el("label", { class: "run-choice" }, box, swatch(i), ...shown(run.name));
  });
  const section = el(
    "section",
    { id: "curves" },
    el("h2", {}, "Curves"),
    el(
      "p",
      { class: "note" },
      "Triangles at the floor are the checkpoints that are kept (the large one is the best), flags at the top alarms and what stands out, crosses figures that were not finite. A curve of more than 400 points is drawn as means, with the least and the most of each stretch as a shade around it.",
    ),
    el(
      "div",
      { class: "toolbar" },
      labelled("Against", axisChoice),
      labelled("Figures with", filter),
      data.runs.length > 1 ? el("fieldset", {}, el("legend", {}, "Runs"), ...toggles) : undefined,
      el("div", { class: "cursor-place" }, labelled("Cursor", slider), place),
    ),
    body,
  );
  draw();

  /** Moves the cursor to a step of a run. @param {number} run @param {number} step */
  function showStep(run, step) {
    const axes = data.runs[run]?.axes;
    if (axes === undefined) return;
    moveTo(axes[state.axis][nearest(axes.step, step)] ?? 0);
    section.scrollIntoView();
  }
  /** @param {ReportData} latest */
  function update(latest) {
    const wasAtEnd = state.at === undefined || state.at >= domain()[1];
    data = latest;
    if (wasAtEnd) state.at = undefined;
    draw();
  }
  return { section, showStep, update };
}

/** @param {string} name */
export function cardId(name) {
  return `figure-${name.replace(/[^\w-]/g, "-")}`;
}
