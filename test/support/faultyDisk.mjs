// A disk that fails at one chosen moment, for a whole process: `node --import ./test/support/faultyDisk.mjs`; test/support/faults.ts
// tells it how. A moment is the time right before one operation that changes what is on the disk. What is killed between two of them
// leaves the same files as what is killed at the second one, so the moments are all that a kill can do to a run.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join, resolve, sep } from "node:path";
import { getSystemErrorMap } from "node:util";

const { root, log, at, kind, lasting } = JSON.parse(process.env.FAULT);
const real = { ...fs };

let count = 0;
/** Paths by descriptors, of files below the root. */
const opened = new Map();
/** Files below the root that the device need not have yet, with the bytes that it has. */
const unsynced = new Map();

const isWatched = (path) => path === root || path.startsWith(root + sep);
const isWithin = (path, folder) => path === folder || path.startsWith(folder + sep);

function moment(operation, path, isNamed = true) {
  if (!isWatched(path)) return;
  count++;
  real.appendFileSync(log, `${operation} ${path.slice(root.length + 1)}\n`);
  if (at === undefined || count < at || (count > at && !lasting)) return;
  if (kind === "power cut") for (const [file, bytes] of unsynced) cutOff(file, bytes);
  const signal = kind === "power cut" ? "SIGKILL" : kind;
  if (!signal.startsWith("SIG")) throw refusal(operation, isNamed ? path : undefined);
  process.kill(process.pid, signal);
}

function cutOff(file, bytes) {
  if (fs.existsSync(file) && fs.statSync(file).size > bytes) real.truncateSync(file, bytes);
}

/** What Node throws; it names no path where it has only a descriptor. */
function refusal(syscall, path) {
  const [errno, [, text]] = [...getSystemErrorMap()].find(([, [name]]) => name === kind);
  const where = path === undefined ? "" : ` '${path}'`;
  const error = new Error(`${kind}: ${text}, ${syscall}${where}`);
  return Object.assign(error, { code: kind, errno, syscall, ...(path !== undefined && { path }) });
}

/** A file or folder has another name now, and with it all that is in it. */
function moveUnsynced(from, to) {
  for (const path of unsynced.keys()) if (isWithin(path, to)) unsynced.delete(path);
  for (const [path, bytes] of [...unsynced]) {
    if (!isWithin(path, from)) continue;
    unsynced.delete(path);
    unsynced.set(to + path.slice(from.length), bytes);
  }
}

/** Node's own functions do several operations at once; here each is made of the single ones. */
const faulty = {
  openSync(name, flags = "r", mode = undefined) {
    const path = resolve(name);
    if (!isWatched(path)) return real.openSync(name, flags, mode);
    if (flags !== "r") {
      moment("open", path);
      const kept = flags.startsWith("a") && fs.existsSync(path) ? fs.statSync(path).size : 0;
      unsynced.set(path, Math.min(unsynced.get(path) ?? kept, kept));
    }
    const descriptor = real.openSync(path, flags, mode);
    opened.set(descriptor, path);
    return descriptor;
  },
  closeSync(descriptor) {
    opened.delete(descriptor);
    real.closeSync(descriptor);
  },
  writeSync(descriptor, bytes, offset = 0, length = bytes.length - offset) {
    const path = opened.get(descriptor);
    if (path === undefined) return real.writeSync(descriptor, bytes, offset, length);
    const half = length >> 1;
    moment("write", path, false);
    real.writeSync(descriptor, bytes, offset, half);
    moment("write", path, false); // a full disk has taken what there was room for
    real.writeSync(descriptor, bytes, offset + half, length - half);
    return length;
  },
  fsyncSync(descriptor) {
    const path = opened.get(descriptor);
    if (path !== undefined) moment("fsync", path, false);
    real.fsyncSync(descriptor);
    unsynced.delete(path);
  },
  writeFileSync(file, data, options = {}) {
    if (typeof file === "number" || !isWatched(resolve(file)))
      return real.writeFileSync(file, data, options);
    const { flag = "w", mode, flush } = options;
    const descriptor = faulty.openSync(file, flag, mode);
    try {
      faulty.writeSync(descriptor, typeof data === "string" ? Buffer.from(data) : data);
      if (flush) faulty.fsyncSync(descriptor);
    } finally {
      faulty.closeSync(descriptor);
    }
  },
  appendFileSync(file, data, options = {}) {
    faulty.writeFileSync(file, data, { ...options, flag: "a" });
  },
  copyFileSync(from, to) {
    faulty.writeFileSync(to, real.readFileSync(from));
  },
  truncateSync(path, bytes) {
    moment("truncate", resolve(path));
    real.truncateSync(path, bytes);
  },
  renameSync(from, to) {
    moment("rename", resolve(to));
    real.renameSync(from, to);
    moveUnsynced(resolve(from), resolve(to));
  },
  linkSync(from, to) {
    moment("link", resolve(to));
    real.linkSync(from, to);
    if (unsynced.has(resolve(from))) unsynced.set(resolve(to), unsynced.get(resolve(from)));
  },
  mkdirSync(path, options) {
    moment("mkdir", resolve(path));
    return real.mkdirSync(path, options);
  },
  rmdirSync(path) {
    moment("rmdir", resolve(path));
    real.rmdirSync(path);
  },
  unlinkSync(path) {
    moment("unlink", resolve(path));
    real.unlinkSync(path);
    unsynced.delete(resolve(path));
  },
  rmSync(path, options = {}) {
    const found = fs.lstatSync(path, { throwIfNoEntry: false });
    if (found !== undefined && !found.isDirectory()) return faulty.unlinkSync(path);
    if (found === undefined || !options.recursive) return real.rmSync(path, options);
    for (const name of fs.readdirSync(path)) faulty.rmSync(join(path, name), options);
    faulty.rmdirSync(path);
  },
};

Object.assign(fs, faulty);
syncBuiltinESMExports();
