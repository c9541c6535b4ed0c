// The parts of the page that are tables and lists: runs, alarms, evaluations, settings, data.
import { cardId, groupsOf, outsideOf } from "./curves.js";
import { choice, el, labelled, percent, plain, sentence, short, shown, table } from "./text.js";

/** @typedef {import("../data.ts").ReportData} ReportData */
/** @typedef {import("../data.ts").RunData} RunData */

/** @param {RunData} run @param {string} name */
function last(run, name) {
  return run.curves.find((curve) => curve.name === name)?.value.at(-1);
}

/** The measure that chooses the best checkpoint. @param {RunData} run */
function bestOf(run) {
  const curve = ["eval/accuracy", "eval/rerankingAccuracy"]
    .map((name) => run.curves.find((other) => other.name === name))
    .find((found) => found !== undefined);
  if (curve === undefined || curve.value.length === 0) return "";
  const best = (curve.high ?? curve.value).reduce((a, b) => Math.max(a, b));
  const at = curve.at[(curve.high ?? curve.value).indexOf(best)] ?? 0;
  return `${percent(best)} at step ${run.axes.step[at]}`;
}

/** A time as people write it. @param {string} iso */
function time(iso) {
  return iso.slice(0, 16).replace("T", " ");
}

/** @param {ReportData} data */
export function runsSection({ runs, notes, made }) {
  const rows = runs.map((run) => [
    run.name,
    run.stage,
    short(run.axes.step.at(-1) ?? 0),
    short(run.epochs),
    short(run.axes.samples.at(-1) ?? 0),
    short(run.axes.minutes.at(-1) ?? 0),
    bestOf(run),
    time(run.began),
    time(run.ended),
  ]);
  const head = [
    ...["run", "stage", "steps", "epochs", "samples", "minutes of steps"],
    ...["best on dev, %", "first step (UTC)", "last step (UTC)"],
  ];
  return el(
    "section",
    { id: "runs" },
    el("h2", {}, "Runs"),
    runs.length === 0 ? el("p", {}, "No run, evaluations alone.") : table("Runs", head, rows),
    el(
      "p",
      { class: "note" },
      `Samples are the examples or responses learned from. Made on ${time(made)} UTC.`,
    ),
    notes.length === 0
      ? undefined
      : el("ul", { class: "note" }, ...notes.map((note) => el("li", {}, ...shown(note)))),
  );
}

/**
 * @param {ReportData} data
 * @param {(run: number, step: number) => void} showStep
 * @param {(title: string) => void} showCompletions
 */
export function signsSection({ runs, signs }, showStep, showCompletions) {
  const rows = signs.map(({ of, step, message, completions }) => {
    const run = runs.findIndex(({ name }) => name === of);
    const text = step === null ? "" : `step ${step}`;
    const from =
      run === -1 || step === null
        ? text
        : el("button", { type: "button", onclick: () => showStep(run, step) }, text);
    const lead =
      completions === null
        ? []
        : [
            " ",
            el(
              "button",
              { type: "button", onclick: () => showCompletions(completions) },
              "completions",
            ),
          ];
    return [of, [from, ...lead], [...sentence(plain(message)), "."]];
  });
  return el(
    "section",
    { id: "signs" },
    el("h2", {}, "What stands out"),
    rows.length === 0
      ? el(
          "p",
          {},
          "Neither of the two that are looked for: a score that rises while fewer responses are right, and completions of which none is right.",
        )
      : table("What stands out, and when it began", ["of", "from", "what"], rows),
  );
}

/**
 * @param {ReportData} data
 * @param {(run: number, step: number) => void} showStep
 */
export function alarmsSection(data, showStep) {
  const { runs } = data;
  const alarms = runs.flatMap((run, i) => run.alarms.map((alarm) => ({ ...alarm, run, i })));
  const shownAlarms = alarms.slice(0, 500);
  const rows = shownAlarms.map(({ run, i, step, name, message }) => [
    run.name,
    [el("button", { type: "button", onclick: () => showStep(i, step) }, `step ${step}`)],
    name,
    [...sentence(plain(message))],
  ]);
  const outside = groupsOf(data).flatMap(({ figures }) =>
    figures.flatMap((figure) =>
      runs.flatMap((run) => {
        const found = outsideOf(run, figure);
        if (!found?.isNow) return [];
        const { name, otherwise } = figure;
        const link = el("a", { href: `#${cardId(name)}` }, plain(name));
        const value = short(last(run, name) ?? 0);
        const advice = otherwise === "" ? "" : ` ${otherwise}.`;
        return [
          el(
            "li",
            {},
            ...shown(`${run.name}: `),
            link,
            ...sentence(` is ${value} at the end, outside its normal band.${advice}`),
          ),
        ];
      }),
    ),
  );
  return el(
    "section",
    { id: "alarms" },
    el("h2", {}, "Alarms"),
    rows.length === 0
      ? el(
          "p",
          {},
          runs.every(({ machine }) => Object.keys(machine).length > 0) // versions that wrote none wrote no machine, either
            ? "None was raised."
            : "None were written down. Runs of older versions did not write theirs.",
        )
      : table("Alarms, when they began", ["run", "step", "alarm", "message"], rows),
    alarms.length > shownAlarms.length
      ? el("p", { class: "note" }, `The first ${shownAlarms.length} of ${alarms.length}.`)
      : undefined,
    outside.length === 0 ? undefined : el("h3", {}, "Outside their normal band at the end"),
    outside.length === 0 ? undefined : el("ul", {}, ...outside),
  );
}

/** @param {ReportData} data */
export function evaluationsSection({ evaluations, comparisons }) {
  if (evaluations.length === 0) return undefined;
  const names = [...new Set(evaluations.flatMap(({ metrics }) => Object.keys(metrics)))];
  const cell = (
    /** @type {{accuracy: number, confidence95: readonly [number, number]} | undefined} */ metric,
  ) =>
    metric === undefined
      ? ""
      : `${percent(metric.accuracy)} (${metric.confidence95.map(percent).join(" to ")})`;
  const rows = evaluations.map(({ folder, model, data, questions, metrics }) => [
    folder,
    model,
    `${data}, ${questions} questions`,
    ...names.map((name) => cell(metrics[name])),
  ]);
  return el(
    "section",
    { id: "evaluations" },
    el("h2", {}, "Evaluations"),
    table(
      "Accuracy in percent, with 95 % intervals over questions",
      ["evaluation", "model", "data", ...names],
      rows,
    ),
    ...comparisons.map(({ a, b, questions, metrics }) =>
      table(
        `${b} beside ${a}: the same ${questions} questions, paired`,
        ["accuracy, %", plain(a), plain(b), "difference (95 % interval)", "p", "test"],
        Object.entries(metrics).map(([name, metric]) => [
          name,
          percent(metric.a),
          percent(metric.b),
          `${percent(metric.difference)} (${metric.confidence95.map(percent).join(" to ")})`,
          metric.p < 0.001 ? "< 0.001" : metric.p.toFixed(3),
          metric.test,
        ]),
      ),
    ),
  );
}

/** @param {ReportData} data */
export function settingsSection({ runs, settings }) {
  if (runs.length === 0) return undefined;
  const differs = (/** @type {readonly (string | null)[]} */ values) => new Set(values).size > 1;
  const body = el("div", {});
  const state = { filter: "", isAll: runs.length === 1 };
  function draw() {
    const rows = settings
      .filter(({ values }) => state.isAll || differs(values))
      .filter(({ path, values }) =>
        `${path} ${values.join(" ")}`.toLowerCase().includes(state.filter),
      )
      .map(({ path, values }) => [
        path,
        ...values.map((value) => (value === null ? [el("i", {}, "not set")] : value)),
      ]);
    const head = ["setting", ...runs.map(({ name }) => name)];
    body.replaceChildren(
      rows.length === 0 ? el("p", {}, "None.") : table("Settings as resolved", head, rows),
    );
  }
  const filter = el("input", {
    type: "search",
    placeholder: "optimizer, slots",
    oninput: () => {
      state.filter = filter.value.trim().toLowerCase();
      draw();
    },
  });
  const which = choice(
    [
      ["different", "those that differ"],
      ["all", "all"],
    ],
    (value) => {
      state.isAll = value === "all";
      draw();
    },
  );
  draw();
  return el(
    "section",
    { id: "settings" },
    el("h2", {}, "Settings"),
    el(
      "div",
      { class: "toolbar" },
      runs.length > 1 ? labelled("Show", which) : undefined,
      labelled("Settings with", filter),
    ),
    body,
  );
}

/** @param {ReportData} data */
export function dataSection({ runs }) {
  const files = runs.flatMap((run) =>
    run.data.map(({ setting, path, rows, read }) => [
      run.name,
      setting,
      path,
      rows === null ? "" : short(rows),
      read === null ? "" : short(read.rows),
      read === null ? "" : short(read.tooLong),
      lengthsText(read?.prompt),
      lengthsText(read?.completion),
    ]),
  );
  if (files.length === 0) return undefined;
  const parts = [...new Set(runs.flatMap(({ machine }) => Object.keys(machine)))];
  const machines = runs.map(({ name, machine }) => [
    name,
    ...parts.map((part) => machine[part] ?? ""),
  ]);
  const costs = runs.map((run) => {
    const value = (/** @type {string} */ name) => {
      const found = last(run, name);
      return found === undefined ? "" : short(found);
    };
    return [
      run.name,
      value("time/stepSeconds"),
      value("memory/peakMegabytes"),
      value("response/lengthTokens") || value("eval/lengthTokens"),
    ];
  });
  return el(
    "section",
    { id: "data" },
    el("h2", {}, "Data, costs and machine"),
    table(
      "Data; rows as the manifest beside a file counts them now. Tokens: the median row, that which 95 % do not exceed, the longest",
      [
        ...["run", "setting", "file", "rows", "used", "too long"],
        ...["prompt, tokens", "completion, tokens"],
      ],
      files,
    ),
    table(
      "At the last step",
      ["run", "seconds of a step", "peak memory, MB", "response length, tokens"],
      costs,
    ),
    parts.length === 0 ? undefined : table("Machine", ["run", ...parts], machines),
  );
}

/** @param {import("../../run/lengths.ts").Lengths | undefined} lengths */
function lengthsText(lengths) {
  return lengths === undefined ? "" : [lengths.median, lengths.at95, lengths.most].join(", ");
}
