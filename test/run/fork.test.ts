// Runs that begin where another one was: what they take along, what they change, and that the other one stays as it is.
import { createHash } from "node:crypto";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { main } from "../../src/cli.ts";
import type { ReftConfig, SftConfig } from "../../src/config.ts";
import { trainReft } from "../../src/ppo/train.ts";
import { trainRerank } from "../../src/rerank/train.ts";
import type { Outcome } from "../../src/reward/outcome.ts";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";
import { readManifest } from "../../src/run/checkpointFiles.ts";
import type { ForkOptions } from "../../src/run/fork.ts";
import { trainSft } from "../../src/sft/train.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { testEqualRuns } from "../support/equalRuns.ts";
import { fakeSandbox, shareOf } from "../support/fakeSandbox.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import {
  metricsOf,
  tinyReft,
  tinyRerank,
  tinySft,
  writeTinyData,
  writeTinyModel,
  writeTinySamples,
} from "../support/tiny.ts";

vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () =>
    fakeSandbox((program): Outcome => ({ kind: "answer", value: shareOf(program) < 0.5 ? 42 : 7 })),
}));
vi.mock("../../src/evaluate/checkGold.ts", () => ({ checkGold: async () => {} }));

const said = captureOutput();
const home = temporaryFolder();
const folderOf = (name: string) => join(home, name);
const problems = writeTinyData(home);
writeTinyModel(folderOf("warmup"), problems);
const tiny = tinyReft(home, folderOf("warmup"));
/** Four steps, each saved and kept. */
const base = {
  ...tiny,
  training: { ...tiny.training, maxSteps: 4 },
  checkpoint: { everySteps: 1, keep: { every: 1 } },
} satisfies ReftConfig;
const slower = { ...base, optimizer: { ...base.optimizer, learningRate: 1e-4 } };

/** Every file of a run with its hash. */
function filesOf(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const hash = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
  return Object.fromEntries(files.map((file) => [file.slice(folder.length + 1), hash(file)]));
}

/** Weights, value head and moments of a run's checkpoint. */
function trainedOf(name: string, step: number) {
  const folder = join(folderOf(name), "checkpoints", `step-00000${step}`);
  const trained = filesOf(folder);
  delete trained["checkpoint.json"];
  return trained;
}

let before: Record<string, string> = {};
beforeAll(async () => {
  await trainReft(base, folderOf("run"));
  before = filesOf(folderOf("run"));
});
const forkOf = (name: string, place: string, config: ReftConfig = base) =>
  trainReft(config, folderOf(name), { fork: `${folderOf("run")}@${place}` });

describe("a fork", () => {
  testEqualRuns("with the same settings takes the steps that its run took", async () => {
    await forkOf("same", "2");
    for (const step of [2, 3, 4]) expect(trainedOf("same", step)).toEqual(trainedOf("run", step));
    const [start, ...lines] = metricsOf(folderOf("same"));
    expect(Object.keys(start!).every((name) => /^(step|epoch|eval\/.*)$/.test(name))).toBe(true);
    expect(start).toMatchObject({ step: 2, epoch: 2 / 3 });
    const figures = (line: object) => ({ ...line, "memory/numTensors": 0 });
    expect(lines.map(figures)).toEqual(metricsOf(folderOf("run")).slice(3).map(figures));
  });

  test("with another rate goes another way, says where it began, and leaves its run as it was", async () => {
    await forkOf("slower", "2", slower);
    expect(said.error).toContain(`forked from ${folderOf("run")}, after step 2`);
    expect(trainedOf("slower", 2)).toEqual(trainedOf("run", 2));
    expect(trainedOf("slower", 3)["model.safetensors"]).not.toBe(
      trainedOf("run", 3)["model.safetensors"],
    );
    const { folder } = loadCheckpoint(folderOf("slower"), "last")!;
    const origin = { run: folderOf("run"), step: 2 };
    expect(readManifest(folder)).toMatchObject({ step: 4, forkedFrom: origin });
    expect(readFileSync(join(folderOf("slower"), "config.yaml"), "utf8")).toContain(
      `# Forked from ${folderOf("run")}, after step 2.\n`,
    );
    expect(filesOf(folderOf("run"))).toEqual(before);
  });

  testEqualRuns(
    "that is stopped goes on with or without naming its origin, which may be gone",
    async () => {
      const stopped = { ...slower, training: { ...slower.training, maxSteps: 3 } };
      const run = folderOf("moved");
      cpSync(folderOf("run"), run, { recursive: true });
      await trainReft(stopped, folderOf("stopped"), { fork: `${run}@2` });
      rmSync(run, { recursive: true });
      await trainReft(slower, folderOf("stopped"), { fork: `${run}@2` });
      expect(trainedOf("stopped", 4)).toEqual(trainedOf("slower", 4));
      await trainReft(slower, folderOf("stopped"));
      const refused = trainReft(slower, folderOf("stopped"), { fork: `${run}@3` });
      expect(await userErrorOf(() => refused)).toContain(
        `expected a run forked from ${run}@3, or a new folder for it, found one from ${run}@2`,
      );
    },
  );

  test("can begin at the best and at the last one", async () => {
    const step = loadCheckpoint(folderOf("run"), "best")!.step;
    const short = { ...base, training: { ...base.training, maxSteps: step + 1 } };
    await forkOf("best", "best", short);
    expect(metricsOf(folderOf("best"))[0]!.step).toBe(step);
    const longer = { ...base, training: { ...base.training, maxSteps: 5 } };
    await forkOf("last", "last", longer);
    expect(metricsOf(folderOf("last")).map((line) => line.step)).toEqual([4, 5]);
  });
});

describe("of other stages: a fork with the same settings ends where its run did", () => {
  writeTinySamples(home, problems);
  const keeping = { checkpoint: { everySteps: 1, keep: { every: 1 } } };
  const sft = { ...tinySft(home), ...keeping };
  const adapted: SftConfig = {
    ...{ ...sft, model: { init: folderOf("warmup") } },
    adapter: { rank: 2, alpha: 4, targets: "all" },
  };
  const classifier = { ...tinyRerank(home, folderOf("warmup")), ...keeping };
  testEqualRuns.each([
    ["SFT", (name: string, by: ForkOptions) => trainSft(sft, folderOf(name), by)],
    ["an adapter", (name: string, by: ForkOptions) => trainSft(adapted, folderOf(name), by)],
    [
      "a classifier",
      (name: string, by: ForkOptions) => trainRerank(classifier, folderOf(name), by),
    ],
  ])("%s", async (name, train) => {
    await train(name, {});
    await train(`fork of ${name}`, { fork: `${folderOf(name)}@2` });
    const last = loadCheckpoint(folderOf(name), "last")!.step;
    expect(last).toBeGreaterThan(4);
    for (const step of [2, last])
      expect(trainedOf(`fork of ${name}`, step)).toEqual(trainedOf(name, step));
  });
});

describe("a fork is refused, and nothing is made,", () => {
  const { valueHeadLearningRate: _, ...policyOptimizer } = base.optimizer;
  const { gamma, gaeLambda, valueClipRange, valueCoefficient, valueWarmupSteps, ...clipped } =
    base.ppo;
  const grpo = { ...clipped, advantages: "grpo" as const };
  writeTinyModel(folderOf("other"), problems, { ffnDim: 48 });
  test.each<[string, string, Partial<ReftConfig>, string]>([
    ["for text that names no checkpoint", "first", {}, "fork: expected RUN@STEP, RUN@best or"],
    ["for a step that is not kept", "7", {}, "found none. It keeps those of steps "],
    ["at the end of the run", "4", {}, "expected a checkpoint from before step 4"],
    [
      "without the value head",
      "2",
      { ppo: grpo, optimizer: policyOptimizer },
      'was made with ppo.advantages "gae", but the settings have "grpo"',
    ],
    [
      "with an adapter",
      "2",
      { adapter: { rank: 2, alpha: 4, targets: "all" } },
      'was made with adapter "none", but the settings have',
    ],
    [
      "for a model of another shape",
      "2",
      { model: { init: folderOf("other") } },
      "was made with a model of ffnDim 32, but the settings have 48",
    ],
  ])("%s", async (name, place, changes, message) => {
    const folder = folderOf(`refused ${name}`);
    const run = trainReft({ ...base, ...changes }, folder, { fork: `${folderOf("run")}@${place}` });
    expect(await userErrorOf(() => run)).toContain(message);
    if (place !== "4") expect(existsSync(folder)).toBe(false);
  });

  test("of a run of another stage, of no run, of itself and of one that is damaged", async () => {
    const sft: SftConfig = tinySft(home);
    const errorOf = (place: string, name = "refused") =>
      userErrorOf(() => trainReft(base, folderOf(name), { fork: place }));
    const ofSft = trainSft(sft, folderOf("refused"), { fork: `${folderOf("run")}@2` });
    expect(await userErrorOf(() => ofSft)).toContain('made with stage "reft", but the settings');
    expect(await errorOf(`${home}@2`)).toContain("expected a run's folder, with checkpoints/, at");
    expect(await errorOf(`${folderOf("run")}@2`, "run")).toContain("found one that is no fork");
    const damaged = folderOf("damaged");
    cpSync(folderOf("run"), damaged, { recursive: true });
    rmSync(join(damaged, "checkpoints", "step-000002", "model.safetensors"));
    expect(await errorOf(`${damaged}@2`)).toContain("model.safetensors: missing");
    expect(existsSync(folderOf("refused"))).toBe(false);
  });
});

test("on the command line it needs a folder of its own", async () => {
  const file = join(home, "fork.yaml");
  writeFileSync(file, stringify(base));
  const args = ["--config", file, "--fork", `${folderOf("run")}@3`];
  expect(await main(args, "train-reft")).toBe(1);
  expect(said.stderr).toContain("--output: expected a folder for the run that --fork begins");
  expect(await main([...args, "--output", folderOf("typed")], "train-reft")).toBe(0);
  expect(metricsOf(folderOf("typed")).map((line) => line.step)).toEqual([3, 4]);
});
