// What an attack is, and how lists of them are written.
import type { Outcome } from "../../../src/reward/outcome.ts";

export type Kind = Outcome["kind"];

/** One program that tries to do harm. */
export interface Attack {
  /** What it attacks: a row of the table in docs/sandbox.md. */
  readonly group: string;
  readonly name: string;
  /** Its text, with placeholders for the bait: MARKER, SECRET and PORT. */
  readonly program: string;
  /** What may come of it. `infrastructure`, by which a program would look like a fault of the sandbox, never may. */
  readonly may: readonly Kind[];
}

/** What lies on the host for attacks to reach. */
export interface Bait {
  /** A file that no guest may create. */
  readonly marker: string;
  /** A file that no guest may read. */
  readonly secretFile: string;
  /** A port that no guest may reach. */
  readonly port: number;
}

export const withBait = ({ program }: Attack, { marker, secretFile, port }: Bait): string =>
  program
    .replaceAll("MARKER", JSON.stringify(marker))
    .replaceAll("SECRET", JSON.stringify(secretFile))
    .replaceAll("PORT", String(port));

/** The program whose solution() has these lines; a text that defines solution() itself is one already. */
export const program = (text: string): string =>
  text.includes("def solution(")
    ? text
    : `def solution():\n    ${text.trim().replaceAll("\n", "\n    ")}\n`;

export const whatever: readonly Kind[] = ["answer", "no-answer", "error", "timeout", "killed"];
export const nothing: readonly Kind[] = ["no-answer", "error", "killed"];
export const refused: readonly Kind[] = ["error", "killed"];

/** Attacks of one group: texts by their names, or texts that name themselves. */
export const group = (
  name: string,
  may: readonly Kind[],
  texts: Readonly<Record<string, string>> | readonly string[],
): Attack[] =>
  (Array.isArray(texts) ? texts.map((text) => [text, text]) : Object.entries(texts)).map(
    ([title, text]) => ({ group: name, name: title, program: program(text), may }),
  );

/** One attack for each word, `_` in the text standing for it. */
export const each = (words: string, text: string): Record<string, string> =>
  Object.fromEntries(words.split(" ").map((word) => [word, text.replaceAll("_", word)]));
