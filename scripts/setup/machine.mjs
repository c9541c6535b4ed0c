// What the machine must have before any work starts: each thing that is missing becomes one sentence.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { SetupError, size } from "./support.mjs";

/** @param {string} running version of Node, "20.19.1" @param {string} required ">=20.19" */
export function checkNode(running, required) {
  const [major, minor] = required.replace(">=", "").split(".").map(Number);
  const [runningMajor, runningMinor] = running.split(".").map(Number);
  if (runningMajor > major || (runningMajor === major && runningMinor >= minor)) return;
  throw new SetupError(
    `Node ${running} is too old: reft needs Node ${major}.${minor} or newer (https://nodejs.org).`,
  );
}

/** TensorFlow's wheels are linked to glibc 2.27 or newer; musl (Alpine) has none. */
export function checkGlibc(version) {
  const [major, minor] = (version ?? "0.0").split(".").map(Number);
  if (major > 2 || (major === 2 && minor >= 27)) return;
  throw new SetupError(
    `This Linux has ${version ? `glibc ${version}` : "no glibc"}: TensorFlow needs glibc 2.27 or ` +
      "newer, that is Debian 10, Ubuntu 18.10, RHEL 8.5 or later, and not Alpine.",
  );
}

const works = (command, ...args) => spawnSync(command, args, { stdio: "ignore" }).status === 0;

const install = (debian, fedora) =>
  `install it (Debian, Ubuntu: apt-get install ${debian}; Fedora: dnf install ${fedora})`;

function missingForDownload() {
  if (!works("python3", "--version")) {
    const how = install("python3 python3-pip", "python3 python3-pip");
    return [`Python 3 is missing, whose pip does the download: ${how}.`];
  }
  if (works("python3", "-m", "pip", "--version")) return [];
  const how = install("python3-pip", "python3-pip");
  return [`pip is missing for python3; it does the download: ${how}.`];
}

/** The program that applies a unified diff: patch, else git. */
export function patchTool() {
  return ["patch", "git"].find((tool) => works(tool, "--version"));
}

function missingForCompiling() {
  const missing = [];
  if (!works("g++", "--version")) {
    missing.push(`g++ is missing, which compiles the binding: ${install("g++", "gcc-c++")}.`);
  }
  if (patchTool() === undefined) {
    missing.push(`patch is missing, which the binding needs: ${install("patch", "patch")}.`);
  }
  return missing;
}

function missingSpace(root, needed) {
  const { bavail, bsize } = fs.statfsSync(root);
  const free = bavail * bsize;
  if (free >= needed) return [];
  return [
    `Disk space is missing: this needs ${size(needed)} in ${root} and ${size(free)} are ` +
      `free; make ${size(needed - free)} more free.`,
  ];
}

/**
 * @param {{root: string, download: boolean, compile: boolean, bytes: number}} work what is to be
 *   done, and the disk space that it takes at its peak
 * @throws {SetupError} that names everything missing at once, one sentence a line
 */
export function checkMachine({ root, download, compile, bytes }) {
  const missing = [
    ...(download ? missingForDownload() : []),
    ...(compile ? missingForCompiling() : []),
    ...missingSpace(root, bytes),
  ];
  if (missing.length > 0) throw new SetupError([...missing, "Then run it again."].join("\n"));
}
