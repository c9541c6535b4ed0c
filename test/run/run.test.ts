import { spawn } from "node:child_process";
import {
  type BigIntStats,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test, vi } from "vitest";
import { loadConfig, parseOverride } from "../../src/config.ts";
import { saveCheckpoint } from "../../src/run/checkpoint.ts";
import { takeLock } from "../../src/run/lock.ts";
import { logMetrics, writeCalibration, writeSamples } from "../../src/run/metrics.ts";
import { blockingDifferences, defaultRunFolder, openRun } from "../../src/run/run.ts";
import { failingDisk } from "../support/failingDisk.ts";
import { checkpointOf, tinyConfig, userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { makeZombie } from "../support/zombie.ts";

/** The folder of a run that has a checkpoint and is closed. */
async function runWithCheckpoint(): Promise<string> {
  const folder = temporaryFolder();
  using run = openRun(folder, tinyConfig);
  await saveCheckpoint(run, checkpointOf(1, true));
  return folder;
}

function tinyWith(...overrides: string[]) {
  return loadConfig("reft", "configs/tiny/reft.yaml", overrides.map(parseOverride));
}

/** The records of a run, without the time of day. */
function records(folder: string) {
  const lines = readFileSync(join(folder, "metrics.jsonl"), "utf8").split("\n").slice(0, -1);
  const metrics = lines.map((line) => ({ ...JSON.parse(line), time: "" }));
  const filesOf = (kind: string) =>
    readdirSync(join(folder, kind)).map((name) => [
      name,
      readFileSync(join(folder, kind, name), "utf8"),
    ]);
  return { metrics, samples: filesOf("samples"), calibration: filesOf("calibration") };
}

/** Steps of a run that saves at every third, as a recipe would make them; ends after `until` as a crash would. */
async function train(folder: string, until: number): Promise<void> {
  using run = openRun(folder, tinyConfig);
  for (let step = (run.resumeFrom?.step ?? 0) + 1; step <= until; step++) {
    logMetrics(run, { step, epoch: step / 4 }, { "ppo/policyLoss": 1 / step });
    writeSamples(run, step, [{ question: `${step}`, outcome: { kind: "answer", value: step } }]);
    writeCalibration(run, step, [{ from: 0, to: 1, count: step }]);
    if (step % 3 === 0) await saveCheckpoint(run, checkpointOf(step));
  }
}

describe("openRun", () => {
  test("makes the folder with the resolved settings, which load again", () => {
    const folder = join(temporaryFolder(), "a", "b");
    using run = openRun(folder, tinyConfig);
    expect(run.resumeFrom).toBeUndefined();
    expect(loadConfig("reft", join(folder, "config.yaml"))).toEqual(tinyConfig);
  });

  test("leaves the records of a run that was never stopped, wherever it was stopped", async () => {
    const straight = temporaryFolder();
    await train(straight, 8);
    for (const stop of [1, 2, 3, 5, 7]) {
      const stopped = temporaryFolder();
      await train(stopped, stop);
      await train(stopped, 8);
      expect(records(stopped)).toEqual(records(straight));
    }
  });

  test("drops a line and a sample file that a crash cut off", async () => {
    const folder = temporaryFolder();
    await train(folder, 3);
    const before = records(folder);
    writeFileSync(join(folder, "metrics.jsonl"), '{"step":4,"ep', { flag: "a" });
    writeFileSync(join(folder, "samples", ".step-000004.jsonl.tmp"), '{"quest');
    writeFileSync(join(folder, "calibration", "step-000004.jsonl"), '{"from":0}\n');
    await train(folder, 3);
    expect(records(folder)).toEqual(before);
  });

  test("refuses other settings, and lists them", async () => {
    const folder = await runWithCheckpoint();
    const changed = tinyWith("ppo.gamma=0.9", "training.epochs=3");
    expect(await userErrorOf(() => openRun(folder, changed))).toBe(
      `${folder}: this run was made with other settings:\n` +
        "  ppo.gamma: was 1, is now 0.9\n  training.epochs: was 4, is now 3\n" +
        "Give the same settings to go on, or another folder to start anew.",
    );
    using run = openRun(folder, tinyConfig); // the refused start holds no lock and changed nothing
    expect(run.config).toBe(tinyConfig);
  });

  test.each([
    ["broken", "seed: [", /config\.yaml:1: /],
    ["missing", undefined, /config\.yaml: expected a readable YAML file/],
  ])("says that its own settings are %s", async (_, text, message) => {
    const folder = await runWithCheckpoint();
    const path = join(folder, "config.yaml");
    if (text === undefined) rmSync(path);
    else writeFileSync(path, text);
    expect(await userErrorOf(() => openRun(folder, tinyConfig))).toMatch(message);
  });

  test("takes other settings as long as there is no checkpoint", () => {
    const folder = temporaryFolder();
    openRun(folder, tinyConfig)[Symbol.dispose]();
    const changed = tinyWith("ppo.gamma=0.9");
    openRun(folder, changed)[Symbol.dispose]();
    expect(loadConfig("reft", join(folder, "config.yaml"))).toEqual(changed);
  });

  test("lets a run become longer, and remembers it", async () => {
    const folder = await runWithCheckpoint();
    const longer = tinyWith("training.epochs=5", "training.maxSteps=null");
    openRun(folder, longer)[Symbol.dispose]();
    expect(loadConfig("reft", join(folder, "config.yaml"))).toEqual(longer);
    expect(await userErrorOf(() => openRun(folder, tinyConfig))).toContain("was 5, is now 4");
  });

  test("refuses a folder that holds something else", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "thesis.tex"), "");
    expect(await userErrorOf(() => openRun(folder, tinyConfig))).toContain('found "thesis.tex"');
    expect(readdirSync(folder)).toEqual(["thesis.tex"]);
  });

  test("says that a path is a file", async () => {
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    expect(await userErrorOf(() => openRun(join(file, "run"), tinyConfig))).toContain("ENOTDIR");
  });

  test("starts after a crash at any operation of its first start", () => {
    for (let n = 1; ; n++) {
      const folder = join(temporaryFolder(), "run");
      const disk = failingDisk(n, "crash");
      try {
        openRun(folder, tinyConfig, disk)[Symbol.dispose]();
      } catch {
        openRun(folder, tinyConfig)[Symbol.dispose]();
        continue;
      }
      expect(n).toBeGreaterThan(3);
      break;
    }
  });
});

describe("the lock of a run", () => {
  test("keeps a second process out and names the first", async () => {
    const folder = temporaryFolder();
    using _run = openRun(folder, tinyConfig);
    expect(await userErrorOf(() => openRun(folder, tinyConfig))).toContain(
      `run.lock: in use by process ${process.pid}`,
    );
  });

  test("is given back", () => {
    const folder = temporaryFolder();
    openRun(folder, tinyConfig)[Symbol.dispose]();
    expect(readdirSync(folder).filter((name) => name.includes("lock"))).toEqual([]);
    openRun(folder, tinyConfig)[Symbol.dispose]();
  });

  test.each([
    ["whose process is dead", { pid: 2 ** 22 + 1, started: "1" }],
    ["whose process id now belongs to another process", { pid: process.pid, started: "1" }],
  ])("is taken over from a holder %s", (_, holder) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "run.lock"), JSON.stringify({ ...holder, host: hostname() }));
    using _run = openRun(folder, tinyConfig);
    expect(JSON.parse(readFileSync(join(folder, "run.lock"), "utf8")).pid).toBe(process.pid);
  });

  test.each([
    [
      "on another machine",
      JSON.stringify({ pid: 1, host: "elsewhere", started: "1" }),
      "on elsewhere",
    ],
    ["of unknown form", "?", "delete it"],
  ])("is not taken over from a holder %s", async (_, text, message) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "run.lock"), text);
    expect(await userErrorOf(() => openRun(folder, tinyConfig))).toContain(message);
    expect(readFileSync(join(folder, "run.lock"), "utf8")).toBe(text);
  });

  test("is taken over from a holder that was killed, but is still listed for its parent", async () => {
    using zombie = await makeZombie();
    const { pid, started } = zombie;
    const folder = temporaryFolder();
    writeFileSync(join(folder, "run.lock"), JSON.stringify({ pid, started, host: hostname() }));
    using _run = openRun(folder, tinyConfig);
    expect(JSON.parse(readFileSync(join(folder, "run.lock"), "utf8")).pid).toBe(process.pid);
  });

  test.each([
    ["a link to nothing", (path: string) => symlinkSync("nowhere", path)],
    ["a folder", (path: string) => mkdirSync(path)],
  ])("is refused where %s stands in its place", async (_, make) => {
    const folder = temporaryFolder();
    make(join(folder, "run.lock"));
    expect(await userErrorOf(() => openRun(folder, tinyConfig))).toContain(
      "run.lock: expected a lock with its holder, found something else",
    );
  });

  const stale = JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), started: "1" });

  test("that another process has taken since it was found stale stays in its place", () => {
    const folder = temporaryFolder();
    const [lock, taken] = [join(folder, "run.lock"), join(folder, "taken")];
    writeFileSync(lock, stale);
    let before: BigIntStats | undefined;
    using kill = vi.spyOn(process, "kill").mockImplementationOnce(() => {
      takeLock(taken); // meanwhile another start takes the lock over: this process stands for it
      renameSync(taken, lock);
      before = statSync(lock, { bigint: true });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20); // longer than a tick of the file system's clock
      throw Object.assign(new Error(), { code: "ESRCH" });
    });
    expect(() => takeLock(lock)).toThrow(`run.lock: in use by process ${process.pid}`);
    expect(kill).toHaveBeenCalled();
    expect(statSync(lock, { bigint: true }).ctimeNs).toBe(before!.ctimeNs); // not even moved aside and back
  });

  test("is left to another process that is taking it over", () => {
    const lock = join(temporaryFolder(), "run.lock");
    writeFileSync(lock, stale);
    const giveBack = takeLock(`${lock}.takeover`);
    expect(() => takeLock(lock)).toThrow(`in use by process ${process.pid}`);
    expect(readFileSync(lock, "utf8")).toBe(stale);
    giveBack();
    takeLock(lock)();
  });

  test("is taken over also after a crash in a takeover", () => {
    const folder = temporaryFolder();
    const lock = join(folder, "run.lock");
    for (const path of [lock, `${lock}.takeover`]) writeFileSync(path, stale);
    takeLock(lock)();
    expect(readdirSync(folder)).toEqual([]);
    writeFileSync(`${lock}.takeover`, stale); // the crash came when the lock was given back already
    takeLock(lock)();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("goes to exactly one of several processes that find a stale one at the same moment", async () => {
    // Each says when it is up; told a folder and a moment, it tries. It stays until its input ends.
    const script = `
      import { takeLock } from "./src/run/lock.ts";
      console.log("up");
      process.stdin.on("data", (line) => {
        const { folder, moment } = JSON.parse(line);
        while (Date.now() < moment);
        try { takeLock(folder + "/run.lock"); console.log("taken") } catch (e) { console.log(e.name) }
      });`;
    const children = Array.from({ length: 4 }, () => {
      const child = spawn("node", ["--import", "tsx", "--input-type=module", "-e", script]);
      const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
      return { child, nextLine: async () => (await lines.next()).value };
    });
    const nextLines = () => Promise.all(children.map(({ nextLine }) => nextLine()));
    expect(await nextLines()).toEqual(["up", "up", "up", "up"]);
    for (let round = 0; round < 20; round++) {
      const folder = temporaryFolder();
      writeFileSync(join(folder, "run.lock"), stale);
      const line = JSON.stringify({ folder, moment: Date.now() + 30 });
      for (const { child } of children) child.stdin.write(line);
      const outcomes = (await nextLines()).toSorted();
      expect(outcomes).toEqual(["UserError", "UserError", "UserError", "taken"]);
    }
    for (const { child } of children) child.stdin.end();
  });
});

describe("blockingDifferences", () => {
  const before = {
    training: { epochs: 2, maxSteps: 10 },
    evaluation: { questions: 100, everySteps: 5 },
    model: { init: "a" },
    ppo: { gamma: 1 },
  };

  test.each([
    ["training", { epochs: 3, maxSteps: 10 }, []],
    ["training", { epochs: 2, maxSteps: null }, []],
    ["training", { epochs: 2, maxSteps: 9 }, ["training.maxSteps: was 10, is now 9"]],
    ["evaluation", { questions: null, everySteps: 6 }, []],
    ["evaluation", { questions: 100, everySteps: 4 }, ["evaluation.everySteps: was 5, is now 4"]],
    ["ppo", { gamma: 2 }, ["ppo.gamma: was 1, is now 2"]],
    ["ppo", { gamma: 1, new: 1 }, ["ppo.new: was not set, is now 1"]],
    ["precision", "float32", []], // of a run from before there was a choice
    ["data.prompt", "paper", []],
    ["data.prompt", "chat", ['data.prompt: was not set, is now "chat"']],
    ["precision", "bf16", ['precision: was not set, is now "bf16"']],
    ["model", {}, ['model.init: was "a", is now not set']],
    ["logging", { tensorboard: true, rollouts: { everySteps: 2, questions: 1 } }, []],
  ])("of %s changed to %j", (section, value, expected) => {
    expect(blockingDifferences(before, { ...before, [section]: value })).toEqual(expected);
  });
});

describe("logMetrics", () => {
  test("writes one line with step, epoch, time and the figures, NaN as text", () => {
    const folder = temporaryFolder();
    using run = openRun(folder, tinyConfig);
    logMetrics(run, { step: 3, epoch: 0.5 }, { "kl/reference": 0.25, "ppo/loss": Number.NaN });
    const line = JSON.parse(readFileSync(join(folder, "metrics.jsonl"), "utf8"));
    expect(line).toEqual({
      step: 3,
      epoch: 0.5,
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      "kl/reference": 0.25,
      "ppo/loss": "NaN",
    });
  });

  test("says that the disk is full", async () => {
    using run = openRun(temporaryFolder(), tinyConfig);
    const full = { ...run, disk: failingDisk(1, "ENOSPC") };
    const message = await userErrorOf(() => logMetrics(full, { step: 1, epoch: 0 }, {}));
    expect(message).toContain("free some space and try again");
  });
});

describe("writeSamples", () => {
  test("leaves no half file on a full disk", async () => {
    const folder = temporaryFolder();
    using run = openRun(folder, tinyConfig);
    for (const n of [1, 2, 3]) {
      const full = { ...run, disk: failingDisk(n, "ENOSPC") };
      expect(await userErrorOf(() => writeSamples(full, 1, [{ a: 1 }]))).toContain(
        "free some space",
      );
      expect(existsSync(join(folder, "samples", "step-000001.jsonl"))).toBe(false);
    }
  });

  test("writes one line per sample", () => {
    const folder = temporaryFolder();
    using run = openRun(folder, tinyConfig);
    writeSamples(run, 12, [{ text: "a\nb" }, { text: "c" }]);
    const text = readFileSync(join(folder, "samples", "step-000012.jsonl"), "utf8");
    expect(text).toBe('{"text":"a\\nb"}\n{"text":"c"}\n');
    rmSync(join(folder, "samples"), { recursive: true });
  });
});

test.each([
  ["configs/tiny/reft.yaml", "runs/tiny-reft"],
  ["/home/me/exp/sft.yml", "runs/exp-sft"],
  ["mine.yaml", "runs/mine"],
])("defaultRunFolder(%s) is %s", (file, folder) => {
  expect(defaultRunFolder(file)).toBe(folder);
});
