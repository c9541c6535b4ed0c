// What reaches a terminal: text out of files and models may hold sequences that move its cursor, set its title or hide what follows.
// All of it goes through here, because one line stays below everything that is said: it is cleared before and drawn again after.
import { createInterface } from "node:readline";
import { eastAsianWidth } from "get-east-asian-width";
import { isErrno, visible } from "./errors.ts";
import { observer } from "./observer.ts";

/** Says something to the user, on standard error, or to the observer of the task that is under way. */
export function say(text: string): void {
  const hears = observer();
  if (hears === undefined) aboveLine(() => console.error(visible(text)));
  else hears.onMessage?.(visible(text));
}

/** Prints a result, on standard output; nothing for an observer, who gets it otherwise. */
export function print(text: string): void {
  if (observer() === undefined) aboveLine(() => console.log(visible(text)));
}

/** Asks in the terminal; anything but a yes is a no. */
export async function isAgreed(question: string): Promise<boolean> {
  process.stderr.write(visible(question));
  for await (const line of createInterface({ input: process.stdin, terminal: false }))
    return /^y(es)?$/i.test(line.trim());
  return false;
}

/** Goes to the begin of the line and erases it. */
export const clearLine = "\r\x1b[2K";

/** Makes the line that stays below, for so many columns. */
let lineBelow: ((columns: number) => string) | undefined;

/** What is echoed of Ctrl-C goes behind the line, and must not begin another one. */
const roomForEcho = 4;

/** Shows a line below all that is said on standard error, which has to be a terminal, in place of the one before; or none any more. */
export function showBelow(line: ((columns: number) => string) | undefined): void {
  const before = lineBelow === undefined ? "" : clearLine;
  lineBelow = line;
  process.stderr.write(before + drawn());
}

/** Leaves the line where it is, as the last state of what it showed. */
export function leaveLine(): void {
  if (lineBelow !== undefined) process.stderr.write("\n");
  lineBelow = undefined;
}

/** Writes whole lines above the line that stays below. */
export function aboveLine(write: () => void): void {
  if (lineBelow !== undefined) process.stderr.write(clearLine);
  write();
  if (lineBelow !== undefined) process.stderr.write(drawn());
}

function drawn(): string {
  return visible(lineBelow?.((columnsOf(process.stderr) ?? usualColumns) - roomForEcho) ?? "");
}

/** Of terminals that do not say, and of pages that are written for any. */
const usualColumns = 80;

/** How wide a terminal is; undefined where what is written goes elsewhere. */
export function columnsOf(stream: {
  readonly isTTY?: boolean;
  readonly columns?: number;
}): number | undefined {
  return stream.isTTY ? stream.columns || usualColumns : undefined;
}

/** How many columns a text takes that is in one line and visible. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    const isOnTheOneBefore = /\p{M}/u.test(character);
    width += isOnTheOneBefore ? 0 : eastAsianWidth(character.codePointAt(0)!);
  }
  return width;
}

/** A text in one line, made visible; where that takes more than so many columns, its begin or its end. */
export function shortened(text: string, columns: number, part: "begin" | "end" = "begin"): string {
  const line = visible(text.replace(/\s+/g, " ").trim());
  if (widthOf(line) <= columns) return line;
  const characters = [...line];
  if (part === "end") characters.reverse();
  let [kept, width] = [0, 1];
  for (const character of characters) {
    width += widthOf(character);
    if (width > columns) break;
    kept++;
  }
  const left = characters.slice(0, kept);
  return part === "begin"
    ? `${left.join("").trimEnd()}…`
    : `…${left.reverse().join("").trimStart()}`;
}

/** From now on a terminal or a reader that is gone is no error: what nobody can see any more does not end the work. */
export function outliveTerminal(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      if (!isErrno(error, "EPIPE") && !isErrno(error, "EIO")) throw error;
    });
  }
}

/** Flags of a command that can be copied into a shell. */
export function shellFlags(given: Readonly<Record<string, string>>): string {
  return Object.entries(given)
    .map(([name, value]) => `--${name} ${shellWord(value)}`)
    .join(" ");
}

/** A word as a shell reads it. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
