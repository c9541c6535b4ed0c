// What createSandbox does where a way out is open, and where the set-up has not brought Python's wheels. No guest is real.
import { expect, test, vi } from "vitest";
import type { Guest } from "../../../src/reward/sandbox/guestProcess.ts";
import { createSandbox } from "../../../src/reward/sandbox/sandbox.ts";

const killed = vi.hoisted(() => vi.fn());
/** What every guest says. */
let told: string;
vi.mock(import("../../../src/reward/sandbox/snapshot.ts"), async (original) => ({
  ...(await original()),
  cachedSnapshot: async () => undefined,
}));
vi.mock(import("../../../src/reward/sandbox/guestProcess.ts"), async (original) => ({
  ...(await original()),
  startGuest: (): Guest => {
    let end: (how: string) => void;
    const exited = new Promise<string>((resolve) => {
      end = resolve;
    });
    return {
      ready: Promise.resolve(),
      exited,
      isAlive: () => true,
      processorSeconds: () => undefined,
      ask: async () => ({ id: 1, kind: "S", text: told, retire: false }),
      kill: () => {
        killed();
        end("SIGKILL");
      },
    };
  },
}));

test("a sandbox with a way out is not handed over, and all its guests are killed", async () => {
  vi.stubEnv("REFT_TEST_VARIABLE", "a long enough value");
  told = "a long enough value";
  const options = { timeoutSeconds: 10, workers: 2, memoryMegabytes: 256 };
  await expect(createSandbox(options)).rejects.toThrow(
    /the sandbox does not hold on this machine.*environment through os\.environ/,
  );
  expect(killed).toHaveBeenCalledTimes(3); // those of two workers, and the one that was attacked
});

test("where wheels are missing, programs that use them are not to blame", async () => {
  told = "42";
  const options = { timeoutSeconds: 10, workers: 1, memoryMegabytes: 256 };
  const sandbox = await createSandbox(options, "/nowhere");
  for (const [module, what] of [
    ["sympy", "sympy"],
    ["zoneinfo", "tzdata"],
  ]) {
    expect(await sandbox.run(`import ${module}\ndef solution():\n    return 1`)).toEqual({
      kind: "infrastructure",
      message: `the program uses ${what}, which is not in /nowhere: run the set-up`,
    });
  }
  await sandbox.close();
});
