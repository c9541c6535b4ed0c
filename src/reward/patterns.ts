// Regular expressions of users on texts of models, within a time limit: some expressions take longer than a run lasts on some texts.
import { within } from "../data/timeLimit.ts";

const timeoutMilliseconds = 1000;

/**
 * The last match of an expression in a text: its first group if it has one, else all of it.
 *
 * @returns undefined where there is none, "timeout" where looking for it takes longer than a second
 */
export function lastMatch({ source, flags }: RegExp, text: string): { found?: string } | "timeout" {
  const all = new RegExp(source, flags.includes("g") ? flags : `${flags}g`);
  const matched = within(timeoutMilliseconds, () => [...text.matchAll(all)].at(-1));
  if (matched === undefined) return "timeout";
  const found = matched.value?.[1] ?? matched.value?.[0];
  return found === undefined ? {} : { found };
}

/** Does an expression match all of a text? A dot matches line ends, too. One that takes longer than a second does not match. */
export function matchesWhole(source: string, text: string): boolean {
  const match = lastMatch(new RegExp(`^(?:${source})$`, "s"), text);
  return match !== "timeout" && match.found !== undefined;
}
