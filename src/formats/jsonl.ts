// JSON Lines: one JSON value per line, checked against a schema when read, written whole or not at all.
import { isUtf8 } from "node:buffer";
import {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import type { ZodError, ZodType } from "zod";
import {
  asUserError,
  checkDepth,
  firstOf,
  inOneLine,
  isErrno,
  messageOf,
  show,
  UserError,
  withPath,
} from "../errors.ts";
import { expectationOf, issuesOf } from "../expectation.ts";
import { makeFolder, nameAside } from "../folders.ts";
import { findDuplicateKey } from "./duplicateKey.ts";

/** One value of a JSONL file with the line, counted from 1, that it stands on. */
export interface Line<T> {
  readonly line: number;
  readonly value: T;
}

/**
 * Reads every value of a JSONL file. Blank lines are skipped and keep their place in the count.
 *
 * @throws UserError if the file is missing or holds no value, or at the first line that is not
 *   UTF-8 or JSON or does not fit the schema: `data/train.jsonl:17: "answer": expected ...`
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

/**
 * A file's lines, one after the other: the file may be larger than the longest text that JavaScript holds.
 *
 * @throws UserError at the first line that is not UTF-8
 */
export function* linesOf(path: string): Generator<string> {
  let line = 0;
  for (const piece of piecesOfLines(path)) {
    // Latin-1 keeps every byte, so that the lines of a piece that is not UTF-8 can be tried one by one.
    const encoding = isUtf8(piece) ? "utf8" : "latin1";
    for (const read of piece.toString(encoding).split("\n")) {
      line++;
      const text =
        encoding === "utf8" ? read : decode(Buffer.from(read, encoding), `${path}:${line}`);
      yield line === 1 ? withoutByteOrderMark(text) : text;
    }
  }
}

function decode(bytes: Buffer, where: string): string {
  const text = bytes.toString();
  if (isUtf8(bytes)) return text;
  const around = text.indexOf("\uFFFD") - 20; // what stands for bytes that are no character
  throw new UserError(
    `${where}: expected UTF-8, found other bytes in ${excerpt(text.slice(Math.max(0, around)))}; save the file as UTF-8`,
  );
}

/** A file's bytes in pieces of whole lines, without the newline between two pieces. No character of UTF-8 has that byte within it. */
function* piecesOfLines(path: string): Generator<Buffer> {
  let rest: Buffer[] = []; // of a line that goes on
  for (const chunk of readChunks(path)) {
    const end = chunk.lastIndexOf("\n");
    if (end !== -1) {
      yield Buffer.concat([...rest, chunk.subarray(0, end)]);
      rest = [];
    }
    rest.push(Buffer.from(chunk.subarray(end + 1))); // a copy: the chunk is overwritten
  }
  yield Buffer.concat(rest);
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
  return reading(path, () => withoutByteOrderMark(readFileSync(path, "utf8")));
}

export function withoutByteOrderMark(text: string): string {
  return text.replace(/^\uFEFF/, "");
}

/** Runs a call that reads a file. @throws UserError if it cannot be read */
export function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UserError(
      isErrno(error, "ENOENT")
        ? `${path}: no such file; check the path`
        : `${path}: cannot be read (${messageOf(asUserError(error) ?? error)})`,
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
  return checkValue(parseJsonText(text, where), where, schema);
}

/** Checks a value that was read from JSON, as `parseJson` does. */
export function checkValue<T>(value: unknown, where: string, schema: ZodType<T>): T {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  throw new UserError(`${where}: ${describeIssues(result.error)}`);
}

function parseJsonText(text: string, where: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (text.startsWith("version https://git-lfs"))
      throw new UserError(`${where}: expected JSON, found a Git LFS pointer; fetch the real file`);
    if (text.trim() === "") throw new UserError(`${where}: expected JSON, found an empty file`);
    const problem = inOneLine(messageOf(error));
    throw new UserError(`${where}: expected JSON, found ${excerpt(text)} (${problem})`);
  }
  checkDepth(value, where);
  const duplicate = findDuplicateKey(text);
  if (duplicate === undefined) return value;
  throw new UserError(`${where}: expected every key once, found ${show(duplicate)} twice`);
}

function describeIssues(error: ZodError): string {
  const problems = issuesOf(error).map((issue) => {
    const expected = expectationOf(issue);
    const said = expected === undefined ? issue.message : `${expected}, found ${show(issue.input)}`;
    const problem = inOneLine(said); // it may name a key
    if (issue.path.length === 0) return problem;
    const name = show(issue.path.join("."));
    const [, missing] = /^(expected .*), found undefined$/.exec(problem) ?? [];
    return missing === undefined ? `${name}: ${problem}` : `${name} is missing, ${missing}`;
  });
  return firstOf(problems, "; ", 8);
}

/** The start of a text out of a file, for a message. */
export function excerpt(text: string): string {
  return inOneLine(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}

/** Appends values, each as a line of its own, in one piece. */
export function appendJsonl(path: string, ...values: readonly unknown[]): void {
  withPath(path, () => appendFileSync(path, linesFrom(values)));
}

/** The same, and waits until the device has them. */
export function appendBlock(path: string, values: readonly unknown[]): void {
  withPath(path, () => appendFileSync(path, linesFrom(values), { flush: true }));
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

/** The content of a file that is one JSON value, laid out to be read. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Writes a file under a temporary name, waits until the device has it, then renames it; makes its folder if need be. */
export function writeFileAtomically(path: string, text: string | Uint8Array): void {
  makeFolder(dirname(path));
  const temporary = nameAside(path);
  try {
    withPath(path, () => writeFileSync(temporary, text, { flush: true }));
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
