// Work that rules out of a file decide over: expressions of a tokenizer or a user, templates. Some of them take longer than anybody
// waits, on some texts; no other way ends a loop within the same thread.
import { createContext, Script } from "node:vm";

const context: { run?: (() => unknown) | undefined } = createContext(Object.create(null));
const script = new Script("run()");

/** @returns what a call returns, or undefined where it takes longer, by the clock, than so many milliseconds; it is then ended */
export function within<T>(milliseconds: number, call: () => T): { readonly value: T } | undefined {
  const outer = context.run;
  context.run = call;
  try {
    return { value: script.runInContext(context, { timeout: milliseconds }) as T };
  } catch (error) {
    // An error of the other context, which has another class Error.
    if ((error as { code?: unknown }).code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return undefined;
    throw error;
  } finally {
    context.run = outer;
  }
}
