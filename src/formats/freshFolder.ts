// A folder that appears under its name only when it is complete.
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { UserError } from "../errors.ts";
import { isThere } from "../folders.ts";
import type { Disk } from "./disk.ts";

/**
 * Makes a folder: filled aside (`.NAME.tmp` beside it), then renamed. What a killed process left aside is replaced.
 *
 * @param fill writes the files, and waits until the disk has them
 * @throws UserError when the output is in use; whatever is thrown, nothing is left aside
 */
export function writeFreshFolder<T>(output: string, disk: Disk, fill: (folder: string) => T): T {
  if (isThere(output) && !(statSync(output).isDirectory() && readdirSync(output).length === 0)) {
    throw new UserError(`${output}: expected a new or empty folder; give another one`);
  }
  const target = resolve(output);
  const aside = join(dirname(target), `.${basename(target)}.tmp`);
  try {
    disk.remove(aside);
    disk.makeFolder(aside);
    const result = fill(aside);
    disk.rename(aside, target);
    disk.sync(dirname(target));
    return result;
  } catch (error) {
    tryRemove(disk, aside); // half a folder would keep a full disk full
    throw error;
  }
}

function tryRemove(disk: Disk, folder: string): void {
  try {
    if (existsSync(folder)) disk.remove(folder);
  } catch {
    // The first error is the one to report; the same command removes what is left.
  }
}
