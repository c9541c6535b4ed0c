// One process at a time works on a run's folder, or on a file that is resumed. The lock names its holder, so one left by a crash
// is recognised.
import { linkSync, lstatSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { asUserError, isErrno, UserError, withPath } from "../errors.ts";
import { nameAside } from "../folders.ts";
import { processStat } from "../formats/processStat.ts";
import { fromLeader } from "../ranks.ts";

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** Clock ticks from boot to the start of the process, where the system tells (Linux): process ids come back. */
  readonly started: string | undefined;
}

/**
 * Takes a lock for this process; one whose process is dead is taken over.
 *
 * @param lock the file to make
 * @returns a function that gives the lock back
 * @throws UserError that names the process that holds it
 */
export function takeLock(lock: string): () => void {
  const own = JSON.stringify(describeProcess(process.pid));
  const temporary = nameAside(lock);
  try {
    withPath(temporary, () => writeFileSync(temporary, own, { flush: true })); // or a power cut leaves an empty lock
    while (!tryLink(temporary, lock)) removeIfStale(lock);
  } finally {
    rmSync(temporary, { force: true });
  }
  removeLeftTakeover(lock);
  return () => {
    try {
      if (readIfThere(lock) === own) rmSync(lock, { force: true });
    } catch (error) {
      // A disk that has just failed may refuse this, too; that it failed is what the user has to hear. What stays is taken over.
      if (asUserError(error) === undefined) throw error;
    }
  };
}

/** A hard link appears with its content at once, and only one process can make it. */
function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    throw error;
  }
}

/** Takes a lock once for several ranks: the first one does, for all; the others have nothing to give back. */
export function takeLockOnce(lock: string): () => void {
  let giveBack = () => {};
  fromLeader(() => {
    giveBack = takeLock(lock);
  });
  return giveBack;
}

/**
 * Removes a lock whose holder is dead. Two processes that see the same dead holder must not both remove: the second one would
 * remove what the first has taken since. So removing needs a lock of its own, which a crash may leave behind like any other.
 */
function removeIfStale(lock: string): void {
  const found = lstatSync(lock, { throwIfNoEntry: false });
  if (found !== undefined && !found.isFile()) throw inUse(lock, undefined);
  const text = readIfThere(lock);
  if (text === undefined) return; // given back in between
  const holder = parseHolder(text);
  if (holder === undefined || isAlive(holder, lock)) throw inUse(lock, holder);
  const giveBack = takeLock(`${lock}.takeover`);
  try {
    if (readIfThere(lock) === text) rmSync(lock);
  } finally {
    giveBack();
  }
}

/** Removes what a process that was killed in a takeover has left; one that is at it now keeps its own. */
function removeLeftTakeover(lock: string): void {
  try {
    removeIfStale(`${lock}.takeover`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
}

function isAlive(holder: Holder, lock: string): boolean {
  if (holder.host !== hostname())
    throw new UserError(
      `${lock}: in use by process ${holder.pid} on ${holder.host}; ` +
        "whether it still runs cannot be told from here. If it does not, delete this file.",
    );
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (isErrno(error, "ESRCH")) return false;
  }
  return startOf(holder.pid) === holder.started;
}

function inUse(lock: string, holder: Holder | undefined): UserError {
  return new UserError(
    holder === undefined
      ? `${lock}: expected a lock with its holder, found something else; if no process uses it, delete it.`
      : `${lock}: in use by process ${holder.pid}; wait for its end, or give another folder.`,
  );
}

function describeProcess(pid: number): Holder {
  return { pid, host: hostname(), started: startOf(pid) };
}

function startOf(pid: number): string | undefined {
  const [state, ...fields] = processStat(pid) ?? [];
  const hasEnded = state === "Z"; // killed, and its parent has not asked for it yet
  return hasEnded ? undefined : fields[18];
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, host, started } = JSON.parse(text) as Partial<Holder>;
    return typeof pid === "number" && typeof host === "string" ? { pid, host, started } : undefined;
  } catch {
    return undefined; // not JSON
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
