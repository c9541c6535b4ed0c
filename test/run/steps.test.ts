import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { UserError } from "../../src/errors.ts";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";
import { InterruptedError } from "../../src/run/interrupts.ts";
import { openRun } from "../../src/run/run.ts";
import { runSteps, type StepPlan } from "../../src/run/steps.ts";
import { tinyConfig, untrained } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

vi.spyOn(process.stderr, "write").mockImplementation(() => true);

/** Seven steps, measured every third, saved every second one. */
const plan: StepPlan = {
  label: "Test",
  totalSteps: 7,
  stepsPerEpoch: 2,
  measuresStart: true,
  measureEverySteps: 3,
  saveEverySteps: 2,
  memory: { forecastMegabytes: 123, report: () => {} },
};

/** Runs the plan in a folder, with Ctrl-C after a step; returns what was called, in order. */
async function steps(
  folder: string,
  changed: Partial<StepPlan> = {},
  stopAfter = Infinity,
  pauseAfter = Infinity,
) {
  using run = openRun(folder, tinyConfig);
  const calls: string[] = [];
  let taken = run.resumeFrom?.step ?? 0;
  const interrupts = {
    requested: async () => taken >= stopAfter,
    [Symbol.asyncDispose]: async () => {},
  };
  const done = runSteps(
    run,
    interrupts,
    { ...plan, ...changed },
    {
      trained: untrained,
      step: (step) => {
        taken = step + 1;
        calls.push(`step ${step}`);
        return { "test/loss": 1 / taken };
      },
      measure: async (step) => {
        calls.push(`measure ${step}`);
        return { figures: { "eval/accuracy": step / 10 }, isBest: step === 3 };
      },
      save: (target, training) => {
        calls.push(`save ${taken}`);
        writeFileSync(join(target, "config.json"), "{}");
        writeFileSync(join(training, "step"), String(taken));
      },
      state: () => ({ taken }),
      pauses: () => (taken === pauseAfter ? { message: "it is odd", steps: 2 } : undefined),
      shown: () => ({}),
    },
  );
  return { calls, error: await done.then(() => undefined).catch((error: unknown) => error) };
}

function metricsOf(folder: string) {
  const lines = readFileSync(join(folder, "metrics.jsonl"), "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Record<string, number>);
}

test("measures the start, then as planned and at the end; saves what is measured and as planned", async () => {
  const folder = temporaryFolder();
  const { calls, error } = await steps(folder);
  expect(error).toBeUndefined();
  expect(calls.join(", ")).toBe(
    "measure 0, save 0, step 0, step 1, save 2, step 2, measure 3, save 3, step 3, save 4, step 4, " +
      "step 5, measure 6, save 6, step 6, measure 7, save 7",
  );
  expect(metricsOf(folder).map(({ step, epoch }) => [step, epoch])).toEqual(
    [0, 1, 2, 3, 4, 5, 6, 7].map((step) => [step, step / 2]),
  );
  expect(Object.keys(metricsOf(folder)[3]!).slice(3)).toEqual([
    "test/loss",
    "time/stepSeconds",
    "memory/peakMegabytes",
    "memory/forecastMegabytes",
    "memory/numTensors",
    "memory/tracedFunctions",
    "eval/accuracy",
  ]);
  expect(loadCheckpoint(folder, "best")).toMatchObject({ step: 3, state: { taken: 3 } });
  expect(loadCheckpoint(folder, "last")).toMatchObject({ step: 7, state: { taken: 7 } });
});

test("saves the step under way after Ctrl-C, and goes on from there", async () => {
  const folder = temporaryFolder();
  const stopped = await steps(folder, {}, 5);
  expect(stopped.error).toBeInstanceOf(InterruptedError);
  expect(stopped.calls.slice(-2)).toEqual(["step 4", "save 5"]);
  const { calls } = await steps(folder);
  expect(calls).toEqual(["step 5", "measure 6", "save 6", "step 6", "measure 7", "save 7"]);
  expect(metricsOf(folder).map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

test("a pause saves its step, keeps what is before it, names the way back, and the run goes on", async () => {
  const folder = temporaryFolder();
  const { calls, error } = await steps(folder, {}, Infinity, 5);
  expect(calls.slice(-2)).toEqual(["step 4", "save 5"]);
  expect(readdirSync(join(folder, "checkpoints")).toSorted().slice(2)).toEqual([
    ...["step-000003", "step-000004", "step-000005"],
  ]);
  expect(error).toBeInstanceOf(UserError);
  expect((error as Error).message).toBe(
    "step 5: it is odd. Step 3 is the newest checkpoint from before it; from there with a lower optimizer.learningRate: " +
      `npx train-reft --config ${folder}/config.yaml --fork ${folder}@3 --output ${folder}-from-3 ` +
      "--set optimizer.learningRate=0.0001. The step is saved: the same command goes on after it",
  );
  const onward = await steps(folder, {}, Infinity, 5);
  expect(onward.calls.at(-1)).toBe("save 7");
  expect(onward.error).toBeUndefined();
});

test("a pause without an earlier checkpoint says so", async () => {
  const plan = { measuresStart: false, saveEverySteps: null };
  const { error } = await steps(temporaryFolder(), plan, Infinity, 2);
  expect((error as Error).message).toContain("No checkpoint from before it is kept");
});

test("Ctrl-C in the last step stops nothing any more", async () => {
  const { calls, error } = await steps(temporaryFolder(), {}, 7);
  expect(error).toBeUndefined();
  expect(calls.at(-1)).toBe("save 7");
});

test("without a measured start and without a plan to save, only what is measured is saved", async () => {
  const folder = temporaryFolder();
  const { calls } = await steps(folder, { measuresStart: false, saveEverySteps: null });
  expect(calls.filter((call) => call.startsWith("save"))).toEqual(["save 3", "save 6", "save 7"]);
  expect(calls[0]).toBe("step 0");
  expect(readdirSync(join(folder, "checkpoints")).toSorted()).toEqual([
    "best.json",
    "last.json",
    "step-000003",
    "step-000007",
  ]);
});
