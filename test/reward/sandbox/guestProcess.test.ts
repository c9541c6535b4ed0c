import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  guestCommand,
  hostTools,
  permissionFlag,
  reasonIn,
} from "../../../src/reward/sandbox/guestProcess.ts";

test.each([
  ["20.20.2", "--experimental-permission"],
  ["22.12.0", "--experimental-permission"],
  ["22.13.0", "--permission"],
  ["23.4.0", "--experimental-permission"],
  ["23.5.0", "--permission"],
  ["24.0.0", "--permission"],
])("Node %s calls its permission model %s", (version, flag) => {
  expect(permissionFlag(version)).toBe(flag);
});

test.each([
  ["", ""],
  ["setpriv: failed to execute node\n", "setpriv: failed to execute node"],
  [
    `file:///pyodide.asm.mjs:1\n${"x".repeat(900)}\n   ^\n\nTypeError: no such file\n    at open (node:fs:1)\n\nNode.js v20.20.2\n`,
    "TypeError: no such file",
  ],
  [
    "<--- Last few GCs --->\nFATAL ERROR: heap limit\n 1: 0xb8\n 2: 0xb9\n",
    "FATAL ERROR: heap limit",
  ],
  [`Error: ${"y".repeat(900)}`, `Error: ${"y".repeat(193)}`],
])("of a crash report %j the reason is %j", (report, reason) => {
  expect(reasonIn(report)).toBe(reason);
});

/** Kills a parent whose guest spins, and tells after how many milliseconds the guest is gone. */
async function orphanLives(command: readonly string[]): Promise<number> {
  const parent = spawn(
    process.execPath,
    [
      "-e",
      `const { spawn } = require('node:child_process');
       const guest = spawn(${JSON.stringify(command[0])}, ${JSON.stringify(command.slice(1))}, { env: {} });
       console.log(guest.pid);
       guest.stdout.on('data', () => process.kill(process.pid, 'SIGKILL'));`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let pid = "";
  parent.stdout.on("data", (text) => {
    pid += text;
  });
  const signal = await new Promise((resolve) =>
    parent.once("exit", (_, signal) => resolve(signal)),
  );
  const start = performance.now();
  expect(signal).toBe("SIGKILL"); // which it sends when the guest has written something
  const guest = Number(/^\d+$/m.exec(pid)![0]);
  while (existsSync(`/proc/${guest}`)) {
    if (performance.now() - start > 120_000) {
      process.kill(guest, "SIGKILL");
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return performance.now() - start;
}

const spinning = [process.execPath, "-e", "require('node:fs').writeSync(1, 'x'); for (;;);"];

describe.skipIf(!existsSync("/proc/self"))(
  "a guest in an endless loop whose parent was killed",
  () => {
    test.skipIf(!hostTools().setpriv)("dies at once (where setpriv works)", async () => {
      expect(await orphanLives(guestCommand(hostTools(), spinning))).toBeLessThan(10_000);
    });

    test("dies of its processor time limit elsewhere", async () => {
      const command = guestCommand({ setpriv: false, unshare: false }, spinning, 1);
      expect(await orphanLives(command)).toBeLessThan(60_000);
    });
  },
);
