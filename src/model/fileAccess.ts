// Reading and writing at a position of an open file; what the file system refuses becomes a UserError that says what to do.
import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { UserError } from "../errors.ts";

/** Node reads and writes less than 2 GiB in one call. */
const maxTransferBytes = 2 ** 30;

/** What reads from an open file: close it, or hold it with `using`. */
export interface OpenFile {
  close(): void;
  [Symbol.dispose](): void;
}

/**
 * Opens a file for a reader, which closes it; closed again when the reader cannot be made.
 *
 * @throws UserError if it cannot be opened; what `readerOf` throws
 */
export function openToRead<R extends object>(
  path: string,
  readerOf: (descriptor: number) => R,
): R & OpenFile {
  const descriptor = attempt(`open ${path}`, () => openSync(path, "r"));
  let open = true;
  const close = () => {
    if (open) closeSync(descriptor);
    open = false;
  };
  try {
    return { ...readerOf(descriptor), close, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Fills `target` from `position` on. */
export function readFully(
  descriptor: number,
  path: string,
  target: Uint8Array,
  position: number,
): void {
  let done = 0;
  while (done < target.length) {
    const wanted = Math.min(target.length - done, maxTransferBytes);
    const count = attempt(`read ${path}`, () =>
      readSync(descriptor, target, done, wanted, position + done),
    );
    if (count === 0) throw new UserError(`${path}: became shorter while it was being read`);
    done += count;
  }
}

/** Writes all of `bytes` where the file's own position is. */
export function writeFully(descriptor: number, path: string, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) {
    const wanted = Math.min(bytes.length - done, maxTransferBytes);
    done += attempt(`write ${path}`, () => writeSync(descriptor, bytes, done, wanted));
  }
}

/** Makes the rename durable where folders can be synced; the file is whole either way. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } catch (error) {
    if (!isSystemError(error) || !["EINVAL", "ENOTSUP", "EPERM"].includes(error.code)) throw error;
  } finally {
    closeSync(descriptor);
  }
}

const advice: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is not a folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full; free some space and try again",
  EDQUOT: "the disk quota is used up; free some space and try again",
  EFBIG: "the file would be larger than the system allows",
  EMFILE: "too many open files",
  EIO: "the disk reports an error",
};

/** Runs a call of the file system; what it refuses becomes a UserError that says what to do. */
export function attempt<T>(action: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const reason = advice[error.code] ?? error.message;
    throw new UserError(`cannot ${action}: ${reason}`, { cause: error });
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  return error instanceof Error && "syscall" in error && "code" in error;
}
