// Reading and writing at a position of an open file, with its path in what the file system refuses.
import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { UserError, withPath } from "../errors.ts";
import { reading } from "./jsonl.ts";

/** Node reads and writes less than 2 GiB in one call. */
const maxTransferBytes = 2 ** 30;

/** Numbers of bf16 as they stand in a file, row-major. */
export interface FilePlace {
  readonly path: string;
  /** Offset of the first byte. */
  readonly begin: number;
}

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
  const descriptor = reading(path, () => openSync(path, "r"));
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
    const count = reading(path, () => readSync(descriptor, target, done, wanted, position + done));
    if (count === 0) throw new UserError(`${path}: became shorter while it was being read`);
    done += count;
  }
}

/** Writes all of `bytes` where the file's own position is. */
export function writeFully(descriptor: number, path: string, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) {
    const wanted = Math.min(bytes.length - done, maxTransferBytes);
    done += withPath(path, () => writeSync(descriptor, bytes, done, wanted));
  }
}

/** Makes the rename durable where folders can be synced; the file is whole either way. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    withPath(folder, () => fsyncSync(descriptor));
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (!["EINVAL", "ENOTSUP", "EPERM"].includes(code)) throw error;
  } finally {
    closeSync(descriptor);
  }
}
