import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { observed } from "../src/observer.ts";
import { createProgress, doing, type LoopState, progressLine } from "../src/progress.ts";

describe("in a log", () => {
  let text = "";
  beforeEach(() => {
    text = "";
    vi.useFakeTimers();
    vi.spyOn(process.stderr, "write").mockImplementation((written) => {
      text += written;
      return true;
    });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  test("writes the first, the last and one line per 30 seconds between", () => {
    const progress = createProgress("sft", 100);
    for (let step = 1; step <= 100; step++) {
      vi.advanceTimersByTime(1000);
      progress.update(step, { loss: (1 / step).toFixed(2) });
    }
    progress.stop();
    expect(text.trimEnd().split("\n")).toEqual([
      "sft 1/100 1% loss 1.00",
      "sft 31/100 31% ETA 1m9s loss 0.03",
      "sft 61/100 61% ETA 39s loss 0.02",
      "sft 91/100 91% ETA 9s loss 0.01",
      "sft 100/100 100% ETA 0s loss 0.01",
    ]);
  });

  test("writes the last state when the loop is stopped early, once", () => {
    const progress = createProgress("reft", 10);
    progress.update(1);
    vi.advanceTimersByTime(1000);
    progress.update(2);
    progress.stop();
    progress.stop();
    expect(text).toBe("reft 1/10 10%\nreft 2/10 20% ETA 8s\n");
  });

  test("counts only the steps of this process for the time left, and not the first, which compiles", () => {
    const progress = createProgress("reft", 1000, { start: 900 });
    progress.update(900); // says where it goes on
    vi.advanceTimersByTime(77_000);
    progress.update(901);
    vi.advanceTimersByTime(60_000);
    progress.update(911);
    expect(text).toBe("reft 900/1000 90%\nreft 901/1000 90%\nreft 911/1000 91% ETA 8m54s\n"); // 6 s a step, 89 steps left
  });

  test("writes what is done for the first time, and the same with other numbers no more", () => {
    for (const activity of [
      "checkpoint of step 3",
      "measuring 7 questions",
      "checkpoint of step 40",
    ])
      doing(activity)[Symbol.dispose]();
    expect(text).toBe("checkpoint of step 3\nmeasuring 7 questions\n");
  });
});

test("an observer hears of each activity, and nothing is written", () => {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const heard: string[] = [];
  observed({ onActivity: (activity) => heard.push(activity) }, () => {
    for (const activity of ["loading", "loading"]) doing(activity)[Symbol.dispose]();
  });
  expect(heard).toEqual(["loading", "loading"]);
  expect(write).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

describe("progressLine", () => {
  const fields = { correct: "41.2%", kl: "0.012", best: "40.0%", "tok/s": 1234, memory: "1.2GB" };
  const loop: LoopState = { label: "ReFT", done: 5, total: 20, secondsLeft: 3723, fields };

  test.each([
    [56, undefined, "ReFT 5/20 25% ETA 1h2m correct 41.2% kl 0.012 best 40.0%"],
    [50, undefined, "ReFT 5/20 25% ETA 1h2m correct 41.2% kl 0.012"],
    [56, "measuring 200 dev questions", "ReFT 5/20 25% ETA 1h2m | measuring 200 dev questions"],
    [30, "measuring 200 dev questions", "ReFT 5/20 25% ETA 1h2m | meas…"],
    [76, undefined, "ReFT ██░░░░░░ 5/20 25% ETA 1h2m correct 41.2% kl 0.012 best 40.0% tok/s 1234"],
    [
      76,
      "compiling",
      "ReFT █████░░░░░░░░░░░░░ 5/20 25% ETA 1h2m correct 41.2% kl 0.012 | compiling",
    ],
    [
      196,
      "compiling",
      "ReFT ██████░░░░░░░░░░░░░░░░░░ 5/20 25% ETA 1h2m correct 41.2% kl 0.012 best 40.0% tok/s 1234 memory 1.2GB | compiling",
    ],
  ])("in %i columns, doing %s", (columns, activity, line) => {
    expect(progressLine(loop, activity, columns)).toBe(line);
  });

  test("without a loop says what is done", () => {
    expect(progressLine(undefined, "loading the model", 80)).toBe("loading the model ...");
  });

  test("says no time left that is not known", () => {
    expect(
      progressLine({ ...loop, done: 0, secondsLeft: undefined, fields: {} }, undefined, 60),
    ).toBe("ReFT 0/20 0%");
  });
});
