// Signals that end the process at once, also while native code keeps JavaScript from running: native/signals.cc.
import { createRequire } from "node:module";
import { constants } from "node:os";

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

function loadBinding(): Binding | undefined {
  try {
    return createRequire(import.meta.url)("../../.engine/signals.node") as Binding;
  } catch {
    return undefined;
  }
}
