// Steps whose numbers are not finite: what is left of them, when a run stops for them, and a run that is stopped among them.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import type { SftConfig } from "../../src/config.ts";
import { createSkips } from "../../src/run/alarms.ts";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";
import { InterruptedError } from "../../src/run/interrupts.ts";
import { openRun } from "../../src/run/run.ts";
import { trainSft } from "../../src/sft/train.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { testEqualRuns } from "../support/equalRuns.ts";
import { tinyConfig, userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { contentOf, interruptAfter, metricsOf, tinySft, writeTinyData } from "../support/tiny.ts";

/** The steps whose loss comes out as NaN, by the process's own count. */
let spoiled: (done: number) => boolean = () => false;
let done = 0;
vi.mock(import("../../src/model/backward.ts"), async (importOriginal) => {
  const original = await importOriginal();
  const createResponseBackward: typeof original.createResponseBackward = (...args) => {
    const backward = original.createResponseBackward(...args);
    const spoilable = (batch: Parameters<typeof backward>[0]) => {
      const loss = backward(batch); // its gradients have been gathered
      return spoiled(++done) ? Number.NaN : loss;
    };
    return Object.assign(spoilable, { dispose: () => backward.dispose() });
  };
  return { ...original, createResponseBackward };
});
vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () => ({
    run: async () => ({ kind: "error", message: "" }),
    close: async () => {},
  }),
}));
vi.mock("../../src/evaluate/checkGold.ts", () => ({ checkGold: async () => {} }));

const said = captureOutput();
const home = temporaryFolder();
writeTinyData(home);
const base = tinySft(home);
const folderOf = (name: string) => join(home, name);

test("counts steps in a row, warns of each and stops after too many", async () => {
  using run = openRun(temporaryFolder(), tinyConfig);
  const loss = { loss: Number.NaN };
  const skips = createSkips(run, 2, 1);
  expect(skips.after(5, [loss, { gradNorm: Number.POSITIVE_INFINITY }])).toEqual({
    "train/skippedUpdates": 2,
  });
  expect(said.error).toBe(
    "warning: step 5: loss is NaN, gradNorm is Infinity: 2 updates are left out, weights and moments stay as they were",
  );
  expect(skips.inARow()).toBe(2);
  expect(skips.after(6, [])).toEqual({});
  expect(skips.inARow()).toBe(0);
  skips.after(7, [loss]);
  skips.after(8, [loss]);
  expect(await userErrorOf(() => skips.after(9, [loss]))).toBe(
    "step 9: loss is NaN, expected finite numbers in 3 steps in a row (alarms.maxSkippedSteps is 2); the step is not kept. " +
      "There is no checkpoint of this run yet. Lower optimizer.learningRate and start again in another folder, from a checkpoint of this run (option fork) or from the start",
  );
  const alarms = readFileSync(join(run.folder, "alarms.jsonl"), "utf8").trimEnd().split("\n");
  expect(alarms.map((line) => JSON.parse(line).step)).toEqual([5, 7, 8, 9]);
});

/** Weights and moments of a run's last checkpoint, and what it knows of its steps. */
function lastOf(folder: string) {
  const { folder: last, step } = loadCheckpoint(folder, "last")!;
  const names = ["model.safetensors", "training/optimizer.safetensors", "training/optimizer.json"];
  const files = names.map((name) => readFileSync(join(last, name)));
  return { step, hashes: files.map((file) => createHash("sha256").update(file).digest("hex")) };
}

/** Steps 3 to 5 of 6 are skipped; stopped after some of them and gone on with. */
async function train(name: string, stops: readonly number[]) {
  const config: SftConfig = { ...base, evaluation: { ...base.evaluation, everyEpochs: 2 } };
  const folder = folderOf(name);
  const afterStops = [];
  for (const stop of [...stops, undefined]) {
    done = afterStops.at(-1)?.step ?? 0;
    spoiled = (step) => step >= 3 && step <= 5;
    if (stop !== undefined) interruptAfter(folder, stop);
    const run = trainSft(config, folder);
    if (stop === undefined) await run;
    else await expect(run).rejects.toBeInstanceOf(InterruptedError);
    afterStops.push(lastOf(folder));
  }
  return { folder, afterStops };
}

testEqualRuns(
  "a skipped step leaves weights and moments as they were; a run goes on among them",
  async () => {
    const straight = await train("straight", []);
    const stopped = await train("stopped", [1, 3]);
    const [before, among] = stopped.afterStops;
    expect([2, 3]).toContain(before!.step); // the step under way at Ctrl-C is finished
    expect([4, 5]).toContain(among!.step);
    expect(among!.hashes).toEqual(before!.hashes);
    expect(contentOf(stopped.folder)).toEqual(contentOf(straight.folder));
    expect(stopped.afterStops[2]!.hashes).not.toEqual(before!.hashes);
    const lines = metricsOf(straight.folder);
    expect(lines.map((line) => line["train/skippedUpdates"] ?? 0)).toEqual([0, 0, 1, 1, 1, 0]);
    expect(new Set(lines.map((line) => line["memory/numTensors"])).size).toBe(1);
    expect(lines[2]).toMatchObject({ "sft/loss": "NaN", "sft/gradNorm": "NaN" });
  },
);
