// A terminal for tests: what a person sees after a command has written to it.
import { spawnSync } from "node:child_process";
import { widthOf } from "../../src/terminal.ts";

export interface Screen {
  /** As they stand on the screen, also those that have scrolled away. */
  readonly rows: readonly string[];
  /** Rows that go on in the next one, because a line was too long, are one. */
  readonly lines: readonly string[];
}

/** What moves the cursor or erases. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those that are obeyed
const sequences = /^\x1b\[(\d*)([AK])/;

/**
 * Obeys what is written as a terminal does: lines too long go on in the next row, CR goes back, CSI K erases, CSI A goes up.
 *
 * @throws Error for any other control character
 */
export function screenOf(written: string, columns: number): Screen {
  const rows: string[][] = [[]];
  const goesOn = new Set<number>();
  let [row, column] = [0, 0];
  const down = () => {
    row++;
    rows[row] ??= [];
  };
  for (let at = 0; at < written.length; ) {
    const [all, count, what] = sequences.exec(written.slice(at)) ?? [];
    const character = String.fromCodePoint(written.codePointAt(at)!);
    at += (all ?? character).length;
    if (what === "A") row = Math.max(0, row - Number(count || 1));
    else if (what === "K") rows[row] = count === "2" ? [] : rows[row]!.slice(0, column);
    else if (character === "\r") column = 0;
    else if (character === "\n") {
      goesOn.delete(row);
      down();
    } else if (/\p{Cc}/u.test(character)) throw new Error(`control character in ${written}`);
    else {
      const width = widthOf(character);
      if (column + width > columns) {
        goesOn.add(row);
        down();
        column = 0;
      }

      rows[row]![column] = character;
      for (let i = 1; i < width; i++) rows[row]![column + i] = "";
      column += width;
    }
  }
  const texts = rows.map((cells) => Array.from(cells, (cell) => cell ?? " ").join(""));
  const lines: string[] = [];
  texts.forEach((text, i) => {
    if (goesOn.has(i - 1)) lines[lines.length - 1] += text;
    else lines.push(text);
  });
  return { rows: texts.map((text) => text.trimEnd()), lines: lines.map((text) => text.trimEnd()) };
}

/** Runs a module in a terminal. @param typed keys, each with the text after which it is typed */
export function runInTerminal(
  args: readonly string[],
  columns: number,
  typed: readonly (readonly [text: string, keys: string])[] = [],
): Screen & { readonly code: number | null; readonly written: string } {
  const { stdout, stderr, status } = spawnSync(
    "python3",
    [
      "test/support/inTerminal.py",
      String(columns),
      JSON.stringify(typed),
      "node",
      "--import",
      "tsx",
      ...args,
    ],
    { encoding: "utf8" },
  );
  if (stderr !== "") throw new Error(stderr);
  return { ...screenOf(stdout, columns), code: status, written: stdout };
}
