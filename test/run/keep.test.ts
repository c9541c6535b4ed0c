// Which checkpoints a run keeps besides the best and the last one, and that no other one is lost on the way.
import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfig, parseOverride } from "../../src/config.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/run/checkpoint.ts";
import { checkpointsIn, damageOf, parseName } from "../../src/run/checkpointFiles.ts";
import { keptBy } from "../../src/run/keep.ts";
import { openRun } from "../../src/run/run.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { failingDisk } from "../support/failingDisk.ts";
import { checkpointOf, tinyConfig, userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

captureOutput();

function configWith(...overrides: string[]) {
  const set = ["checkpoint.everySteps=1", ...overrides].map(parseOverride);
  return loadConfig("reft", "configs/tiny/reft.yaml", set);
}
const keeping = configWith("checkpoint.keep={ last: 2, every: 4 }");

const stepsIn = (folder: string) =>
  readdirSync(checkpointsIn(folder))
    .flatMap((name) => parseName(name)?.step ?? [])
    .toSorted((a, b) => a - b);

/** Saves every step up to one, step 3 as the best. */
async function save(folder: string, until: number, config = keeping): Promise<void> {
  using run = openRun(folder, config);
  for (let step = (run.resumeFrom?.step ?? 0) + 1; step <= until; step++)
    await saveCheckpoint(run, checkpointOf(step, step === 3));
}

describe("keptBy", () => {
  const folders = ["step-000000", "step-000005", "step-000010", "step-000010.2", "step-000012"].map(
    (name) => parseName(name)!,
  );
  test.each([
    [undefined, []],
    [{ last: 1 }, ["step-000012"]],
    [{ last: 2 }, ["step-000012", "step-000010.2"]],
    [{ every: 5 }, ["step-000010.2", "step-000005"]],
    [{ last: 1, every: 10 }, ["step-000012", "step-000010.2"]],
  ])("%o", (keep, names) => {
    expect(keptBy(keep, folders, folders.at(-1)!)).toEqual(names);
  });

  test("does not count what is newer than the last one", () => {
    expect(keptBy({ last: 1 }, folders, folders[1]!)).toEqual(["step-000005"]);
  });
});

test("keeps the best, the newest and every so many steps, also when it is opened again", async () => {
  const folder = temporaryFolder();
  await save(folder, 10);
  expect(stepsIn(folder)).toEqual([3, 4, 8, 9, 10]);
  for (const name of ["last.json", "best.json"]) rmSync(join(checkpointsIn(folder), name));
  openRun(folder, keeping)[Symbol.dispose]();
  expect(stepsIn(folder)).toEqual([3, 4, 8, 9, 10]);
  expect(loadCheckpoint(folder, "best")!.step).toBe(3);
});

test("a run that goes on may keep others, or none", async () => {
  const folder = temporaryFolder();
  await save(folder, 10);
  await save(folder, 11, configWith("checkpoint.keep={ every: 4 }"));
  expect(stepsIn(folder)).toEqual([3, 4, 8, 11]);
  await save(folder, 12, configWith());
  expect(stepsIn(folder)).toEqual([3, 12]);
});

test("a crash at any operation of a save loses none of them, and leaves none over in the end", async () => {
  const before = temporaryFolder();
  await save(before, 9);
  for (let n = 1; ; n++) {
    const folder = temporaryFolder();
    cpSync(before, folder, { recursive: true });
    const disk = failingDisk(n, "crash");
    const owner = { folder, config: keeping, disk };
    const failed = await saveCheckpoint(owner, checkpointOf(10)).then(
      () => false,
      () => true,
    );
    expect(stepsIn(folder)).toEqual(expect.arrayContaining([3, 4, 8, 9]));
    for (const step of [3, 4, 8, 9])
      expect(damageOf(join(checkpointsIn(folder), `step-00000${step}`))).toBeUndefined();
    await save(folder, 10);
    expect(stepsIn(folder)).toEqual([3, 4, 8, 9, 10]);
    if (!failed) {
      expect(n).toBeGreaterThan(10);
      break;
    }
  }
});

test("a rule that keeps nothing is refused", async () => {
  const mistakeOf = (...overrides: string[]) => userErrorOf(() => configWith(...overrides));
  expect(await mistakeOf("checkpoint.keep={}")).toContain('expected "last" or "every"');
  expect(await mistakeOf("checkpoint.everySteps=30", "checkpoint.keep.every=100")).toContain(
    "checkpoint.keep.every: expected a multiple of checkpoint.everySteps = 30, at which there are checkpoints, found 100",
  );
  const sft = () =>
    loadConfig("sft", "configs/tiny/warmup.yaml", [parseOverride("checkpoint.keep.every=100")]);
  expect(await userErrorOf(sft)).toContain("expected none with checkpoint.everySteps null");
  expect(tinyConfig.checkpoint).not.toHaveProperty("keep");
});
