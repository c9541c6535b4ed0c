// Checkpoints: written aside, synced, hashed, renamed, and only then pointed at, so that a crash at any moment leaves one.
import * as fs from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import type { Config } from "../config.ts";
import type { JsonValue } from "../data/json.ts";
import { asUserError, UserError } from "../errors.ts";
import { type Disk, replaceFile } from "../formats/disk.ts";
import { describeOtherKind } from "../model/folderKind.ts";
import { doing } from "../progress.ts";
import {
  checkpointsIn,
  compareAge,
  damageOf,
  fingerprint,
  freeName,
  type Manifest,
  manifestName,
  parseName,
  pointerIn,
  readablePointer,
  readManifest,
  readPointer,
  type StepFolder,
  stepFolders,
  unfinishedIn,
  type Which,
} from "./checkpointFiles.ts";
import { keptBy } from "./keep.ts";
import { syncMetrics } from "./metrics.ts";

export interface Checkpoint {
  readonly folder: string;
  /** Steps that were complete when it was written. */
  readonly step: number;
  /** What the recipe gave to saveCheckpoint, to be narrowed by it. */
  readonly state: unknown;
}

/** What of a run its checkpoints need. */
export interface CheckpointOwner {
  readonly folder: string;
  readonly config: Config;
  readonly disk: Disk;
  /** Of a run that began where another one was. */
  readonly forkedFrom?: Manifest["forkedFrom"];
}

export interface NewCheckpoint {
  /** Steps completed. */
  readonly step: number;
  /** Is this the best one so far? */
  readonly isBest: boolean;
  /** Do all earlier ones stay until the run goes on, for the user to go back to? */
  readonly keepsAll?: boolean;
  /** Everything an exact resume needs beside the files: random streams, position in the data, best score. */
  readonly state: JsonValue;
  /**
   * Fills the folder: a model as Hugging Face lays it out, and in `training/` what only a resume needs
   * (optimizer moments, value head), which is not read when the checkpoint is used as a model.
   */
  readonly writeFiles: (folder: string) => void | Promise<void>;
}

/**
 * Writes a checkpoint and makes it the last one, and the best one if it is; of the earlier ones the best is kept, and what
 * `checkpoint.keep` names.
 *
 * @returns its folder
 * @throws UserError when the disk is full or cannot be written; earlier checkpoints are then as they were
 */
export async function saveCheckpoint(run: CheckpointOwner, made: NewCheckpoint): Promise<string> {
  assertJson(made.state, "state");
  using _ = doing(`checkpoint of step ${made.step}`);
  const { disk } = run;
  const home = checkpointsIn(run.folder);
  const before = namedIn(run.folder);
  const name = freeName(run.folder, made.step);
  const temporary = `.${name}.tmp`;
  const write = async () => {
    syncMetrics(run); // the lines up to this step will not be made again
    disk.remove(join(home, temporary));
    disk.makeFolder(join(home, temporary));
    await made.writeFiles(join(home, temporary));
    writeManifest(run, made, join(home, temporary));
    disk.rename(join(home, temporary), join(home, name));
    disk.sync(home);
    // The best first: a crash between the two then resumes before this step, and comes to it again.
    if (made.isBest) writePointer(run, "best", name);
    writePointer(run, "last", name);
    if (!made.keepsAll) removeUnnamed(run, [...before, ...olderThan(run, name)]);
    return join(home, name);
  };
  try {
    return await write();
  } catch (error) {
    tryCleanUp(run, [name, ...before]); // half a checkpoint would keep a full disk full
    const explained = asUserError(error);
    if (explained === undefined) throw error;
    const onward = before.length > 0 ? "goes on from it" : "starts again";
    throw new UserError(
      `could not write the checkpoint of step ${made.step}: ${explained.message}. ` +
        `${whatIsSafe(run.folder)}: the same command ${onward}.`,
      { cause: error },
    );
  }
}

/** What a run that has to stop can count on, for its last message. */
export function whatIsSafe(runFolder: string): string {
  const last = readablePointer(runFolder, "last");
  return last
    ? `The checkpoint of step ${last.step} is intact`
    : "There is no checkpoint of this run yet";
}

/** Makes a folder of a checkpoint the last or the best one. */
export function writePointer({ folder, disk }: CheckpointOwner, which: Which, name: string): void {
  const target = join(checkpointsIn(folder), name);
  const { step } = readManifest(target);
  const manifestSha256 = fingerprint(join(target, manifestName)).sha256;
  const pointer = { step, folder: name, manifestSha256 };
  replaceFile(disk, pointerIn(folder, which), JSON.stringify(pointer));
}

/**
 * Finds a run's last or best checkpoint and checks every file of it against its hash.
 *
 * @returns undefined when the run has none yet
 * @throws UserError that names the damaged file and the checkpoint that is still good
 */
export function loadCheckpoint(runFolder: string, which: Which): Checkpoint | undefined {
  const pointer = readPointer(runFolder, which);
  if (pointer === undefined) return undefined;
  const folder = join(checkpointsIn(runFolder), pointer.folder);
  const damage = damageOf(folder, { manifestSha256: pointer.manifestSha256 });
  if (damage !== undefined)
    throw new UserError(`${damage}. ${adviceFor(runFolder, pointer.folder)}`);
  const { step, state } = readManifest(folder);
  return { folder, step, state };
}

/** The folders that the pointers name. */
function namedIn(runFolder: string): string[] {
  const pointers = [readablePointer(runFolder, "last"), readablePointer(runFolder, "best")];
  return pointers.flatMap((pointer) => (pointer ? [pointer.folder] : []));
}

/** Checkpoints before the last one, which a rule may have kept up to now; none without a rule. */
function olderThan({ folder, config }: CheckpointOwner, last: string): string[] {
  if (config.checkpoint.keep === undefined) return [];
  const isOlder = (other: StepFolder) => compareAge(other, parseName(last)!) < 0;
  return stepFolders(folder)
    .filter(isOlder)
    .map(({ name }) => name);
}

/** Removes those of the folders that no pointer and no rule names; the best one stays also where its pointer was lost meanwhile. */
function removeUnnamed(run: CheckpointOwner, names: readonly string[]): void {
  const last = readablePointer(run.folder, "last");
  const { keep } = run.config.checkpoint;
  const ruled = last ? keptBy(keep, stepFolders(run.folder), parseName(last.folder)!) : [];
  const named = [...namedIn(run.folder), ...ruled];
  const isLost = readablePointer(run.folder, "best") === undefined;
  const best = isLost ? bestStepIn(run.folder) : undefined;
  for (const name of new Set(names))
    if (!named.includes(name) && parseName(name)?.step !== (best ?? -1))
      run.disk.remove(join(checkpointsIn(run.folder), name));
}

/**
 * Finds the model that a user means: a Hugging Face folder, a checkpoint (its model files are checked against their
 * hashes; `RUN/step-000020` is short for `RUN/checkpoints/step-000020`), or a run's folder (its best checkpoint, else
 * its last).
 *
 * @throws UserError when the path is none of them, or the checkpoint is damaged
 */
export function resolveModelFolder(path: string): string {
  if (!fs.existsSync(path)) {
    const checkpoint = join(checkpointsIn(dirname(path)), basename(path));
    if (fs.existsSync(checkpoint)) return checkedModel(checkpoint);
    throw new UserError(
      `${path}: expected a model or a run's folder, found nothing there; check the path`,
    );
  }
  if (fs.existsSync(checkpointsIn(path))) return modelOfRun(path);
  if (fs.existsSync(join(path, manifestName))) return checkedModel(path);
  if (["config.json", "adapter_config.json"].some((name) => fs.existsSync(join(path, name))))
    return path;
  const kind = describeOtherKind(path);
  throw new UserError(
    `${path}: expected a model's folder (with config.json), a checkpoint (with ${manifestName}) ` +
      `or a run's folder (with checkpoints/), found none of these files${kind ? `; ${kind}` : ""}`,
  );
}

function modelOfRun(runFolder: string): string {
  const [best, last] = [readPointer(runFolder, "best"), readPointer(runFolder, "last")];
  const expected = bestStepIn(runFolder);
  const pointer = best ?? last;
  if (pointer === undefined && stepFolders(runFolder).length === 0)
    throw new UserError(
      `${runFolder}: this run has no checkpoint yet; let it go on until its first one`,
    );
  if (pointer === undefined || (typeof expected === "number" && (best?.step ?? -1) < expected))
    throw new UserError(
      `${pointerIn(runFolder, "best")}: expected it to name the best checkpoint${expected ? `, of step ${expected}` : ""}, ` +
        `found ${best ? `step ${best.step}` : "nothing there"}; the command that trains this run puts it right, ` +
        `or name a checkpoint: ${stepFolders(runFolder)
          .map(({ name }) => join(runFolder, name))
          .join(" or ")}`,
    );
  return checkedModel(join(checkpointsIn(runFolder), pointer.folder), pointer.manifestSha256);
}

function checkedModel(folder: string, manifestSha256?: string): string {
  const isModelFile = (name: string) =>
    !name.includes("/") || name.endsWith("/value_head.safetensors");
  const damage = damageOf(folder, { manifestSha256, includes: isModelFile });
  if (damage !== undefined) throw new UserError(`${damage}. Use another checkpoint or model.`);
  return folder;
}

/** Hashes and syncs every file, then writes the list of them. */
function writeManifest(run: CheckpointOwner, made: NewCheckpoint, folder: string): void {
  const files: Manifest["files"] = {};
  for (const name of filesIn(folder)) {
    run.disk.sync(join(folder, name));
    files[name] = fingerprint(join(folder, name));
  }
  const { step, state, isBest } = made;
  const best = isBest ? step : (bestStepIn(run.folder) ?? null);
  const previous = readablePointer(run.folder, "last")?.manifestSha256 ?? null;
  const { config, forkedFrom } = run;
  const origin = forkedFrom && { forkedFrom };
  const manifest: Manifest = { step, best, previous, ...origin, config, state, files };
  run.disk.write(join(folder, manifestName), `${JSON.stringify(manifest, null, 1)}\n`);
  for (const inner of foldersIn(folder)) run.disk.sync(inner);
}

/** The step of the best checkpoint of a run as its last one says it; undefined where that cannot be read. */
function bestStepIn(runFolder: string): number | null | undefined {
  const last = readablePointer(runFolder, "last");
  const folder = join(checkpointsIn(runFolder), last?.folder ?? "");
  const isThere = last !== undefined && fs.existsSync(join(folder, manifestName));
  const said = isThere ? readManifest(folder).best : undefined;
  return said === undefined ? readablePointer(runFolder, "best")?.step : said;
}

function filesIn(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .toSorted();
}

function foldersIn(folder: string): string[] {
  const inner = fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
  return [...inner, folder];
}

/** How to go on without the checkpoint in a folder, which is damaged or missing. Nothing that it advises loses anything. */
export function adviceFor(runFolder: string, damaged: string): string {
  const home = checkpointsIn(runFolder);
  const named = (["best", "last"] as const).flatMap((which) => {
    const pointer = readablePointer(runFolder, which);
    return pointer === undefined || pointer.folder === damaged ? [] : [{ which, pointer }];
  });
  const pointerTo = (name: string) => named.find(({ pointer }) => pointer.folder === name);
  const damageIn = (name: string) => damageOf(join(home, name), pointerTo(name)?.pointer);
  const others = stepFolders(runFolder).filter(({ name }) => name !== damaged);
  const whole = others.find(({ name }) => damageIn(name) === undefined);
  if (whole === undefined) {
    const noHelp = named.map(
      ({ which, pointer }) => `The ${which} checkpoint is no help, ${damageIn(pointer.folder)}. `,
    );
    return `${noHelp.join("")}The run has no other checkpoint: put back a copy of this one, or start again in another folder.`;
  }
  const { which } = pointerTo(whole.name) ?? {};
  if (which !== undefined) {
    const other = which === "best" ? "last" : "best";
    return (
      `The ${which} checkpoint, of step ${whole.step}, is intact (${join(home, whole.name)}): use it as a model, ` +
      `or go on from it after copying ${home}/${which}.json over ${home}/${other}.json.`
    );
  }
  const isNewer = (name: string) => compareAge(parseName(name) ?? whole, whole) > 0;
  const inTheWay = fs
    .readdirSync(home)
    .filter((name) => /^(last|best)\.json$/.test(name) || isNewer(name));
  return (
    `The checkpoint of step ${whole.step} is intact (${join(home, whole.name)}): use it as a model, or go on from it ` +
    `after moving ${inTheWay.join(", ")} out of ${home}.`
  );
}

/** JSON turns NaN, infinities and undefined into null or nothing, and a resume would not be exact. */
function assertJson(value: unknown, at: string): void {
  if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) assertJson(inner, `${at}.${key}`);
    if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype)
      throw new Error(`saveCheckpoint: ${at} is not plain data`);
    return;
  }
  const isPlain = value === null || typeof value === "string" || typeof value === "boolean";
  if (!isPlain && !Number.isFinite(value))
    throw new Error(`saveCheckpoint: ${at} is ${String(value)}, which JSON cannot hold`);
}

function tryCleanUp(run: CheckpointOwner, names: readonly string[]): void {
  try {
    removeUnnamed(run, [...unfinishedIn(run.folder), ...names]);
  } catch {
    // The first error is the one to report; the next save or start removes what is left.
  }
}
