import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { selfTest } from "../../../src/reward/sandbox/breakouts.ts";
import { temporaryFolder } from "../../support/temporaryFolder.ts";

/** No sandbox at all: the machine's own Python. */
const unprotected = (program: string): Promise<string> =>
  new Promise((resolve) => {
    execFile("python3", ["-c", `${program}\nprint(solution())`], (_, stdout) => resolve(stdout));
  });

describe("selfTest", () => {
  test("refuses a guest that reaches files, shell, network and environment, and names each", async () => {
    process.env.REFT_TEST_VARIABLE = "a long enough value";
    const routes = await selfTest(unprotected).then(
      () => "nothing",
      (error: Error) => error.message,
    );
    delete process.env.REFT_TEST_VARIABLE;
    for (const route of [
      "host files through open()",
      "host shell through os.system",
      "host shell through ctypes",
      "network",
      "environment through os.environ",
    ]) {
      expect(routes).toContain(route);
    }
    expect(routes).not.toContain("mountNodeFS"); // the machine's Python has no such thing
  });

  test("accepts a guest that does nothing but arithmetic", async () => {
    await selfTest(async (program) => (program.includes("6 * 7") ? "42" : "denied"));
  });

  test("accepts a guest that repeats what it was asked, the folder for temporary files in it", async () => {
    expect(process.env.TMPDIR!.length).toBeGreaterThan(12);
    await selfTest(async (program) => (program.includes("6 * 7") ? "42" : program));
  });

  test("refuses a guest that does not compute", async () => {
    await expect(selfTest(async () => "")).rejects.toThrow('6 * 7 gave ""');
  });

  test("leaves no bait behind", async () => {
    const temporary = process.env.TMPDIR;
    process.env.TMPDIR = temporaryFolder();
    await selfTest(async (program) => (program.includes("6 * 7") ? "42" : ""));
    expect(readdirSync(process.env.TMPDIR)).toEqual([]);
    if (temporary === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = temporary;
  });
});
