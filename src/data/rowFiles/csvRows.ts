// Rows of CSV (RFC 4180) and of texts separated by tabs. The first line names the columns; every value is the text that is written.
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { CsvError, parse } from "csv-parse/sync";
import { show, UserError } from "../../errors.ts";
import { reading } from "../../formats/jsonl.ts";
import type { RowFile, SourceRow } from "./rowFile.ts";

const quoteAdvice = 'put quotes around the whole cell, and write each quote within it twice ("")';

/** csv-parse's own words are about its options. */
const quoteProblems: Readonly<Record<string, string>> = {
  INVALID_OPENING_QUOTE: `a quote stands within a cell that does not begin with one; ${quoteAdvice}`,
  CSV_INVALID_CLOSING_QUOTE: `a cell goes on behind its closing quote; ${quoteAdvice}`,
  CSV_QUOTE_NOT_CLOSED: `a cell begins with a quote that nothing closes; ${quoteAdvice}`,
};

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

/**
 * The records up to the first quote that is wrong, behind which nothing is sure. Many tools write tabs without any quoting: there a
 * quote within a cell is one as it is, in a record of one line. Otherwise two such quotes could make one cell of all between them.
 */
function parseRecords(text: string, delimiter: string) {
  const records: CsvRecord[] = [];
  const isTabs = delimiter === "\t";
  const form = {
    delimiter,
    record_delimiter: ["\r\n", "\n", "\r"],
    relax_column_count: true,
    skip_empty_lines: true,
  };
  let line = 1;
  try {
    parse(text, {
      ...form,
      bom: true,
      raw: true,
      relax_quotes: isTabs,
      on_record: (found: unknown) => {
        const { record, raw } = found as { record: string[]; raw: string }; // what `raw` asks for; it has no type
        if (isTabs && countLineEnds(raw.trim()) > 0) parse(raw, form);
        const blank = /^[\r\n]*/.exec(raw)![0];
        records.push({ line: line + countLineEnds(blank), cells: record });
        line += countLineEnds(raw);
        return null;
      },
    });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    return { records, problem: { line, message: quoteProblems[error.code] ?? error.message } };
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
