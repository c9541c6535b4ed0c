// Everything that a run writes goes through these few operations, so that a test can make any one of them fail.
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { withPath } from "../errors.ts";
import { makeFolder } from "../folders.ts";

export interface Disk {
  /** Makes a folder and those around it; one that is there already is no error. */
  makeFolder(path: string): void;
  /** Writes a whole file and waits until the device has it. */
  write(path: string, content: string | Uint8Array): void;
  append(path: string, content: string | Uint8Array): void;
  /** Waits until the device has a file's content, or a folder's list of names. */
  sync(path: string): void;
  rename(from: string, to: string): void;
  /** Removes a file, or a folder with its content; one that is not there is no error. */
  remove(path: string): void;
}

export const nodeDisk: Disk = {
  makeFolder,
  write: (path, content) => withPath(path, () => fs.writeFileSync(path, content, { flush: true })),
  append: (path, content) => withPath(path, () => fs.appendFileSync(path, content)),
  sync: (path) => {
    const descriptor = fs.openSync(path, "r");
    try {
      withPath(path, () => fs.fsyncSync(descriptor));
    } finally {
      fs.closeSync(descriptor);
    }
  },
  rename: fs.renameSync,
  remove: (path) => fs.rmSync(path, { recursive: true, force: true }),
};

/** The disk of a process that writes nothing, because another one does. */
export const noDisk: Disk = {
  makeFolder: () => {},
  write: () => {},
  append: () => {},
  sync: () => {},
  rename: () => {},
  remove: () => {},
};

/** Replaces a file as a whole: after a crash at any moment it has either its old or its new content. */
export function replaceFile(disk: Disk, path: string, text: string): void {
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  disk.write(temporary, text);
  disk.rename(temporary, path);
  disk.sync(dirname(path));
}
