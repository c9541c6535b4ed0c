import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createProgress } from "../../src/run/progress.ts";

function capture(isTTY: boolean) {
  const stream = Object.assign(new PassThrough(), {
    isTTY,
    columns: 120,
    cursorTo() {},
    clearLine() {},
    moveCursor() {},
  });
  return { stream, text: () => String(stream.read() ?? "") };
}

describe("createProgress in a log", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("writes the first, the last and one line per 30 seconds between", () => {
    const { stream, text } = capture(false);
    const progress = createProgress("sft", 100, { stream });
    for (let step = 1; step <= 100; step++) {
      vi.advanceTimersByTime(1000);
      progress.update(step, { loss: (1 / step).toFixed(2) });
    }
    progress.stop();
    expect(text().trimEnd().split("\n")).toEqual([
      "sft 1/100 1% ETA 1m39s loss 1.00",
      "sft 31/100 31% ETA 1m9s loss 0.03",
      "sft 61/100 61% ETA 39s loss 0.02",
      "sft 91/100 91% ETA 9s loss 0.01",
      "sft 100/100 100% ETA 0s loss 0.01",
    ]);
  });

  test("writes the last state when the loop is stopped early, once", () => {
    const { stream, text } = capture(false);
    const progress = createProgress("reft", 10, { stream });
    progress.update(1);
    progress.update(2);
    progress.stop();
    progress.stop();
    expect(text()).toBe("reft 1/10 10% ETA 0s\nreft 2/10 20% ETA 0s\n");
  });

  test("counts only the steps of this process for the time left", () => {
    const { stream, text } = capture(false);
    const progress = createProgress("reft", 1000, { start: 900, stream });
    vi.advanceTimersByTime(60_000);
    progress.update(910);
    expect(text()).toBe("reft 910/1000 91% ETA 9m0s\n"); // 6 s a step, 90 steps left
  });
});

test("createProgress on a terminal draws a bar with the time left and the figures", () => {
  const { stream, text } = capture(true);
  const listeners = process.listenerCount("SIGINT");
  const progress = createProgress("sft", 4, { stream });
  progress.update(2, { loss: "0.50" });
  expect(process.listenerCount("SIGINT")).toBe(listeners); // Ctrl-C stays ours
  progress.stop();
  expect(text()).toMatch(/sft .*█+░+.* 2\/4 50% ETA .* loss 0\.50/);
});
