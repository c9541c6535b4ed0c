// Makes folders, and tells what is there already. They are made one by one, because Node's recursive mkdir says ENOENT on a
// read-only disk and never ends below /proc.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { isErrno, messageOf, UserError, withPath } from "./errors.ts";

/**
 * Makes a folder and those around it; one that is there already is no error.
 *
 * @throws UserError that names the place where it cannot go on, and why; what a file system refuses, as Node throws it
 */
export function makeFolder(path: string): void {
  makeMissing(path);
}

/** Whether two paths lead to one file or folder that is there, by links or not. */
export function isSamePlace(one: string, other: string): boolean {
  return existsSync(one) && existsSync(other) && realpathSync(one) === realpathSync(other);
}

/**
 * Tries whether a folder can be made, or is there, and files can be made in it, before any work is done for them. Leaves nothing.
 *
 * @throws as makeFolder does
 */
export function tryFolder(path: string): void {
  const made = makeMissing(path);
  const trial = nameAside(join(path, "trial"));
  try {
    explained(path, () => withPath(trial, () => writeFileSync(trial, "")));
  } finally {
    rmSync(trial, { force: true });
    for (const folder of made.toReversed()) rmdirSync(folder);
  }
}

/**
 * A name, of this process alone, for a file that is written before it takes its place beside it. Removes what processes that were
 * killed have left under such names.
 */
export function nameAside(path: string): string {
  const [folder, start] = [dirname(path), `.${basename(path)}.`];
  for (const name of isThere(folder) ? readdirSync(folder) : []) {
    const pid = name.startsWith(start)
      ? /^\d+(?=\.tmp$)/.exec(name.slice(start.length))?.[0]
      : undefined;
    if (pid !== undefined && !isRunning(Number(pid))) rmSync(join(folder, name), { force: true });
  }
  return join(folder, `${start}${process.pid}.tmp`);
}

/** Is there a process of this number? */
export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return !isErrno(error, "ESRCH"); // EPERM: it is another user's
  }
}

/** Returns the folders that were not there, those around others first. */
function makeMissing(path: string): readonly string[] {
  const missing: string[] = [];
  for (let at = resolve(path); !isThere(at); at = dirname(at)) missing.unshift(at);
  if (missing.length === 0 && !statSync(path).isDirectory()) missing.push(path); // Node says what is there
  for (const folder of missing) makeOne(folder);
  return missing;
}

/**
 * Whether something is at a path that may be empty.
 *
 * @throws UserError for a link to nothing: somebody meant something to be there, and nothing can be made in its place
 */
export function isThere(path: string): boolean {
  if (find(statSync, path) !== undefined) return true;
  if (find(lstatSync, path) === undefined) return false;
  throw new UserError(
    `${path}: found a link to something that is not there; put that back, or remove the link`,
  );
}

/** Codes of errors that tell that nothing can be at a path: a file further up, too long a name, a name with a zero byte. */
const cannotBe = ["ENOTDIR", "ENAMETOOLONG", "ERR_INVALID_ARG_VALUE"];

function find(look: typeof statSync, path: string): Stats | undefined {
  try {
    return look(path, { throwIfNoEntry: false });
  } catch (error) {
    if (cannotBe.some((code) => isErrno(error, code))) return undefined;
    throw error;
  }
}

function makeOne(folder: string): void {
  try {
    explained(folder, () => mkdirSync(folder));
  } catch (error) {
    if (!find(statSync, folder)?.isDirectory()) throw error; // else another process was faster
  }
}

/** ENOENT means here that the file system makes none: what is above the path is there. */
function explained<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    throw new UserError(
      `${path}: nothing can be made there (${messageOf(error)}); give another path`,
    );
  }
}
