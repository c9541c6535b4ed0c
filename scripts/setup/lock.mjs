// Set-ups of one checkout take turns. A lock names its holder, so one left by a set-up that was killed
// is recognised. As src/run/lock.ts, which cannot be imported before there are packages.
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { readIfThere, SetupError, say } from "./support.mjs";

/** Waits for its turn and takes the lock until this process ends; one whose holder is dead is taken over. */
export async function takeLock(file) {
  process.once("exit", await acquire(file));
}

/** Returns the function that gives the lock back. */
async function acquire(file) {
  const own = describeProcess(process.pid);
  for (let said = false; !tryTake(file, own); ) {
    const found = fs.lstatSync(file, { throwIfNoEntry: false });
    if (found !== undefined && !found.isFile())
      throw new SetupError(`${file}: expected a lock, found something else; delete it.`);
    const holder = readIfThere(file);
    if (holder === undefined) continue; // given back in between
    if (!isRunning(holder)) {
      await removeStale(file, holder);
      continue;
    }
    if (!said) {
      const pid = pidOf(holder);
      say(`Waiting for another set-up of this checkout (process ${pid}, lock ${file}).`);
      said = true;
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return () => {
    if (readIfThere(file) === own) fs.rmSync(file, { force: true });
  };
}

/** A hard link appears with its content at once, and only one process can make it. */
function tryTake(file, own) {
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}`);
  try {
    fs.writeFileSync(temporary, own);
    fs.linkSync(temporary, file);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  } finally {
    fs.rmSync(temporary, { force: true });
  }
}

/**
 * Two set-ups that see the same dead holder must not both remove its lock: the second would remove
 * what the first has taken since. So removing needs a lock of its own.
 */
async function removeStale(file, holder) {
  const giveBack = await acquire(`${file}.takeover`);
  try {
    if (readIfThere(file) === holder) fs.rmSync(file);
  } finally {
    giveBack();
  }
}

/** Anything but "process id, start" of another process that runs now is stale: empty, half a number, or an id used again. */
function isRunning(holder) {
  const pid = pidOf(holder);
  if (pid === undefined || pid === process.pid || holder !== describeProcess(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function pidOf(holder) {
  const digits = /^([1-9]\d*) /.exec(holder)?.[1];
  return digits && Number(digits);
}

/** The id and the clock ticks from boot to the start: process ids come back, in containers soon. */
function describeProcess(pid) {
  const stat = readIfThere(`/proc/${pid}/stat`) ?? "";
  // From field 3 on; the second one, the name in parentheses, may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const hasEnded = fields[0] === "Z"; // killed, and its parent has not asked for it yet
  return `${pid} ${(hasEnded ? undefined : fields[19]) ?? ""}`;
}
