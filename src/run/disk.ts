// Everything that a run writes goes through these few operations, so that a test can make any one of them fail.
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { UserError } from "../errors.ts";

export interface Disk {
  /** Makes a folder and those around it; one that is there already is no error. */
  makeFolder(path: string): void;
  /** Writes a whole file and waits until the device has it. */
  write(path: string, text: string): void;
  append(path: string, text: string): void;
  /** Waits until the device has a file's content, or a folder's list of names. */
  sync(path: string): void;
  rename(from: string, to: string): void;
  /** Removes a file, or a folder with its content; one that is not there is no error. */
  remove(path: string): void;
}

export const nodeDisk: Disk = {
  makeFolder: (path) => {
    fs.mkdirSync(path, { recursive: true });
  },
  write: (path, text) => fs.writeFileSync(path, text, { flush: true }),
  append: (path, text) => fs.appendFileSync(path, text),
  sync: (path) => {
    const descriptor = fs.openSync(path, "r");
    try {
      fs.fsyncSync(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
  },
  rename: fs.renameSync,
  remove: (path) => fs.rmSync(path, { recursive: true, force: true }),
};

/** Replaces a file as a whole: after a crash at any moment it has either its old or its new content. */
export function replaceFile(disk: Disk, path: string, text: string): void {
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  disk.write(temporary, text);
  disk.rename(temporary, path);
  disk.sync(dirname(path));
}

const repairs: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space",
  EDQUOT: "the disk quota is used up; free some space",
  EROFS: "the disk is read-only; give another folder",
  EACCES: "no permission; give another folder, or the right to write there",
  EPERM: "no permission; give another folder, or the right to write there",
  ENOTDIR: "a file stands where a folder is expected; give another folder",
  EISDIR: "a folder stands where a file is expected; give another folder",
};

/**
 * Runs something that writes, and turns the failures that a user can repair into a UserError.
 *
 * @param doing what is being written, for the message: "the checkpoint of step 20"
 * @param assurance what is still safe when it fails, and how to go on
 */
export function explainDiskErrors<T>(doing: string, assurance: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw explained(error, doing, assurance);
  }
}

/** The same for something that takes time. */
export async function explainDiskErrorsAsync<T>(
  doing: string,
  assurance: string,
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw explained(error, doing, assurance);
  }
}

function explained(error: unknown, doing: string, assurance: string): unknown {
  const { code, path } = error as NodeJS.ErrnoException;
  const repair = code === undefined ? undefined : repairs[code];
  if (repair === undefined) return error;
  const place = path === undefined ? "" : ` (${path})`;
  const message = `could not write ${doing}${place}: ${code}, ${repair}. ${assurance}`;
  return new UserError(message.trim(), { cause: error });
}
