// Tables of Markdown on a terminal: one that is too wide becomes several, each with the first column and some of the others.
import { widthOf } from "../terminal.ts";
import { markdownTable } from "./tables.ts";

/**
 * Brings the tables of a page into a terminal's width.
 *
 * @param columns of the terminal; undefined leaves the page as it is, for a file or another program
 */
export function fitTables(page: string, columns: number | undefined): string {
  if (columns === undefined) return page;
  return page.replace(/(?:^\|.*\|$\n?)+/gm, (table) => {
    const rows = table
      .trimEnd()
      .split("\n")
      .map((line) =>
        line
          .slice(2, -2)
          .split(" | ")
          .map((cell) => cell.trim()),
      );
    const [head, , ...body] = rows;
    const tables = splitColumns([head!, ...body], columns).map(markdownTable);
    return tables.join("\n\n") + (table.endsWith("\n") ? "\n" : "");
  });
}

/** Each of the tables has at least one column beside the first. */
function splitColumns(
  rows: readonly (readonly string[])[],
  columns: number,
): (readonly (readonly string[])[])[] {
  const widths = rows[0]!.map((_, c) => 3 + Math.max(3, ...rows.map((row) => widthOf(row[c]!))));
  const groups: number[][] = [];
  let room = 0;
  for (let c = 1; c < widths.length; c++) {
    if (widths[c]! > room) {
      groups.push([]);
      room = columns - 1 - widths[0]!;
    }
    groups.at(-1)!.push(c);
    room -= widths[c]!;
  }
  return groups.map((group) => rows.map((row) => [0, ...group].map((c) => row[c]!)));
}
