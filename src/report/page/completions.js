// The browser of completions: what became of a question through training.
import { sharesPicture } from "./charts.js";
import { choice, el, labelled, percent, plain, program, short, shown, table } from "./text.js";

/** @typedef {import("../data.ts").CompletionSet} CompletionSet */

/** As `results` in data.ts has them. */
const results = ["right", "wrong", "no-answer", "error", "timeout", "killed", "infrastructure"];
const wrong = String(results.indexOf("wrong"));
/** What stands for a result where there is little room. */
const signs = ["✓", "✗", "∅", "!", "⧖", "†", "?"];
const pageSize = 25;
const isProgram = /^\s*def \w+\(/m;

/**
 * The completions to one question, in the order of the steps.
 *
 * @typedef {object} Trail
 * @property {number} question
 * @property {number[]} rows
 */

/** @param {CompletionSet} set @returns {Trail[]} */
export function trailsOf({ questions, rows }) {
  /** @type {Trail[]} */
  const trails = questions.map((_, question) => ({ question, rows: [] }));
  for (const [row, question] of rows.question.entries()) trails[question]?.rows.push(row);
  return trails;
}

/**
 * What became of a question: from its first completion to its last.
 *
 * @type {readonly (readonly [id: string, name: string, holds: (right: readonly boolean[]) => boolean])[]}
 */
const changes = [
  ["any", "any", () => true],
  ["learned", "wrong first, right last", (right) => !right[0] && right.at(-1) === true],
  ["forgotten", "right first, wrong last", (right) => right[0] === true && !right.at(-1)],
  [
    "changing",
    "changing more than once",
    (right) => right.filter((is, i) => i > 0 && is !== right[i - 1]).length > 1,
  ],
  ["always", "always right", (right) => right.every((is) => is)],
  ["never", "never right", (right) => !right.some((is) => is)],
];

/**
 * @typedef {object} Filter
 * @property {string} change
 * @property {string} result a place in `results`, or "any"
 * @property {string} text in lower case
 */

/** The trails that a filter lets through. @param {CompletionSet} set @param {Filter} filter */
export function filtered(set, { change, result, text }) {
  const { rows, questions, texts } = set;
  const holds = changes.find(([id]) => id === change)?.[2] ?? (() => true);
  const matching = texts.map((other) => text === "" || other.toLowerCase().includes(text));
  return trailsOf(set).filter((trail) => {
    const { id, question, answer } = questions[trail.question] ?? {
      id: "",
      question: "",
      answer: "",
    };
    if (!holds(trail.rows.map((row) => rows.result[row] === 0))) return false;
    if (result !== "any" && !trail.rows.some((row) => rows.result[row] === Number(result)))
      return false;
    return (
      text === "" ||
      `${id}\n${question}\n${answer}`.toLowerCase().includes(text) ||
      trail.rows.some((row) => matching[rows.text[row] ?? 0] || matching[rows.value[row] ?? 0])
    );
  });
}

/**
 * The section of completions, and how it gets new ones of the same runs.
 *
 * @param {readonly CompletionSet[]} first
 */
export function completionsSection(first) {
  let sets = first;
  if (sets.length === 0) {
    const section = el(
      "section",
      { id: "completions" },
      el("h2", {}, "Completions"),
      el("p", {}, "No file of completions was found."),
    );
    return { section, isEmpty: true, update: () => {}, showWrong: () => {} };
  }
  let set = /** @type {CompletionSet} */ (sets[0]);
  /** @type {Filter & { page: number }} */
  const state = { change: "any", result: "any", text: "", page: 0 };
  /** Questions that are opened, by their texts. @type {Set<string>} */
  const opened = new Set();
  const overview = el("div", {});
  const list = el("ul", { class: "trails" });
  const found = el("p", { role: "status", class: "found" });
  const turn = (/** @type {number} */ by, /** @type {string} */ name) =>
    el(
      "button",
      {
        type: "button",
        onclick: () => {
          state.page += by;
          draw();
        },
      },
      name,
    );
  const [back, on] = [turn(-1, "Earlier questions"), turn(1, "Further questions")];

  function draw() {
    const trails = filtered(set, state);
    const pages = Math.max(1, Math.ceil(trails.length / pageSize));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const begin = state.page * pageSize;
    const part = trails.slice(begin, begin + pageSize);
    found.textContent =
      trails.length === 0
        ? `None of ${set.questions.length} questions.`
        : `Questions ${begin + 1} to ${begin + part.length} of ${trails.length} found, ${set.questions.length} in all.`;
    back.disabled = state.page === 0;
    on.disabled = state.page === pages - 1;
    list.replaceChildren(...part.map((trail) => el("li", {}, trailView(set, trail, opened))));
  }
  function change(/** @type {Partial<Filter>} */ by) {
    Object.assign(state, by, { page: 0 });
    draw();
  }
  function choose(/** @type {string} */ value) {
    set = sets.find(({ title }) => title === value) ?? set;
    state.page = 0;
    drawAll();
  }
  function drawAll() {
    overview.replaceChildren(...overviewOf(set));
    draw();
  }
  const search = el("input", {
    type: "search",
    placeholder: "question, program, answer",
    oninput: () => change({ text: search.value.trim().toLowerCase() }),
  });
  const setChoice = choice(
    sets.map(({ title }) => [title, title]),
    choose,
  );
  const changeChoice = choice(
    changes.map(([id, name]) => [id, name]),
    (value) => change({ change: value }),
  );
  const resultChoice = choice(
    [["any", "any"], ...results.map((name, i) => /** @type {const} */ ([String(i), name]))],
    (value) => change({ result: value }),
  );
  drawAll();
  const section = el(
    "section",
    { id: "completions" },
    el("h2", {}, "Completions"),
    el("div", { class: "toolbar" }, labelled("Of", setChoice)),
    overview,
    el(
      "div",
      { class: "toolbar" },
      labelled("Questions", changeChoice),
      labelled("Once ended as", resultChoice),
      labelled("Search", search),
    ),
    found,
    list,
    el("div", { class: "pages" }, back, on),
  );
  /** @param {readonly CompletionSet[]} latest */
  function update(latest) {
    sets = latest;
    set = sets.find(({ title }) => title === set.title) ?? set;
    const known = [...setChoice.options].map(({ value }) => value);
    for (const { title } of sets)
      if (!known.includes(title)) setChoice.append(el("option", { value: title }, plain(title)));
    overview.replaceChildren(...overviewOf(set));
    if (!list.contains(document.activeElement)) draw();
  }
  /** Leads to the wrong ones of a set, the texts that were given to several questions above them. @param {string} title */
  function showWrong(title) {
    Object.assign(state, { change: "any", result: wrong, text: "" });
    setChoice.value = title;
    changeChoice.value = "any";
    resultChoice.value = wrong;
    search.value = "";
    choose(title);
    (overview.lastElementChild ?? section).scrollIntoView();
  }
  return { section, isEmpty: false, update, showWrong };
}

/**
 * Texts that were given to several questions at the last step, the most frequent first: what a policy that has found one answer to all
 * writes.
 *
 * @param {CompletionSet} set
 * @returns {{ text: string, questions: number, of: number, right: number, score: number, since: number }[]} `since` is a place in the steps
 */
export function commonTexts({ steps, texts, rows }) {
  const last = steps.length - 1;
  /** @type {Map<number, { questions: Set<number>, times: number, right: number, score: number, since: number }>} */
  const found = new Map();
  const asked = new Set();
  for (const [row, place] of rows.text.entries()) {
    const step = rows.step[row] ?? 0;
    const known = found.get(place) ?? {
      ...{ questions: new Set(), times: 0, right: 0, score: 0, since: step },
    };
    found.set(place, known);
    known.since = Math.min(known.since, step);
    if (step !== last) continue;
    asked.add(rows.question[row]);
    known.questions.add(rows.question[row] ?? 0);
    known.times++;
    known.right += rows.result[row] === 0 ? 1 : 0;
    known.score += rows.score[row] ?? 0;
  }
  const often = Math.max(3, asked.size / 20);
  return [...found]
    .filter(([, { questions }]) => questions.size >= often)
    .toSorted(([, a], [, b]) => b.questions.size - a.questions.size)
    .slice(0, 5)
    .map(([place, { questions, times, right, score, since }]) => ({
      ...{ text: texts[place] ?? "", questions: questions.size, of: asked.size, since },
      ...{ right: right / times, score: score / times },
    }));
}

/** @param {CompletionSet} set */
function commonTextsTable(set) {
  const common = commonTexts(set);
  if (common.length === 0) return [];
  const nameOf = (/** @type {number} */ place) => String(set.steps[place] ?? "all");
  const rows = common.map(({ text, questions, of, right, score, since }) => [
    text.length > 300 ? `${text.slice(0, 300)}…` : text,
    `${questions} of ${of}`,
    percent(right),
    short(score),
    nameOf(since),
  ]);
  return [
    table(
      `The same text for several questions, step ${nameOf(set.steps.length - 1)}`,
      ["text", "questions", "right, %", "mean score", "first at step"],
      rows,
    ),
  ];
}

/** Shares of the results over the steps, as a picture and in numbers. @param {CompletionSet} set */
function overviewOf(set) {
  const { steps, counts } = set;
  const labels = steps.map((step) => (step === null ? "all" : String(step)));
  const present = results.map((_, i) => counts.some((bar) => (bar[i] ?? 0) > 0));
  const names = results.filter((_, i) => present[i]);
  const legend = el(
    "p",
    { class: "legend" },
    ...results.flatMap((name, i) =>
      present[i]
        ? [el("span", {}, el("i", { class: `key result${i}` }), `${signs[i]} ${name}`)]
        : [],
    ),
  );
  const rows = counts.map((bar, i) => [
    labels[i],
    ...bar.filter((_, kind) => present[kind]).map((count) => String(count)),
  ]);
  return [
    el("h3", {}, "How they ended"),
    legend,
    sharesPicture(labels, counts, names),
    el(
      "details",
      {},
      el("summary", {}, "In numbers"),
      table("Completions by how they ended", ["step", ...names], rows),
    ),
    ...commonTextsTable(set),
  ];
}

/**
 * One question, closed: its text and how each step ended. Opened, it has the completions.
 *
 * @param {CompletionSet} set
 * @param {Trail} trail
 * @param {Set<string>} open the questions that are, by their texts
 */
function trailView(set, trail, open) {
  const { rows, steps, questions } = set;
  const { id, question, answer } = questions[trail.question] ?? {
    id: "",
    question: "",
    answer: "",
  };
  const kinds = trail.rows.map((row) => rows.result[row] ?? 0);
  const strip = el(
    "span",
    { class: "strip", "aria-hidden": "true" },
    ...kinds.slice(0, 60).map((kind) => el("i", { class: `sign sign${kind}` }, signs[kind])),
  );
  const right = kinds.filter((kind) => kind === 0).length;
  const spoken = el("span", { class: "hidden" }, `right ${right} of ${kinds.length} times: `);
  const body = el("div", {});
  const view = el(
    "details",
    {
      open: open.has(question),
      ontoggle: () => {
        if (view.open) open.add(question);
        else open.delete(question);
        if (view.open && body.childElementCount === 0) body.append(...opened());
      },
    },
    el("summary", {}, spoken, strip, el("span", { class: "asked" }, ...shown(firstLine(question)))),
    body,
  );
  function opened() {
    const head = el(
      "dl",
      {},
      el("dt", {}, "Question"),
      el("dd", { class: "text" }, ...shown(question)),
      el("dt", {}, "Gold answer"),
      el("dd", { class: "text" }, ...shown(answer)),
      el("dt", {}, "Id"),
      el("dd", { class: "text" }, ...shown(id)),
    );
    return [head, ...stretches(trail.rows).map(completionView)];
  }
  /** Completions that follow each other and say the same. @param {readonly number[]} all */
  function stretches(all) {
    /** @type {number[][]} */
    const groups = [];
    for (const row of all) {
      const group = groups.at(-1);
      const same = group !== undefined && sameAs(group[0] ?? 0, row);
      if (same) group.push(row);
      else groups.push([row]);
    }
    return groups;
  }
  /** @param {number} a @param {number} b */
  function sameAs(a, b) {
    return rows.text[a] === rows.text[b] && rows.value[a] === rows.value[b];
  }
  /** @param {readonly number[]} group */
  function completionView(group) {
    const row = group[0] ?? 0;
    const kind = rows.result[row] ?? 0;
    const stepsOf = [...new Set(group.map((other) => steps[rows.step[other] ?? 0]))];
    const [first, last] = [stepsOf[0], stepsOf.at(-1)];
    const when =
      first === null
        ? group.length > 1
          ? `${group.length} times`
          : ""
        : first === last
          ? `step ${first}`
          : `steps ${first} to ${last}, the same`;
    const text = set.texts[rows.text[row] ?? 0] ?? "";
    const value = set.texts[rows.value[row] ?? 0] ?? "";
    return el(
      "article",
      { class: "completion" },
      el(
        "p",
        { class: "ended" },
        el("b", {}, when),
        el("span", { class: `badge sign${kind}` }, `${signs[kind]} ${results[kind]}`),
        `score ${short(rows.score[row] ?? 0)}`,
        rows.isTruncated[row] ? " · cut off at the limit" : undefined,
      ),
      el(
        "pre",
        { tabindex: 0, "aria-label": plain(`Completion, ${when}`), role: "region" },
        el("code", {}, ...(isProgram.test(text) ? program(text) : shown(text))),
      ),
      value === ""
        ? undefined
        : el("p", { class: "came-out" }, "→ ", el("code", {}, ...shown(value))),
    );
  }
  return view;
}

/** @param {string} text */
function firstLine(text) {
  const line = text.trim().split("\n")[0] ?? "";
  return line.length > 160 ? `${line.slice(0, 160)}…` : line;
}
