// Regular expressions of users on texts of models, within a time limit: some expressions take longer than a run lasts on some texts.
import { createContext, Script } from "node:vm";

const timeoutMilliseconds = 1000;

const context = createContext(Object.create(null));
const findLast = new Script("[...text.matchAll(new RegExp(source, flags))].at(-1)");

/**
 * The last match of an expression in a text: its first group if it has one, else all of it.
 *
 * @returns undefined where there is none, "timeout" where looking for it takes longer than a second
 */
export function lastMatch({ source, flags }: RegExp, text: string): { found?: string } | "timeout" {
  Object.assign(context, { source, flags: flags.includes("g") ? flags : `${flags}g`, text });
  try {
    const match = findLast.runInContext(context, { timeout: timeoutMilliseconds });
    const found = match?.[1] ?? match?.[0];
    return found === undefined ? {} : { found };
  } catch (error) {
    // An error of the other context, which has another class Error.
    if ((error as { code?: unknown }).code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return "timeout";
    throw error;
  }
}

/** Does an expression match all of a text? A dot matches line ends, too. One that takes longer than a second does not match. */
export function matchesWhole(source: string, text: string): boolean {
  const match = lastMatch(new RegExp(`^(?:${source})$`, "s"), text);
  return match !== "timeout" && match.found !== undefined;
}
