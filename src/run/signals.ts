// Signals that end the process at once, also while native code keeps JavaScript from running: native/signals.cc.
import { createRequire } from "node:module";
import { constants } from "node:os";
import { messageOf } from "../errors.ts";
import { madeBySetup, setupAdvice } from "../setup.ts";
import { say } from "../terminal.ts";

interface Binding {
  endAtSignal(signal: number, line: string): void;
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

let isReported = false;

function loadBinding(): Binding | undefined {
  try {
    const binding: Partial<Binding> = createRequire(import.meta.url)(madeBySetup("signals.node"));
    if (binding.endAtSignal === undefined) throw new Error("an older .engine/signals.node");
    return binding as Binding;
  } catch (error) {
    const reason = messageOf(error).split("\n")[0];
    if (!isReported) say(`note: Ctrl-C is heard between steps only (${reason}). ${setupAdvice()}`);
    isReported = true;
    return undefined;
  }
}
