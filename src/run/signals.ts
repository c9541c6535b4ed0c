// Signals that are answered at once, also while native code keeps JavaScript from running: native/signals.cc.
import { createRequire } from "node:module";
import { constants } from "node:os";
import { messageOf } from "../errors.ts";
import { madeBySetup, setupAdvice } from "../setup.ts";
import { say } from "../terminal.ts";

interface Binding {
  endAtSignal(signal: number, line: string): void;
  announceSignal(signal: number, announcement: string, last: string): void;
}

/**
 * From now on one of the signals ends the process at once, with the line on standard error and exit code 1, until JavaScript
 * listens for it again.
 *
 * @returns false where nothing was changed, without the set-up, which compiles what this needs
 */
export function endAtSignals(signals: readonly NodeJS.Signals[], line: string): boolean {
  const binding = loadBinding();
  for (const signal of signals) binding?.endAtSignal(constants.signals[signal], line);
  return binding !== undefined;
}

/**
 * From now on the first of the signals, to which JavaScript listens already, also writes the announcement to standard error at once, and
 * the next one ends the process with the last line and exit code 1.
 *
 * @returns false where nothing was changed, as endAtSignals
 */
export function announceSignals(
  signals: readonly NodeJS.Signals[],
  announcement: string,
  last: string,
): boolean {
  const binding = loadBinding();
  for (const signal of signals)
    binding?.announceSignal(constants.signals[signal], announcement, last);
  return binding !== undefined;
}

let isReported = false;

function loadBinding(): Binding | undefined {
  try {
    const binding: Partial<Binding> = createRequire(import.meta.url)(madeBySetup("signals.node"));
    if (binding.announceSignal === undefined) throw new Error("an older .engine/signals.node");
    return binding as Binding;
  } catch (error) {
    const reason = messageOf(error).split("\n")[0];
    if (!isReported) say(`note: Ctrl-C is heard between steps only (${reason}). ${setupAdvice()}`);
    isReported = true;
    return undefined;
  }
}
