// How far a loop has come and what is done just now: a line below the messages of a terminal, now and then a line in a log.
import { observer } from "./observer.ts";
import { leaveLine, shortened, showBelow, widthOf } from "./terminal.ts";

/** Short figures beside the bar, the most important first: `{ loss: "1.23" }`. */
export type ProgressFields = Readonly<Record<string, string | number>>;

export interface Progress {
  /** Shows that `done` of the total are done. */
  update(done: number, fields?: ProgressFields): void;
  /** Shows the last state and gives the terminal back. */
  stop(): void;
}

/** A loop on its way. */
export interface LoopState {
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** Undefined where nothing is known yet. */
  readonly secondsLeft: number | undefined;
  readonly fields: ProgressFields;
}

const secondsBetweenLines = 30;
const secondsBetweenDrawings = 0.1;

/** The loop that a terminal shows. */
let shown: LoopState | undefined;
/** What is done just now, the innermost last. */
const activities: string[] = [];
/** Of a process without a terminal: what it has said that it does. */
const toldActivities = new Set<string>();

/**
 * Starts to show the progress of a loop: to the observer of the task, if it has one, else on standard error.
 *
 * @param start how many were done before, in a loop that goes on
 */
export function createProgress(
  label: string,
  total: number,
  { start = 0 }: { readonly start?: number } = {},
): Progress {
  const hears = observer();
  if (hears !== undefined) {
    const update: Progress["update"] = (done, figures = {}) =>
      hears.onProgress?.({ label, done, total, figures });
    return { update, stop: () => {} };
  }
  const secondsLeft = createEstimate(total, start);
  const stateOf = (done: number, fields: ProgressFields = {}) => {
    return { label, done, total, fields, secondsLeft: secondsLeft(done) };
  };
  return process.stderr.isTTY ? barOf(stateOf, start) : linesOf(stateOf);
}

/**
 * Says what is done until the result is disposed: beside the loop that a terminal shows; in a log when it is done for the first time,
 * numbers aside.
 */
export function doing(activity: string): Disposable {
  const hears = observer();
  if (hears !== undefined || !process.stderr.isTTY) {
    hears?.onActivity?.(activity);
    const kind = activity.replace(/\d+/g, "");
    if (hears === undefined && !toldActivities.has(kind)) process.stderr.write(`${activity}\n`);
    toldActivities.add(kind);
    return { [Symbol.dispose]: () => {} };
  }
  activities.push(activity);
  draw();
  return {
    [Symbol.dispose]: () => {
      activities.splice(activities.lastIndexOf(activity), 1);
      draw();
    },
  };
}

function draw(): void {
  const activity = activities.at(-1);
  const isEmpty = shown === undefined && activity === undefined;
  showBelow(isEmpty ? undefined : (columns) => progressLine(shown, activity, columns));
}

type StateOf = (done: number, fields?: ProgressFields) => LoopState;

function barOf(stateOf: StateOf, start: number): Progress {
  let drawnAt = performance.now();
  shown = stateOf(start);
  draw();
  return {
    update(done, fields) {
      shown = stateOf(done, fields);
      const now = performance.now();
      if (now - drawnAt < secondsBetweenDrawings * 1000) return;
      drawnAt = now;
      draw();
    },
    stop() {
      if (shown === undefined) return;
      draw();
      shown = undefined;
      leaveLine();
    },
  };
}

function linesOf(stateOf: StateOf): Progress {
  let shownAt = Number.NEGATIVE_INFINITY;
  let pending: string | undefined;
  const flush = () => {
    if (pending !== undefined) process.stderr.write(`${pending}\n`);
    pending = undefined;
  };
  return {
    update(done, fields) {
      const now = performance.now();
      const state = stateOf(done, fields);
      pending = [...headOf(state), ...fieldsOf(state)].join(" ");
      if (now - shownAt < secondsBetweenLines * 1000 && done < state.total) return;
      shownAt = now;
      flush();
    },
    stop: flush,
  };
}

/**
 * The time that a loop will still take. The first of what it does says nothing: graphs are compiled in it.
 *
 * @param start how many were done before
 * @returns of the number done: seconds; undefined up to the first one
 */
function createEstimate(total: number, start: number): (done: number) => number | undefined {
  let first: { readonly done: number; readonly at: number } | undefined;
  return (done) => {
    const now = performance.now();
    if (done > start) first ??= { done, at: now };
    if (done === total) return 0;
    if (first === undefined || done === first.done) return undefined;
    return ((now - first.at) / 1000 / (done - first.done)) * (total - done);
  };
}

const widestBar = 24;
const narrowestBar = 8;
/** In fewer columns there is a short form without a bar. */
const columnsForBar = 70;

/**
 * A loop and what is done just now, in a line of at most so many columns. Where that is too little, first the bar becomes shorter, then
 * the last of the figures are left out, then the end of what is done.
 */
export function progressLine(
  loop: LoopState | undefined,
  activity: string | undefined,
  columns: number,
): string {
  if (loop === undefined) return shortened(`${activity} ...`, columns);
  const now = activity === undefined ? "" : ` | ${activity}`;
  const [label, ...head] = headOf(loop);
  let line = head.join(" ");
  const hasBar = columns >= columnsForBar;
  const room = columns - widthOf(`${label} `) - (hasBar ? narrowestBar + 1 : 0);
  for (const field of fieldsOf(loop)) {
    if (widthOf(`${line} ${field}${now}`) > room) break;
    line += ` ${field}`;
  }
  line += now;
  const free = Math.max(0, room - widthOf(line));
  const bar = hasBar ? `${drawBar(loop, Math.min(widestBar, narrowestBar + free))} ` : "";
  return shortened(`${label} ${bar}${line}`, columns);
}

function drawBar({ done, total }: LoopState, columns: number): string {
  const full = Math.round((columns * done) / total);
  return "█".repeat(full) + "░".repeat(columns - full);
}

function headOf({ label, done, total, secondsLeft }: LoopState): string[] {
  const eta = secondsLeft === undefined ? [] : [`ETA ${formatSeconds(secondsLeft)}`];
  return [label, `${done}/${total}`, `${Math.floor((100 * done) / total)}%`, ...eta];
}

function fieldsOf({ fields }: LoopState): string[] {
  return Object.entries(fields).map(([name, value]) => `${name} ${value}`);
}

function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${whole % 60}s`;
  return `${Math.floor(whole / 3600)}h${Math.floor((whole % 3600) / 60)}m`;
}

/** A share as a short figure beside the bar: 0.425 is "42.5%". */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}
