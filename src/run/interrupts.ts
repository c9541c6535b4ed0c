// Ctrl-C between steps: the loop finishes its step, writes a checkpoint and stops; a second Ctrl-C ends at once. Where a program
// observes the task, its AbortSignal takes the place of Ctrl-C.
import { UserError } from "../errors.ts";
import { observer } from "../observer.ts";
import { aboveLine, clearLine, outliveTerminal } from "../terminal.ts";
import { announceSignals, endAtSignals } from "./signals.ts";

/**
 * Thrown by a loop that stopped because the user asked; the message says how to go on.
 *
 * @hideconstructor
 */
export class InterruptedError extends UserError {}

export interface Interrupts {
  /** Has the user asked to stop? Ask between steps: it lets pending signals in first. */
  requested(): Promise<boolean>;
  /** Lets pending signals in, too, and stops watching. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Ctrl-C, what a system sends before it ends processes, and a terminal or connection that is closed. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Those that end the process at once when they come again. */
const sentTwice = ["SIGINT", "SIGTERM"] as const;
const stoppingLine =
  "Stopping when this step is done and saved. Ctrl-C again ends at once, without saving it.\n";
const endedLine =
  "\nInterrupted again: ended at once; the same command goes on from what was saved before.\n";

const ignore = () => {};

let wasRequested = false;
/** What ends the process where no loop watches, with a line before. */
let end: { readonly line: string; readonly listener: () => void } | undefined;

/**
 * From now on Ctrl-C ends the process with one line and exit code 1, but for the loops that watch for it.
 *
 * @param name of the command, for the line
 */
export function endOnInterrupt(name: string): void {
  outliveTerminal();
  const line = `\n${name}: interrupted; what it was writing may not be whole\n`;
  const listener = () => {
    process.stderr.write(line);
    process.exit(1);
  };
  end = { line, listener };
  endUnwatched();
}

/**
 * Makes signals end the process at once, also in the middle of a long synchronous step; between steps only where the set-up has not
 * compiled what this needs. Call it again after something else has taken the signals.
 */
export function endUnwatched(): void {
  if (end === undefined || endAtSignals(signals, end.line)) return;
  for (const signal of signals) process.on(signal, end.listener);
}

/**
 * Has the user asked any watching loop to stop since the last call? For what runs one loop after the other: a loop that was asked
 * in its last step just ends.
 */
export function takeInterrupt(): boolean {
  const hears = observer();
  if (hears !== undefined) return hears.signal?.aborted ?? false;
  const taken = wasRequested;
  wasRequested = false;
  return taken;
}

/** Resolves at Ctrl-C, SIGTERM or SIGHUP, for what has nothing to save. */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals) {
      process.once(signal, () => resolve());
      if (end) process.off(signal, end.listener);
    }
  });
}

/** Watches for Ctrl-C (SIGINT), SIGTERM and SIGHUP, or for the observer's signal, until disposed. Hold it with `await using`. */
export function watchInterrupts(): Interrupts {
  const hears = observer();
  if (hears !== undefined) return watchSignal(hears.signal);
  let isRequested = false;
  const stopWatching = () => {
    for (const signal of signals) process.off(signal, onSignal);
    process.off("SIGHUP", ignore);
  };
  const onSignal = (signal: NodeJS.Signals) => {
    isRequested = true;
    wasRequested = true;
    stopWatching();
    process.on("SIGHUP", ignore); // a closed terminal sends it, and so does the shell in it
    endAtSignals(sentTwice, endedLine);
    const isSaid = isAnnounced && signal !== "SIGHUP"; // and the line below is erased
    aboveLine(() => isSaid || process.stderr.write(announcement));
  };
  for (const signal of signals) {
    process.on(signal, onSignal); // first: without any listener a pending signal would be lost
    if (end) process.off(signal, end.listener);
  }
  const announcement = `${process.stderr.isTTY ? clearLine : ""}${stoppingLine}`;
  const isAnnounced = announceSignals(sentTwice, announcement, endedLine);
  return {
    requested: async () => {
      await letSignalsIn();
      return isRequested;
    },
    [Symbol.asyncDispose]: async () => {
      await letSignalsIn();
      stopWatching();
      endUnwatched();
    },
  };
}

function watchSignal(signal: AbortSignal | undefined): Interrupts {
  return {
    requested: async () => {
      await letSignalsIn();
      return signal?.aborted ?? false;
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** A signal reaches us only when the event loop turns, and a loop of synchronous steps never lets it. */
function letSignalsIn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
