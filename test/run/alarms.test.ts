// Alarms in a run's folder: kept as metrics.jsonl is, whenever the run was stopped.
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nodeDisk } from "../../src/formats/disk.ts";
import { raiseAlarm, stopsRun } from "../../src/run/alarms.ts";
import { saveCheckpoint } from "../../src/run/checkpoint.ts";
import { logMetrics } from "../../src/run/metrics.ts";
import { openRun } from "../../src/run/run.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { checkpointOf, tinyConfig, userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const said = captureOutput();
const alarm = { name: "test", figures: { "test/loss": Number.NaN }, message: "it is odd" };
const alarmsIn = (folder: string) => join(folder, "alarms.jsonl");

/** Steps of a run that saves at every third and warns at every even one; ends after `until` as a crash would. */
async function train(folder: string, until: number): Promise<void> {
  using run = openRun(folder, tinyConfig);
  for (let step = (run.resumeFrom?.step ?? 0) + 1; step <= until; step++) {
    if (step % 2 === 0) raiseAlarm(run, step, alarm);
    logMetrics(run, { step, epoch: step }, {});
    if (step % 3 === 0) await saveCheckpoint(run, checkpointOf(step));
  }
}

test("are said in full and kept, one line each", async () => {
  const folder = temporaryFolder();
  await train(folder, 2);
  expect(said.error).toBe("warning: step 2: it is odd");
  expect(JSON.parse(readFileSync(alarmsIn(folder), "utf8"))).toEqual({
    ...{ step: 2, name: "test", figures: { "test/loss": "NaN" }, message: "it is odd" },
  });
});

test("are those of a run that was never stopped, wherever it was stopped, a line that was cut off included", async () => {
  const straight = temporaryFolder();
  await train(straight, 8);
  for (const stop of [1, 2, 3, 4, 5, 7]) {
    const folder = temporaryFolder();
    await train(folder, stop);
    appendFileSync(alarmsIn(folder), '{"step":8,"na');
    await train(folder, 8);
    expect(readFileSync(alarmsIn(folder), "utf8")).toBe(readFileSync(alarmsIn(straight), "utf8"));
  }
});

test("are on the device before a checkpoint says that their step is done", async () => {
  const operations: string[] = [];
  const disk = {
    ...nodeDisk,
    sync: (path: string) => operations.push(`sync ${path}`),
    makeFolder: (path: string) => {
      operations.push(`folder ${path}`);
      nodeDisk.makeFolder(path);
    },
  };
  const folder = temporaryFolder();
  using run = openRun(folder, tinyConfig, disk);
  operations.length = 0;
  raiseAlarm(run, 1, alarm);
  await saveCheckpoint(run, checkpointOf(1));
  expect(operations[0]).toBe(`sync ${alarmsIn(folder)}`);
});

test("a damaged line among those that are kept is refused, and nothing is changed", async () => {
  const folder = temporaryFolder();
  await train(folder, 6);
  const lines = readFileSync(alarmsIn(folder), "utf8").split("\n");
  const damaged = ["?", ...lines.slice(1)].join("\n");
  writeFileSync(alarmsIn(folder), damaged);
  expect(await userErrorOf(() => openRun(folder, tinyConfig))).toContain(
    "alarms.jsonl:1: expected an alarm of step 6 or before, because one follows",
  );
  expect(readFileSync(alarmsIn(folder), "utf8")).toBe(damaged);
});

test("what stops a run is kept, too, and its error says what is safe and what to do", async () => {
  const folder = temporaryFolder();
  await train(folder, 3);
  using run = openRun(folder, tinyConfig);
  const error = stopsRun(run, 4, alarm, "Do something");
  expect(error.message).toBe("step 4: it is odd. The checkpoint of step 3 is intact. Do something");
  expect(readFileSync(alarmsIn(folder), "utf8")).toContain('{"step":4,"name":"test"');
});
