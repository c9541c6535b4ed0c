// What the steps of the set-up share: errors for the user, progress lines, hashes, and running other tools.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

/** A failure that the user can act on; its message is all that is printed. */
export class SetupError extends Error {}

/** @param {string} line */
export function say(line) {
  process.stdout.write(`${line}\n`);
}

/** Bytes as people read them: "274 MB", "5.7 GB". @param {number} bytes */
export function size(bytes) {
  return bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Every file below `folder`, sorted, as paths relative to it; empty where there is no such folder. */
export function filesBelow(folder) {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory()
        ? filesBelow(path.join(folder, entry.name)).map((file) => path.join(entry.name, file))
        : [entry.name],
    )
    .sort();
}

/** One SHA-256 over texts and the names and bytes of files: changes when any of them does. */
export function fingerprint(texts, files) {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text.length}:${text}`);
  for (const file of files) {
    const bytes = fs.readFileSync(file);
    hash.update(`${path.basename(file)}:${bytes.length}:`).update(bytes);
  }
  return hash.digest("hex");
}

/** SHA-256 of a file of any size, in hexadecimal. */
export async function sha256(file) {
  const hash = createHash("sha256");
  for await (const chunk of fs.createReadStream(file)) hash.update(chunk);
  return hash.digest("hex");
}

/**
 * Returns the path of a downloaded file with the expected hash.
 * @param {string} mirror what may be the cause of another one, after "If"
 * @throws {SetupError} for a file with other bytes, or none; the folder is deleted then
 */
export async function checkDownload(folder, name, expected, mirror) {
  const file = path.join(folder, name);
  const found = fs.existsSync(file) ? await sha256(file) : "no such file";
  if (found === expected) return file;
  fs.rmSync(folder, { recursive: true, force: true });
  throw new SetupError(
    `The download is not the file that this version was made with, and was deleted: ${name}\n` +
      `  expected sha256 ${expected}\n  found    ${found}\n` +
      `If ${mirror}, check that mirror, then run it again.`,
  );
}

/** The text of a small file, or undefined where there is none. */
export function readIfThere(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    // ESRCH: a process that ended while its file in /proc was read.
    if (error.code === "ENOENT" || error.code === "ESRCH") return undefined;
    throw error;
  }
}

const running = new Set();

/** Ends the tools that are still running, and what they started: for a set-up that is being ended. */
function stopTools() {
  for (const child of running) process.kill(-child.pid, "SIGTERM");
}

/** Runs a script's work. Of a failure only its message is printed; when interrupted, its tools end with it. */
export async function runSetup(work, whenInterrupted) {
  for (const [signal, number] of [
    ["SIGHUP", 1],
    ["SIGINT", 2],
    ["SIGTERM", 15],
  ]) {
    process.once(signal, () => {
      stopTools();
      process.stderr.write(`${whenInterrupted}\n`);
      process.exit(128 + number);
    });
  }
  try {
    await work();
  } catch (error) {
    stopTools(); // of several, where one has failed
    const message = messageFor(error);
    if (message === undefined) throw error;
    process.stderr.write(`${message}\n`);
    process.exit(1);
  }
}

/** What the user can act on: of a full or a closed disk, too, wherever it shows. */
function messageFor(error) {
  if (error instanceof SetupError) return error.message;
  if (["ENOSPC", "EDQUOT"].includes(error.code))
    return `Disk space is missing (${error.message}): free some, then run it again.`;
  if (["EACCES", "EPERM", "EROFS"].includes(error.code))
    return `The set-up may not write there (${error.message}): run it as the folder's owner, or install where you may write.`;
  return undefined;
}

const TAIL_LINES = 15;
const KEPT_OUTPUT = 64_000;

/**
 * Runs another program to its end and returns what it printed (both streams, the last 64,000
 * characters). `onTick` is called every second meanwhile.
 * @throws {SetupError} with the last lines of its output when it fails.
 */
export async function runTool(doing, command, args, { cwd, env = process.env, onTick } = {}) {
  // A process group of its own, so that ending it also ends the processes that it started.
  const child = spawn(command, args, {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  if (child.pid !== undefined) running.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output = (output + text).slice(-KEPT_OUTPUT);
    });
  }
  const ticks = onTick && setInterval(onTick, 1000);
  const problem = await new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) =>
      resolve(code === 0 ? undefined : signal ? `ended by ${signal}` : `exit code ${code}`),
    );
  });
  clearInterval(ticks);
  running.delete(child);
  if (problem !== undefined) {
    const tail = output.trimEnd().split("\n").slice(-TAIL_LINES);
    throw new SetupError(
      [`${doing} failed (${command}: ${problem}):`, ...tail.map((line) => `  ${line}`)].join("\n"),
    );
  }
  return output;
}
