// What every reader of a public data set returns, and the files that it reads.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { show, UserError } from "../../errors.ts";
import { choiceOf } from "../answer.ts";
import { type Example, isBlank } from "../examples.ts";
import { numberOf } from "../number.ts";

/** A training row that is well-formed; whether its chain of thought is right is another question. */
export interface Candidate {
  /** Line in the source file, counted from 1. */
  readonly line: number;
  readonly example: Example;
}

/** A training row that is left out, and why. */
export interface Rejection {
  readonly line: number;
  readonly id: string;
  readonly reason: string;
}

export interface SourceFile {
  readonly name: string;
  readonly sha256: string;
}

export interface Source {
  readonly candidates: readonly Candidate[];
  readonly rejections: readonly Rejection[];
  readonly test: readonly Example[];
  /** The candidates' programs were made from solutions in another form; those that gave none are rejections. */
  readonly isConverted?: boolean;
  readonly files: readonly SourceFile[];
  /** What the reader changed, for the manifest; empty if nothing. */
  readonly notes: readonly string[];
}

/** Where a data set comes from, for messages and manifests. */
export interface Origin {
  readonly address: string;
  readonly licence: string;
}

/**
 * Paths of files that must lie in a folder.
 *
 * @throws UserError naming the first that does not, and where it can be had
 */
export function requireFiles(
  folder: string,
  names: readonly string[],
  { address }: Origin,
): string[] {
  return names.map((name) => {
    const path = join(folder, name);
    if (existsSync(path)) return path;
    throw new UserError(
      `${path}: no such file; give a folder with it, which comes from ${address}`,
    );
  });
}

/** What a data set's gold answers are. */
export interface AnswerForm<T> {
  /** @returns undefined for a text of another form */
  readonly read: (text: string) => T | undefined;
  readonly expected: string;
}

export const numbers: AnswerForm<number> = {
  read: numberOf,
  expected: "an answer that is a number",
};
export const choices: AnswerForm<string> = {
  read: choiceOf,
  expected: "one of the choices a to e",
};

/** Why a training row is left out whose gold answer is of another form. */
export function unreadable({ expected }: AnswerForm<unknown>, text: string): string {
  return `expected ${expected}, found ${show(text)}`;
}

/** The gold answer of a test row. @throws UserError if it is of another form: no test set becomes smaller without a word */
export function parseAnswer<T>(form: AnswerForm<T>, text: string, where: string): T {
  const answer = form.read(text);
  if (answer === undefined) throw new UserError(`${where}: ${unreadable(form, text)}`);
  return answer;
}

/** Names the first blank part of a row, as a reason to leave the row out: "empty question". */
export function emptyPart(parts: Readonly<Record<string, string>>): string | undefined {
  const name = Object.keys(parts).find((part) => isBlank(parts[part]!));
  return name === undefined ? undefined : `empty ${name}`;
}

/** @throws UserError if a test row has a blank question: no test set becomes smaller without a word */
export function checkQuestion(question: string, where: string): void {
  if (!isBlank(question)) return;
  throw new UserError(`${where}: expected a question, found none; correct the row or take it out`);
}

/** Splits rows that came out of a reader into those to check and those to leave out. */
export function partition(
  rows: readonly (Candidate | Rejection)[],
): Pick<Source, "candidates" | "rejections"> {
  return {
    candidates: rows.filter((row) => "example" in row),
    rejections: rows.filter((row) => "reason" in row),
  };
}
