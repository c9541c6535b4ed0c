// Rows of a file of the user's: JSON lines, a JSON array, CSV or Parquet, all read to the same rows.
import { statSync } from "node:fs";
import { extname } from "node:path";
import { UserError } from "../../errors.ts";
import { reading, readText } from "../../formats/jsonl.ts";
import type { JsonValue } from "../json.ts";
import { readCsvRows } from "./csvRows.ts";
import { readJsonArrayRows, readJsonLinesRows } from "./jsonRows.ts";
import { readParquetRows } from "./parquetRows.ts";

/** One row as its file has it. What is null, or an empty cell of CSV, is not there. */
export interface SourceRow {
  /** Line on which the row begins, or, in Parquet, which row it is; counted from 1. */
  readonly line: number;
  /** For messages: "own.csv:3", or "own.parquet, row 3". */
  readonly where: string;
  readonly values: Readonly<Record<string, JsonValue>>;
}

/** What a file has: the rows that could be read, and what is wrong with the others. */
export interface RowFile {
  readonly rows: readonly SourceRow[];
  /** Each with its place. */
  readonly mistakes: readonly string[];
}

const readers: Readonly<Record<string, (path: string) => RowFile | Promise<RowFile>>> = {
  ".jsonl": readJsonLinesRows,
  ".ndjson": readJsonLinesRows,
  ".json": readJsonRows,
  ".csv": (path) => readCsvRows(path, ","),
  ".tsv": (path) => readCsvRows(path, "\t"),
  ".parquet": readParquetRows,
};

/**
 * Reads a file by the end of its name.
 *
 * @throws UserError for a name with another end, a file that cannot be read, and one without a row
 */
export async function readRowFile(path: string): Promise<RowFile> {
  if (reading(path, () => statSync(path)).isDirectory())
    throw new UserError(`${path}: expected a file of rows, found a folder; name one of its files`);
  const read = readers[extname(path).toLowerCase()];
  if (read === undefined)
    throw new UserError(
      `${path}: expected a file whose name ends in ${Object.keys(readers).join(", ")}; give it the end of its format`,
    );
  const { rows, mistakes } = await read(path);
  if (rows.length === 0 && mistakes.length === 0)
    throw new UserError(`${path}: expected rows, found none`);
  return { rows: rows.map((row) => ({ ...row, values: present(row.values) })), mistakes };
}

/** Many tools write JSON lines under this name. */
function readJsonRows(path: string): RowFile {
  return /^\s*\[/.test(readText(path)) ? readJsonArrayRows(path) : readJsonLinesRows(path);
}

function present(values: SourceRow["values"]): SourceRow["values"] {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
}
