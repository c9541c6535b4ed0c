import { appendFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isRun, readRun } from "../../src/report/read.ts";
import { makeCheckpoint, makeRun } from "../support/reportRun.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const figures = [
  { "eval/accuracy": 0.25 },
  { "time/stepSeconds": 60, "kl/reference": 0.1, "rollout/logprobGap": 1e-7 },
  { "time/stepSeconds": 30, "kl/reference": "NaN", "eval/accuracy": 0.5 },
];
const fresh = (made = {}) => makeRun(join(temporaryFolder(), "mine"), { figures, ...made });

describe("a run", () => {
  test("has its curves, and what they are drawn against", () => {
    const run = readRun(fresh(), "mine");
    expect(run).toMatchObject({ name: "mine", stage: "reft", epochs: 0.2 });
    expect(run.axes).toEqual({ step: [0, 1, 2], samples: [0, 32, 64], minutes: [0, 1, 1.5] });
    expect(run.curves.find(({ name }) => name === "eval/accuracy")).toMatchObject({
      at: [0, 2],
      value: [0.25, 0.5],
    });
    expect(run.curves.find(({ name }) => name === "kl/reference")!.notFinite).toEqual([2]);
    expect(run.limits).toEqual({ "rollout/logprobGap": 0.01 });
  });

  test("counts every round of dynamic sampling", () => {
    const rounds = [{}, { "rollout/rounds": 1 }, { "rollout/rounds": 3 }];
    const run = readRun(fresh({ figures: rounds }), "mine");
    expect(run.axes.samples).toEqual([0, 32, 128]);
  });

  test("has alarms and the checkpoints that are kept; an old run has no alarms", () => {
    const alarms = [{ step: 2, name: "truncated", figures: {}, message: "too long" }];
    const folder = fresh({ alarms });
    makeCheckpoint(folder, 1, ["best"]);
    makeCheckpoint(folder, 2, ["last"]);
    const run = readRun(folder, "mine");
    expect(run.alarms).toEqual([{ step: 2, name: "truncated", message: "too long" }]);
    expect(run.checkpoints).toEqual([
      { step: 1, isBest: true, isLast: false },
      { step: 2, isBest: false, isLast: true },
    ]);
    expect(readRun(fresh(), "mine").alarms).toEqual([]);
  });

  test("may be writing its last line", () => {
    const folder = fresh();
    appendFileSync(join(folder, "metrics.jsonl"), '{"step":3,"epo');
    expect(readRun(folder, "mine").axes.step).toEqual([0, 1, 2]);
  });

  test("knows rows of its data from the manifest", () => {
    const folder = temporaryFolder();
    const manifest = { files: { "train.jsonl": { rows: 500, sha256: "" } } };
    writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
    const settings = `stage: sft\ndata: { train: ${folder}/train.jsonl, dev: elsewhere/dev.jsonl }\n`;
    const run = fresh();
    writeFileSync(join(run, "config.yaml"), settings);
    expect(readRun(run, "mine").data).toEqual([
      { setting: "data.train", path: join(folder, "train.jsonl"), rows: 500, read: null },
      { setting: "data.dev", path: "elsewhere/dev.jsonl", rows: null, read: null },
    ]);
  });

  test("knows its machine and the lengths of its data, which an older version did not write down", () => {
    const folder = fresh();
    expect(readRun(folder, "mine").machine).toEqual({});
    const prompt = { median: 2, at95: 3, most: 3 };
    const read = { setting: "data.train", rows: 3, tooLong: 4, prompt };
    const about = { machine: { memory: "8 GB" }, files: [read] };
    writeFileSync(join(folder, "about.json"), JSON.stringify(about));
    const { machine, data } = readRun(folder, "mine");
    expect(machine).toEqual({ memory: "8 GB" });
    expect(data.map((file) => file.read)).toEqual([read, null]);
  });

  test("without figures is refused with what to do", () => {
    const folder = fresh();
    rmSync(join(folder, "metrics.jsonl"));
    expect(() => readRun(folder, "mine")).toThrow(
      `${join(folder, "metrics.jsonl")}: expected a run's figures, found no such file; let the run go on until its first step`,
    );
    writeFileSync(join(folder, "metrics.jsonl"), "\n");
    expect(() => readRun(folder, "mine")).toThrow(/found none; let the run go on/);
  });
});

test("a folder with settings and checkpoints is a run's", () => {
  expect(isRun(fresh())).toBe(true);
  const other = temporaryFolder();
  mkdirSync(join(other, "checkpoints"));
  expect(isRun(other)).toBe(false);
});
