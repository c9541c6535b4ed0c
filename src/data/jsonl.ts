// JSON Lines: one JSON value per line, checked against a schema when read, written whole or not at all.
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import type { ZodError, ZodType } from "zod";
import { messageOf, UserError, withPath } from "../errors.ts";

/** One value of a JSONL file with the line, counted from 1, that it stands on. */
export interface Line<T> {
  readonly line: number;
  readonly value: T;
}

/**
 * Reads every value of a JSONL file. Blank lines are skipped and keep their place in the count.
 *
 * @throws UserError if the file is missing or holds no value, or at the first line that is not
 *   JSON or does not fit the schema: `data/train.jsonl:17: "answer": expected ...`
 */
export function readJsonl<T>(path: string, schema: ZodType<T>): Line<T>[] {
  const values: Line<T>[] = [];
  let line = 0;
  for (const text of linesOf(path)) {
    line++;
    if (text.trim() !== "")
      values.push({ line, value: parseJson(text, `${path}:${line}`, schema) });
  }
  if (values.length === 0) {
    throw new UserError(`${path}: expected one JSON value per line, found an empty file`);
  }
  return values;
}

/** A file's lines, one after the other: the file may be larger than the longest text that JavaScript holds. */
function* linesOf(path: string): Generator<string> {
  const decoder = new TextDecoder(); // removes a byte order mark
  let rest = "";
  for (const chunk of readChunks(path)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  yield rest + decoder.decode();
}

/** The bytes of a file of any size, piece by piece; each piece is overwritten by the next. @throws UserError if it cannot be read */
export function* readChunks(path: string): Generator<Buffer> {
  const buffer = Buffer.allocUnsafe(1 << 20);
  const descriptor = reading(path, () => openSync(path, "r"));
  try {
    for (;;) {
      const bytes = reading(path, () => readSync(descriptor, buffer));
      if (bytes === 0) return;
      yield buffer.subarray(0, bytes);
    }
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Reads a UTF-8 text file, without the byte order mark that some editors put in front.
 *
 * @throws UserError if it cannot be read
 */
export function readText(path: string): string {
  return reading(path, () => readFileSync(path, "utf8").replace(/^\uFEFF/, ""));
}

/** Runs a call that reads a file. @throws UserError if it cannot be read */
export function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UserError(
      isErrno(error, "ENOENT")
        ? `${path}: no such file; check the path`
        : `${path}: cannot be read (${messageOf(error)})`,
    );
  }
}

/**
 * Parses a JSON text and checks it against a schema.
 *
 * @param where file, or file:line, that opens the message of an error
 * @throws UserError naming the place, the path inside the value, expected and found
 */
export function parseJson<T>(text: string, where: string, schema: ZodType<T>): T {
  const result = schema.safeParse(parseJsonText(text, where));
  if (result.success) return result.data;
  throw new UserError(`${where}: ${describeIssues(result.error)}`);
}

function parseJsonText(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${where}: expected JSON, found ${excerpt(text)} (${messageOf(error)})`);
  }
}

function describeIssues(error: ZodError): string {
  return error.issues
    .map(({ path, message }) => {
      const plain = message.replace(/^Invalid input: /, "");
      return path.length > 0 ? `"${path.join(".")}": ${plain}` : plain;
    })
    .join("; ");
}

function excerpt(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** Appends values, each as a line of its own, in one piece. */
export function appendJsonl(path: string, ...values: readonly unknown[]): void {
  withPath(path, () => appendFileSync(path, linesFrom(values)));
}

/**
 * Writes one line per value. The file appears under its name only when it is complete, so an
 * interruption or a full disk leaves the old file, or none.
 */
export function writeJsonl(path: string, values: Iterable<unknown>): void {
  writeFileAtomically(path, linesFrom(values));
}

function linesFrom(values: Iterable<unknown>): string {
  let text = "";
  for (const value of values) text += `${JSON.stringify(value)}\n`;
  return text;
}

/** Writes a text file under a temporary name, then renames it; makes its folder if need be. */
export function writeFileAtomically(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  mkdirSync(dirname(path), { recursive: true });
  try {
    withPath(path, () => writeFileSync(temporary, text));
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
