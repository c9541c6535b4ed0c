// How far a loop has come: a bar on a terminal, now and then a line in a log.
import { SingleBar } from "cli-progress";
import { observer } from "../observer.ts";

/** Short figures beside the bar, in the order to show: `{ loss: "1.23" }`. */
export type ProgressFields = Readonly<Record<string, string | number>>;

export interface Progress {
  /** Shows that `done` of the total are done. */
  update(done: number, fields?: ProgressFields): void;
  /** Shows the last state and gives the terminal back. */
  stop(): void;
}

export interface ProgressOptions {
  /** How many were done before, in a run that goes on. */
  readonly start?: number;
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

const secondsBetweenLines = 30;

/** Starts to show the progress of a loop: to the observer of the task, if it has one, else on standard error. */
export function createProgress(
  label: string,
  total: number,
  { start = 0, stream = process.stderr }: ProgressOptions = {},
): Progress {
  const hears = observer();
  if (hears !== undefined) {
    const update: Progress["update"] = (done, figures = {}) =>
      hears.onProgress?.({ label, done, total, figures });
    return { update, stop: () => {} };
  }
  return stream.isTTY ? barOn(stream, label, total, start) : linesOn(stream, label, total, start);
}

function barOn(
  stream: NodeJS.WritableStream,
  label: string,
  total: number,
  start: number,
): Progress {
  const bar = new SingleBar({
    stream,
    format: `${label} {bar} {value}/{total} {percentage}% ETA {eta_formatted} {fields}`,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 24,
    gracefulExit: false, // it would answer Ctrl-C before we do
  });
  bar.start(total, start, { fields: "" });
  return {
    update: (done, fields = {}) => bar.update(done, { fields: formatFields(fields) }),
    stop: () => bar.stop(),
  };
}

function linesOn(
  stream: NodeJS.WritableStream,
  label: string,
  total: number,
  start: number,
): Progress {
  const begin = performance.now();
  let shownAt = Number.NEGATIVE_INFINITY;
  let pending: string | undefined;
  const flush = () => {
    if (pending !== undefined) stream.write(`${pending}\n`);
    pending = undefined;
  };
  return {
    update: (done, fields = {}) => {
      const now = performance.now();
      const secondsLeft = ((now - begin) / 1000 / (done - start)) * (total - done);
      const percentage = Math.floor((100 * done) / total);
      const eta = done > start ? ` ETA ${formatSeconds(secondsLeft)}` : "";
      pending = `${label} ${done}/${total} ${percentage}%${eta} ${formatFields(fields)}`.trimEnd();
      if (now - shownAt < secondsBetweenLines * 1000 && done < total) return;
      shownAt = now;
      flush();
    },
    stop: flush,
  };
}

function formatFields(fields: ProgressFields): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name} ${value}`)
    .join(" ");
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
