// Rows of CSV (RFC 4180) and of texts separated by tabs. The first line names the columns; every value is the text that is written.
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { CsvError, parse } from "csv-parse/sync";
import { show, UserError } from "../../errors.ts";
import { reading } from "../../formats/jsonl.ts";
import type { RowFile, SourceRow } from "./rowFile.ts";

interface CsvRecord {
  /** Line on which it begins, counted from 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

/** @throws UserError for a file that cannot be read, is not UTF-8, or does not name its columns */
export function readCsvRows(path: string, delimiter: "," | "\t"): RowFile {
  const bytes = reading(path, () => readFileSync(path));
  if (!isUtf8(bytes)) throw new UserError(`${path}: expected UTF-8; save the file as UTF-8`);
  const { records, problem } = parseRecords(bytes.toString(), delimiter);
  const [header, ...others] = records;
  if (header === undefined) return { rows: [], mistakes: problemsAt(path, problem) };
  const names = checkHeader(`${path}:${header.line}`, header.cells);
  const rows: SourceRow[] = [];
  const mistakes: string[] = [];
  for (const { line, cells } of others) {
    const where = `${path}:${line}`;
    if (cells.length === names.length) rows.push({ line, where, values: valuesOf(names, cells) });
    else
      mistakes.push(
        `${where}: expected ${names.length} values, as the first line has names, found ${cells.length}; put quotes around a text with commas`,
      );
  }
  return { rows, mistakes: [...mistakes, ...problemsAt(path, problem)] };
}

/** The records up to the first quote that is wrong, behind which nothing is sure. */
function parseRecords(text: string, delimiter: string) {
  const records: CsvRecord[] = [];
  let line = 1;
  try {
    parse(text, {
      bom: true,
      delimiter,
      raw: true,
      record_delimiter: ["\r\n", "\n", "\r"],
      relax_column_count: true,
      skip_empty_lines: true,
      on_record: (found: unknown) => {
        const { record, raw } = found as { record: string[]; raw: string }; // what `raw` asks for; it has no type
        const blank = /^[\r\n]*/.exec(raw)![0];
        records.push({ line: line + countLineEnds(blank), cells: record });
        line += countLineEnds(raw);
        return null;
      },
    });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    return { records, problem: { line, message: error.message } };
  }
  return { records, problem: undefined };
}

function countLineEnds(text: string): number {
  return text.match(/\r\n|\n|\r/g)?.length ?? 0;
}

function problemsAt(
  path: string,
  problem: { readonly line: number; readonly message: string } | undefined,
): string[] {
  return problem === undefined
    ? []
    : [`${path}:${problem.line}: in the record that begins here, ${problem.message}`];
}

/** @throws UserError for a name that stands twice, and for semicolons, which spreadsheets write where numbers have a comma */
function checkHeader(where: string, names: readonly string[]): readonly string[] {
  if (names.length === 1 && names[0]!.includes(";"))
    throw new UserError(
      `${where}: expected commas between the columns, or tabs in a .tsv file, found semicolons; save the file so, with points in its numbers`,
    );
  const twice = names.find((name, i) => name !== "" && names.indexOf(name) !== i);
  if (twice === undefined) return names;
  throw new UserError(`${where}: expected every column once, found ${show(twice)} twice`);
}

/** Empty cells are none, and neither is a column without a name, as the numbers that pandas puts before its rows have. */
function valuesOf(names: readonly string[], cells: readonly string[]): SourceRow["values"] {
  const named = names.map((name, i) => [name, cells[i]!] as const);
  return Object.fromEntries(named.filter(([name, cell]) => name !== "" && cell !== ""));
}
