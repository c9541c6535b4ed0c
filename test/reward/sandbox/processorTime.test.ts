import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import {
  processorSeconds,
  withinProcessorTime,
} from "../../../src/reward/sandbox/processorTime.ts";

/** A process whose clock runs at this share of the real one's speed; killed, it rejects. */
function fakeProcess(share: number | undefined) {
  const start = Date.now();
  let end: (error: Error) => void = () => {};
  const work = new Promise<number>((_, reject) => {
    end = reject;
  });
  return {
    work,
    kill: () => end(new Error("killed")),
    processorSeconds: () =>
      share === undefined ? undefined : (share * (Date.now() - start)) / 1000,
  };
}

describe("withinProcessorTime", () => {
  /** How and after how many seconds by the clock 3 s of processor time end a process. */
  async function endOf(share: number | undefined): Promise<[how: string, seconds: number]> {
    vi.useFakeTimers();
    try {
      const start = Date.now();
      const process = fakeProcess(share);
      const ended = withinProcessorTime(process, 3, process.work).then((how): [string, number] => [
        String(how),
        (Date.now() - start) / 1000,
      ]);
      await vi.runAllTimersAsync();
      return await ended;
    } finally {
      vi.useRealTimers();
    }
  }

  test.each([
    [1, 3, "timeout"],
    [0.5, 6, "timeout"],
    [0.1, 30, "timeout"],
    [0.01, 60, "starved"], // at a hundredth it would be 300 s
    [0, 60, "starved"],
    [undefined, 3, "timeout"], // no /proc
  ])("at %s of a processor, 3 s of it end after %d s: %s", async (share, seconds, kind) => {
    const [how, found] = await endOf(share);
    expect(how).toBe(kind);
    expect(found).toBeGreaterThan(seconds - 0.01);
    expect(found).toBeLessThan(seconds * 1.1);
  });

  test("gives what came in time, and errors that are not the limit's", async () => {
    const process = fakeProcess(1);
    expect(await withinProcessorTime(process, 3, Promise.resolve(7))).toBe(7);
    const failure = Promise.reject(new Error("ended"));
    await expect(withinProcessorTime(process, 3, failure)).rejects.toThrow("ended");
  });

  test("a reply that lies unread while this process is busy is in time", async () => {
    const guest = { kill: vi.fn(), processorSeconds: () => 0 };
    const reply = new Promise<number>((resolve) => setTimeout(() => resolve(7), 60));
    const result = withinProcessorTime(guest, 0.05, reply);
    const busyUntil = performance.now() + 1200; // 24 times the limit
    while (performance.now() < busyUntil);
    expect(await result).toBe(7);
    expect(guest.kill).not.toHaveBeenCalled();
  });
});

describe.skipIf(!existsSync("/proc/self/stat"))("processorSeconds", () => {
  test("counts what a process computes, and not what it sleeps", async () => {
    const script =
      "let used; do used = process.cpuUsage(); while (used.user < 3e5);" +
      "console.log((used.user + used.system) / 1e6); setTimeout(() => {}, 6e4)";
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const [said] = await once(child.stdout, "data");
    await new Promise((resolve) => setTimeout(resolve, 500));
    const seconds = processorSeconds(child.pid!)!;
    child.kill("SIGKILL");
    const computed = Number(said);
    expect(seconds).toBeGreaterThan(computed - 0.02); // two ticks
    expect(seconds).toBeLessThan(computed + 0.25); // half of what it slept
  });

  test("knows nothing of a process that is not there", () => {
    expect(processorSeconds(2 ** 30)).toBeUndefined();
  });
});
