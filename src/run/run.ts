// One run is one folder: config.yaml (resolved), metrics.jsonl, samples/, checkpoints/. Opening it again goes on.
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { stringify } from "yaml";
import type { Config } from "../config.ts";
import { show, UserError } from "../errors.ts";
import { type Disk, noDisk, nodeDisk, replaceFile } from "../formats/disk.ts";
import { fromLeader, gather } from "../ranks.ts";
import { readSettings } from "../settings.ts";
import { version } from "../setup.ts";
import { say } from "../terminal.ts";
import type { Checkpoint, CheckpointOwner } from "./checkpoint.ts";
import { checkpointsIn, stepFolders } from "./checkpointFiles.ts";
import { checkOrigin, findFork, type Origin } from "./fork.ts";
import { takeLock } from "./lock.ts";
import { checkMetrics, dropRecordsAfter, metricsIn } from "./metrics.ts";
import { findResumption, type Resumption, settleCheckpoints } from "./resume.ts";

export interface Run<C extends Config = Config> {
  readonly folder: string;
  readonly config: C;
  readonly disk: Disk;
  /** Where to go on; undefined at the start. At the start of a fork another run's checkpoint, without that one's state. */
  readonly resumeFrom: Checkpoint | undefined;
  /** Whether resumeFrom is another run's. */
  readonly startsFork: boolean;
  readonly forkedFrom?: Origin | undefined;
  /** Gives the folder back to other processes. */
  [Symbol.dispose](): void;
}

/**
 * Makes a run's folder, or opens it to go on from its newest whole checkpoint: records of later steps are dropped, so that
 * the files end up as those of a run that was never stopped. Hold it with `using`.
 *
 * Of several ranks the first one has the folder; the others know where to go on, and write nothing.
 *
 * @param fork of ForkOptions; where the folder has a checkpoint already, the run goes on from that
 * @throws UserError when another process uses the folder, when it holds something else, when it was made with other
 * settings, or when something is damaged or missing and the user has to decide; nothing in the folder is then changed
 */
export function openRun<C extends Config>(
  folder: string,
  config: C,
  disk: Disk = nodeDisk,
  fork?: string,
): Run<C> {
  checkAgreement("settings", { version: version(), ...config });
  let own: Run<C> | undefined;
  const opened = fromLeader(() => {
    own = openFolder(folder, config, disk, fork);
    const { resumeFrom, startsFork, forkedFrom } = own;
    return { resumeFrom, startsFork, forkedFrom };
  });
  return own ?? { folder, config, disk: noDisk, ...opened, [Symbol.dispose]: () => {} };
}

function openFolder<C extends Config>(
  folder: string,
  config: C,
  disk: Disk,
  fork: string | undefined,
): Run<C> {
  assertRunOrEmpty(folder);
  const isNew = stepFolders(folder).length === 0;
  const source = fork !== undefined && isNew ? findFork(fork, config) : undefined;
  disk.makeFolder(checkpointsIn(folder));
  const unlock = takeLock(join(folder, "run.lock"));
  try {
    const resumption = findResumption(folder);
    const forkedFrom = resumption?.manifest.forkedFrom ?? source?.origin;
    const run = { folder, config, disk, ...(forkedFrom && { forkedFrom }) };
    const resumeFrom = resumption?.checkpoint ?? source?.checkpoint;
    if (resumption !== undefined) {
      if (fork !== undefined) checkOrigin(folder, forkedFrom, fork);
      checkSettings(run, resumption);
      checkMetrics(folder, resumption.checkpoint.step);
    }
    for (const note of resumption?.notes ?? []) say(note);
    if (resumption === undefined && existsSync(metricsIn(folder)))
      say(`${checkpointsIn(folder)} holds no checkpoint: starting at the first step again`);
    if (resumption === undefined && source)
      say(`forked from ${source.origin.run}, after step ${source.origin.step}`);
    settleCheckpoints(run, resumption);
    writeConfig(run);
    dropRecordsAfter(run, resumption?.checkpoint.step ?? -1);
    const startsFork = resumption === undefined && source !== undefined;
    return { ...run, resumeFrom, startsFork, [Symbol.dispose]: unlock };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** The folder of a run that got no --output: `configs/tiny/reft.yaml` gives `runs/tiny-reft`. */
export function defaultRunFolder(configFile: string): string {
  const stage = basename(configFile).replace(/\.ya?ml$/, "");
  const experiment = basename(dirname(configFile));
  return join("runs", experiment === "" || experiment === "." ? stage : `${experiment}-${stage}`);
}

/** A setting that is not what it was; undefined where it is or was not set. */
export interface Difference {
  readonly path: string;
  readonly before: unknown;
  readonly now: unknown;
}

/**
 * Every setting by its path (`ppo.gamma`) that two sets of settings do not have in common. What had no precision yet was float32,
 * and what has no prompt has the paper's.
 */
export function differences(before: unknown, now: unknown): Difference[] {
  const old = settingsByPath(before);
  const fresh = settingsByPath(now);
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .map((path) => ({ path, before: old.get(path), now: fresh.get(path) }))
    .filter(({ before, now }) => before !== now)
    .filter(
      ({ path, before, now }) => !(/\bprecision$/.test(path) && (before ?? "float32") === now),
    )
    .filter(
      ({ path, before, now }) =>
        !(path === "data.prompt" && (before ?? "paper") === (now ?? "paper")),
    );
}

/**
 * @param what it is, for the message
 * @throws UserError when one of the ranks has been given something else than the first one
 */
export function checkAgreement(what: string, own: object): void {
  const [first, ...others] = gather([own]);
  const text = (value: unknown) => (value === undefined ? "none" : JSON.stringify(value));
  others.forEach((other, i) => {
    const found = differences(first, other);
    if (found.length > 0)
      throw new UserError(
        `expected the same ${what} on all ranks, found others on rank ${i + 1} than on rank 0:\n` +
          found
            .map(
              ({ path, before, now }) =>
                `  ${path}: ${text(before)}, rank ${i + 1} has ${text(now)}\n`,
            )
            .join(""),
      );
  });
}

/** "ppo.gamma: was 1, is now 0.9" */
export function describeDifference({ path, before, now }: Difference): string {
  const text = (value: unknown) => (value === undefined ? "not set" : JSON.stringify(value));
  return `${path}: was ${text(before)}, is now ${text(now)}`;
}

/**
 * Lists the settings that keep a run from going on: all that differ, except that a run may become longer
 * (`training.epochs`, `training.maxSteps`) and its evaluations larger or rarer (`evaluation.*`), null being no limit, and that
 * other checkpoints may be kept (`checkpoint.keep`), moments may lie elsewhere (`training.shardOptimizer`), other things warned of (`alarms`) and written down besides (`logging`).
 */
export function blockingDifferences(before: unknown, now: unknown): string[] {
  return differences(before, now)
    .filter(
      (difference) =>
        !hasGrown(difference) &&
        !/^(checkpoint\.keep|training\.shardOptimizer|alarms|logging)\b/.test(difference.path),
    )
    .map(describeDifference);
}

function hasGrown({ path, before, now }: Difference): boolean {
  const mayGrow = /^(training\.(epochs|maxSteps)|evaluation\..*)$/.test(path);
  const limit = (value: unknown) => (value === null ? Number.POSITIVE_INFINITY : value);
  const [from, to] = [limit(before), limit(now)];
  return mayGrow && typeof from === "number" && typeof to === "number" && to > from;
}

/** Every setting by its path: `ppo.gamma` to 1. */
export function settingsByPath(settings: unknown, prefix = ""): Map<string, unknown> {
  if (typeof settings !== "object" || settings === null) return new Map([[prefix, settings]]);
  const inner = Object.entries(settings).map(([key, value]) =>
    settingsByPath(value, prefix === "" ? key : `${prefix}.${key}`),
  );
  return new Map(inner.flatMap((entries) => [...entries]));
}

function assertRunOrEmpty(folder: string): void {
  if (!existsSync(folder)) return;
  if (existsSync(join(folder, "config.yaml"))) {
    // The settings are written after the folder of the checkpoints is made.
    if (existsSync(checkpointsIn(folder)) || !existsSync(metricsIn(folder))) return;
    throw new UserError(
      `${checkpointsIn(folder)}: expected the checkpoints of the run whose settings and figures are here, found nothing there; ` +
        "put them back, or give another folder",
    );
  }
  const own = /^(checkpoints|\.?run\.lock.*|\.config\.yaml\.tmp)$/; // a start that was cut off
  const strange = readdirSync(folder).find((name) => !own.test(name));
  if (strange !== undefined)
    throw new UserError(
      `${folder}: expected a run's folder, or an empty or new one, found ${show(strange)} in it; give another one`,
    );
}

/** @throws UserError when the run was made with other settings, to which its checkpoint ties it */
function checkSettings(
  { folder, config }: CheckpointOwner,
  { manifest, isFound }: Resumption,
): void {
  const before = readSettings(join(folder, "config.yaml"), []).values;
  const differences = blockingDifferences(before, config);
  // A checkpoint that no pointer names may have come from another run's folder.
  const foundWith = isFound ? blockingDifferences(manifest.config, config) : [];
  const all = [...new Set([...differences, ...foundWith])];
  if (all.length > 0)
    throw new UserError(
      `${folder}: this run was made with other settings:\n` +
        `${all.map((difference) => `  ${difference}\n`).join("")}` +
        "Give the same settings to go on, or another folder to start anew.",
    );
}

function writeConfig({ folder, config, disk, forkedFrom }: CheckpointOwner): void {
  const origin = forkedFrom
    ? `# Forked from ${forkedFrom.run}, after step ${forkedFrom.step}.\n`
    : "";
  replaceFile(
    disk,
    join(folder, "config.yaml"),
    `# Every setting of this run, as resolved from its file and flags.\n${origin}${stringify(config)}`,
  );
}
