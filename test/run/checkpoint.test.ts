import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadCheckpoint, resolveModelFolder, saveCheckpoint } from "../../src/run/checkpoint.ts";
import { checkpointsIn } from "../../src/run/checkpointFiles.ts";
import { logMetrics } from "../../src/run/metrics.ts";
import { openRun, type Run } from "../../src/run/run.ts";
import { type Failure, failingDisk } from "../support/failingDisk.ts";
import { checkpointOf, tinyConfig, userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

/** A run with the given checkpoints; the best ones are marked by a minus sign. */
async function runWith(...steps: number[]): Promise<string> {
  const folder = temporaryFolder();
  using run = openRun(folder, tinyConfig);
  for (const step of steps) await saveCheckpoint(run, checkpointOf(Math.abs(step), step < 0));
  return folder;
}

function checkpointFolders(runFolder: string): string[] {
  return readdirSync(checkpointsIn(runFolder))
    .filter((name) => !name.endsWith(".json"))
    .toSorted();
}

function pointedAt(runFolder: string): string[] {
  const kept = [loadCheckpoint(runFolder, "last")!, loadCheckpoint(runFolder, "best")!];
  return [...new Set(kept.map(({ folder }) => basename(folder)))].toSorted();
}

function damage(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(file, bytes);
}

describe("saveCheckpoint", () => {
  test("gives back state and files", async () => {
    const folder = await runWith(7);
    const checkpoint = loadCheckpoint(folder, "last")!;
    expect(checkpoint.step).toBe(7);
    expect(checkpoint.state).toEqual({ step: 7, rng: [1, 2, 3, 7] });
    expect(readFileSync(join(checkpoint.folder, "model.safetensors"), "utf8")).toBe(
      "weights after step 7",
    );
    expect(loadCheckpoint(folder, "best")).toBeUndefined();
  });

  test("keeps the last and the best and nothing else", async () => {
    const folder = await runWith(1, -2, 3, 4);
    expect(checkpointFolders(folder)).toEqual(["step-000002", "step-000004"]);
    expect(loadCheckpoint(folder, "best")!.step).toBe(2);
    expect(loadCheckpoint(folder, "last")!.step).toBe(4);
  });

  test("takes the same step twice, without touching the first until the second is safe", async () => {
    const folder = await runWith(5, -5);
    expect(checkpointFolders(folder)).toEqual(["step-000005.2"]);
    expect(loadCheckpoint(folder, "best")!.step).toBe(5);
  });

  test("writes the resolved settings with the checkpoint", async () => {
    const { folder } = loadCheckpoint(await runWith(1), "last")!;
    const manifest = JSON.parse(readFileSync(join(folder, "checkpoint.json"), "utf8"));
    expect(manifest.config).toEqual(tinyConfig);
    expect(Object.keys(manifest.files)).toEqual([
      "config.json",
      "model.safetensors",
      "training/optimizer.safetensors",
    ]);
  });

  test.each([
    ["NaN", { best: Number.NaN }, "state.best is NaN"],
    ["an infinity", [Number.NEGATIVE_INFINITY], "state.0 is -Infinity"],
    ["undefined", { a: { b: undefined } }, "state.a.b is undefined"],
    ["a typed array", { rng: new Uint32Array(1) }, "state.rng is not plain data"],
  ])("refuses %s in the state, which would not come back", async (_, state, message) => {
    using run = openRun(temporaryFolder(), tinyConfig);
    const made = { ...checkpointOf(1), state: state as never };
    await expect(saveCheckpoint(run, made)).rejects.toThrow(message);
  });

  test("passes on what its writer throws, and leaves the earlier checkpoint", async () => {
    const folder = await runWith(1);
    using run = openRun(folder, tinyConfig);
    const writeFiles = (inner: string) => {
      writeFileSync(join(inner, "half"), "half");
      throw new Error("expected [2, 2], got [2]");
    };
    await expect(saveCheckpoint(run, { ...checkpointOf(2), writeFiles })).rejects.toThrow(
      "got [2]",
    );
    expect(checkpointFolders(folder)).toEqual(["step-000001"]);
  });

  describe.each<Failure>(["crash", "ENOSPC"])("with a %s at any operation", (failure) => {
    test.each([false, true])(
      "leaves a whole last checkpoint (new one is best: %s)",
      async (isBest) => {
        const seen: string[] = [];
        for (let n = 1; ; n++) {
          const folder = await runWith(-1, 2);
          const disk = failingDisk(n, failure);
          const { failed } = await trySave(folder, disk, 3, isBest);
          if (!failed) break;
          seen.push(disk.failedAt!.split(" ")[0]!);
          if (failure === "ENOSPC") expect(checkpointFolders(folder)).toEqual(pointedAt(folder));
          using run = openRun(folder, tinyConfig);
          expect([2, 3]).toContain(run.resumeFrom?.step);
          expectWhole(run);
          // Nothing is left over, and the run goes on as if nothing had been.
          const best = loadCheckpoint(folder, "best")!;
          expect(isBest ? [1, 3] : [1]).toContain(best.step);
          if (isBest && run.resumeFrom!.step === 3) expect(best.step).toBe(3); // as its state says
          expect(checkpointFolders(folder)).toEqual(pointedAt(folder));
          await saveCheckpoint(run, checkpointOf(3, isBest));
          expect(loadCheckpoint(folder, "last")!.step).toBe(3);
        }
        // 1 sync of nothing logged yet; folders, 3 files, 2 folders, list, rename, pointers, clean-up.
        expect(seen.length).toBeGreaterThanOrEqual(isBest ? 17 : 14);
        expect(new Set(seen)).toEqual(new Set(["makeFolder", "remove", "rename", "sync", "write"]));
      },
    );
  });

  async function trySave(
    folder: string,
    disk: ReturnType<typeof failingDisk>,
    step: number,
    isBest: boolean,
  ) {
    try {
      await saveCheckpoint({ folder, config: tinyConfig, disk }, checkpointOf(step, isBest));
      return { failed: false };
    } catch {
      return { failed: true };
    }
  }

  function expectWhole(run: Run): void {
    const { folder, step } = run.resumeFrom!;
    expect(checkpointOf(step).state).toEqual(run.resumeFrom!.state);
    expect(readFileSync(join(folder, "model.safetensors"), "utf8")).toBe(
      `weights after step ${step}`,
    );
  }

  test("says that the disk is full, what is safe, and how to go on", async () => {
    const folder = await runWith(2);
    const writeFiles = () => {
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    };
    using run = openRun(folder, tinyConfig);
    const message = await userErrorOf(() =>
      saveCheckpoint(run, { ...checkpointOf(3), writeFiles }),
    );
    expect(message).toBe(
      "could not write the checkpoint of step 3: ENOSPC: no space left on device, write: free some space and try again. " +
        "The checkpoint of step 2 is intact: the same command goes on from it.",
    );
    expect(checkpointFolders(folder)).toEqual(["step-000002"]);
  });

  const canMount =
    spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;

  test.skipIf(!canMount)(
    "keeps the checkpoints it has on a disk that is really full (unshare)",
    async () => {
      const folder = temporaryFolder();
      const script =
        'mount -t tmpfs -o size=1m tmpfs "$1" && node --import tsx test/support/saveForever.ts "$1/run" x2:10000; ' +
        'rc=$?; cp -r "$1/run" "$2"; exit $rc';
      const disk = join(folder, "disk");
      const copy = join(folder, "copy");
      mkdirSync(disk);
      const child = spawnSync("unshare", ["-rm", "sh", "-c", script, "sh", disk, copy], {
        encoding: "utf8",
      });
      expect(child.status).toBe(1);
      const safe = Number(child.stdout.trim().split("\n").at(-1));
      expect(safe).toBeGreaterThanOrEqual(3);
      expect(child.stderr).toContain(`could not write the checkpoint of step ${safe + 1}`);
      expect(child.stderr).toContain("ENOSPC: no space left on device");
      expect(child.stderr).toContain(`The checkpoint of step ${safe} is intact`);
      expect(loadCheckpoint(copy, "last")!.step).toBe(safe);
    },
  );

  test("loses nothing that was reported safe when the process is killed", async () => {
    const folder = join(temporaryFolder(), "run");
    let safe = 0;
    for (let round = 0; round < 4; round++) {
      const child = spawn("node", ["--import", "tsx", "test/support/saveForever.ts", folder]);
      const steps: number[] = [];
      const errors: string[] = [];
      let isDoomed = false;
      child.stderr.on("data", (text) => errors.push(String(text)));
      await new Promise<void>((resolve) => {
        child.stdout.on("data", (text) => {
          steps.push(...String(text).trim().split("\n").map(Number));
          if (isDoomed || steps.length < round + 2) return; // several steps may come at once
          isDoomed = true;
          setTimeout(() => child.kill("SIGKILL"), 3 * round);
        });
        child.on("close", () => resolve());
      });
      expect(errors.join("")).toMatch(/^checkpoint of step \d+\n$/);
      expect(steps[0]).toBeGreaterThan(safe);
      safe = steps.at(-1)!;
      const { step } = loadCheckpoint(folder, "last")!;
      expect([safe, safe + 1]).toContain(step);
      safe = step;
    }
    using run = openRun(folder, tinyConfig); // the lock of the killed process is taken over
    expect(run.resumeFrom!.step).toBe(safe);
    const lines = readFileSync(join(folder, "metrics.jsonl"), "utf8").trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).step)).toEqual(
      Array.from({ length: safe }, (_, i) => i + 1),
    );
  });
});

describe("loadCheckpoint", () => {
  test.each(["model.safetensors", "training/optimizer.safetensors", "checkpoint.json"])(
    "names %s when one bit of it changed, and the checkpoint to use instead",
    async (name) => {
      const folder = await runWith(-1, 2);
      const file = join(checkpointsIn(folder), "step-000002", name);
      damage(file);
      const message = await userErrorOf(() => loadCheckpoint(folder, "last"));
      expect(message).toContain(`${file}: damaged: expected SHA-256 `);
      expect(message).toContain(
        `The best checkpoint, of step 1, is intact (${join(checkpointsIn(folder), "step-000001")})`,
      );
    },
  );

  test("goes on from the other checkpoint when the user does what the message says", async () => {
    const folder = await runWith(-1, 2);
    damage(join(checkpointsIn(folder), "step-000002", "model.safetensors"));
    expect(await userErrorOf(() => openRun(folder, tinyConfig))).toContain("best.json over");
    copyFileSync(
      join(checkpointsIn(folder), "best.json"),
      join(checkpointsIn(folder), "last.json"),
    );
    using run = openRun(folder, tinyConfig);
    expect(run.resumeFrom!.step).toBe(1);
  });

  test("tells a file cut short and a missing file from a changed one", async () => {
    const folder = await runWith(1);
    const file = join(checkpointsIn(folder), "step-000001", "model.safetensors");
    appendFileSync(file, "!");
    expect(await userErrorOf(() => loadCheckpoint(folder, "last"))).toContain(
      `${file}: damaged: expected 20 bytes, found 21. The run has no other checkpoint`,
    );
    rmSync(file);
    expect(await userErrorOf(() => loadCheckpoint(folder, "last"))).toContain(`${file}: missing`);
  });

  test("says when the other checkpoint is damaged as well", async () => {
    const folder = await runWith(-1, 2);
    for (const step of ["step-000001", "step-000002"])
      damage(join(checkpointsIn(folder), step, "model.safetensors"));
    const message = await userErrorOf(() => loadCheckpoint(folder, "last"));
    expect(message).toMatch(/step-000002.*The best checkpoint is no help, .*step-000001/s);
  });

  test("refuses a pointer that is not ours", async () => {
    const folder = await runWith(1);
    const pointer = join(checkpointsIn(folder), "last.json");
    writeFileSync(pointer, '{"step":1,"folder":"../../x","manifestSha256":""}');
    expect(await userErrorOf(() => loadCheckpoint(folder, "last"))).toContain(
      `${pointer}: damaged`,
    );
  });
});

describe("resolveModelFolder", () => {
  test("takes a run's best checkpoint, else its last", async () => {
    const best = await runWith(-1, 2);
    expect(resolveModelFolder(best)).toBe(join(checkpointsIn(best), "step-000001"));
    const last = await runWith(1, 2);
    expect(resolveModelFolder(last)).toBe(join(checkpointsIn(last), "step-000002"));
    expect(resolveModelFolder(join(last, "step-000002"))).toBe(resolveModelFolder(last));
  });

  test("takes a checkpoint, and a folder with a config.json as it is", async () => {
    const checkpoint = join(checkpointsIn(await runWith(1)), "step-000001");
    expect(resolveModelFolder(checkpoint)).toBe(checkpoint);
    const model = temporaryFolder();
    writeFileSync(join(model, "config.json"), "{}");
    expect(resolveModelFolder(model)).toBe(model);
  });

  test("refuses a damaged model, but does not read what only training needs", async () => {
    const checkpoint = join(checkpointsIn(await runWith(1)), "step-000001");
    damage(join(checkpoint, "training", "optimizer.safetensors"));
    expect(resolveModelFolder(checkpoint)).toBe(checkpoint);
    damage(join(checkpoint, "model.safetensors"));
    expect(await userErrorOf(() => resolveModelFolder(checkpoint))).toContain(
      "damaged: expected SHA-256",
    );
  });

  test("says what is missing", async () => {
    const folder = temporaryFolder();
    expect(await userErrorOf(() => resolveModelFolder(join(folder, "no")))).toContain(
      "found nothing there",
    );
    expect(await userErrorOf(() => resolveModelFolder(folder))).toContain(
      `${folder}: expected a model's folder`,
    );
    expect(await userErrorOf(async () => resolveModelFolder(await runWith()))).toContain(
      "has no checkpoint yet",
    );
  });
});

test("logMetrics is on the disk with the checkpoint that follows it", async () => {
  const synced: string[] = [];
  const folder = temporaryFolder();
  using run = openRun(folder, tinyConfig);
  const sync = (path: string) => {
    synced.push(path);
    run.disk.sync(path);
  };
  const disk = { ...run.disk, sync };
  logMetrics(run, { step: 1, epoch: 0 }, {});
  await saveCheckpoint({ ...run, disk }, checkpointOf(1));
  expect(synced).toContain(join(folder, "metrics.jsonl"));
});
