// Rows of JSON: one object per line, or an array of objects.
import { z } from "zod";
import { checkValue, linesOf, parseJson, readText } from "../../formats/jsonl.ts";
import type { JsonValue } from "../json.ts";
import { gather } from "../mistakes.ts";
import type { RowFile, SourceRow } from "./rowFile.ts";

const objectSchema = z.custom<Record<string, JsonValue>>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  { error: "expected an object of columns" },
);

/** @throws UserError for a file that cannot be read */
export function readJsonLinesRows(path: string): RowFile {
  const rows: SourceRow[] = [];
  const mistakes: string[] = [];
  let line = 0;
  gather(mistakes, () => {
    for (const text of linesOf(path)) {
      const where = `${path}:${++line}`;
      if (text.trim() === "") continue;
      gather(mistakes, () =>
        rows.push({ line, where, values: parseJson(text, where, objectSchema) }),
      );
    }
  });
  return { rows, mistakes };
}

/** @throws UserError for a file that cannot be read, or whose text is no JSON array */
export function readJsonArrayRows(path: string): RowFile {
  const text = readText(path);
  const records = parseJson(text, path, z.array(z.unknown()));
  const lines = linesOfElements(text);
  const rows: SourceRow[] = [];
  const mistakes: string[] = [];
  for (const [i, record] of records.entries()) {
    const where = `${path}:${lines[i]!}`;
    gather(mistakes, () =>
      rows.push({ line: lines[i]!, where, values: checkValue(record, where, objectSchema) }),
    );
  }
  return { rows, mistakes };
}

/** The lines, counted from 1, on which the elements of a JSON array begin, in a text that is valid. */
function linesOfElements(text: string): number[] {
  const lines: number[] = [];
  let [line, depth, isAwaited] = [1, 0, false];
  for (const [part] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},:\n]|[^\s[\]{},:"]+/g)) {
    if (part === "\n") line++;
    else if (part === "]" || part === "}") depth--;
    else if (part === ",") isAwaited = depth === 1;
    else {
      if (isAwaited) lines.push(line);
      isAwaited = depth === 0; // behind the bracket that opens the array
      if (part === "[" || part === "{") depth++;
    }
  }
  return lines;
}
