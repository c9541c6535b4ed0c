// Checkpoints: written aside, synced, hashed, renamed, and only then pointed at, so that a crash at any moment leaves one.
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { z } from "zod";
import type { Config } from "../config.ts";
import { asUserError, UserError } from "../errors.ts";
import { type Disk, replaceFile } from "./disk.ts";
import { syncMetrics } from "./metrics.ts";

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

export type Which = "last" | "best";

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
}

export interface NewCheckpoint {
  /** Steps completed. */
  readonly step: number;
  /** Is this the best one so far? */
  readonly isBest: boolean;
  /** Everything an exact resume needs beside the files: random streams, position in the data, best score. */
  readonly state: JsonValue;
  /**
   * Fills the folder: a model as Hugging Face lays it out, and in `training/` what only a resume needs
   * (optimizer moments, value head), which is not read when the checkpoint is used as a model.
   */
  readonly writeFiles: (folder: string) => void | Promise<void>;
}

const fileSchema = z.strictObject({ bytes: z.int(), sha256: z.string() });
const manifestSchema = z.object({
  step: z.int(),
  config: z.unknown(),
  state: z.unknown(),
  files: z.record(z.string(), fileSchema),
});
type Manifest = z.infer<typeof manifestSchema>;

const pointerSchema = z.strictObject({
  step: z.int(),
  folder: z.string().regex(/^step-[\d.]+$/),
  manifestSha256: z.string(),
});
type Pointer = z.infer<typeof pointerSchema>;

const manifestName = "checkpoint.json";

/**
 * Writes a checkpoint and makes it the last one, and the best one if it is; of the earlier ones only the best is kept.
 *
 * @returns its folder
 * @throws UserError when the disk is full or cannot be written; earlier checkpoints are then as they were
 */
export async function saveCheckpoint(run: CheckpointOwner, made: NewCheckpoint): Promise<string> {
  assertJson(made.state, "state");
  const { disk } = run;
  const home = checkpointsIn(run.folder);
  const temporary = join(home, `.${folderName(made.step)}.tmp`);
  const write = async () => {
    syncMetrics(run); // the lines up to this step will not be made again
    disk.remove(temporary);
    disk.makeFolder(temporary);
    await made.writeFiles(temporary);
    const manifestSha256 = writeManifest(run, made, temporary);
    const name = freeName(home, made.step);
    disk.rename(temporary, join(home, name));
    disk.sync(home);
    const pointer = JSON.stringify({ step: made.step, folder: name, manifestSha256 });
    // The best first: a crash between the two then resumes before this step, and comes to it again.
    if (made.isBest) replaceFile(disk, join(home, "best.json"), pointer);
    replaceFile(disk, join(home, "last.json"), pointer);
    removeUnreferenced(run);
    return join(home, name);
  };
  const last = readPointer(run.folder, "last");
  const assurance = last
    ? `The checkpoint of step ${last.step} is intact: the same command goes on from it.`
    : "The same command starts again.";
  try {
    return await write();
  } catch (error) {
    tryCleanUp(run); // half a checkpoint would keep a full disk full
    const explained = asUserError(error);
    if (explained === undefined) throw error;
    const message = `could not write the checkpoint of step ${made.step}: ${explained.message}. ${assurance}`;
    throw new UserError(message, { cause: error });
  }
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
  if (damage !== undefined) throw new UserError(`${damage}. ${otherCheckpoint(runFolder, which)}`);
  const { step, state } = readManifest(folder);
  return { folder, step, state };
}

/** Removes what an interrupted save or clean-up left: everything that neither pointer names. */
export function removeUnreferenced(run: CheckpointOwner): void {
  const home = checkpointsIn(run.folder);
  const kept = [readPointer(run.folder, "last")?.folder, readPointer(run.folder, "best")?.folder];
  for (const name of fs.readdirSync(home))
    if (/^(step-[\d.]+|\..+\.tmp)$/.test(name) && !kept.includes(name))
      run.disk.remove(join(home, name));
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
    throw new UserError(`${path}: expected a model or a run's folder, found nothing there`);
  }
  if (fs.existsSync(checkpointsIn(path))) return modelOfRun(path);
  if (fs.existsSync(join(path, manifestName))) return checkedModel(path);
  if (fs.existsSync(join(path, "config.json"))) return path;
  throw new UserError(
    `${path}: expected a model's folder (with config.json), a checkpoint (with ${manifestName}) ` +
      "or a run's folder (with checkpoints/), found none of these files",
  );
}

export function checkpointsIn(runFolder: string): string {
  return join(runFolder, "checkpoints");
}

function modelOfRun(runFolder: string): string {
  const pointer = readPointer(runFolder, "best") ?? readPointer(runFolder, "last");
  if (pointer === undefined)
    throw new UserError(
      `${runFolder}: this run has no checkpoint yet; let it go on until its first one`,
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

/** Hashes and syncs every file, then writes the list of them. Returns the hash of that list. */
function writeManifest(run: CheckpointOwner, made: NewCheckpoint, folder: string): string {
  const files: Manifest["files"] = {};
  for (const name of filesIn(folder)) {
    run.disk.sync(join(folder, name));
    files[name] = fingerprint(join(folder, name));
  }
  const { step, state } = made;
  const text = `${JSON.stringify({ step, config: run.config, state, files }, null, 1)}\n`;
  run.disk.write(join(folder, manifestName), text);
  for (const inner of foldersIn(folder)) run.disk.sync(inner);
  return createHash("sha256").update(text).digest("hex");
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

/** Size and SHA-256 of a file of any size. */
export function fingerprint(file: string): z.infer<typeof fileSchema> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(1 << 22); // files may be larger than memory
  const descriptor = fs.openSync(file, "r");
  try {
    let bytes = 0;
    for (;;) {
      const read = fs.readSync(descriptor, buffer);
      if (read === 0) return { bytes, sha256: hash.digest("hex") };
      hash.update(buffer.subarray(0, read));
      bytes += read;
    }
  } finally {
    fs.closeSync(descriptor);
  }
}

interface CheckOptions {
  readonly manifestSha256?: string | undefined;
  /** Which of the listed files to check; all when not given. */
  readonly includes?: (name: string) => boolean;
}

/** What is wrong with a checkpoint's files, with path, expected and found; undefined when nothing is. */
function damageOf(folder: string, { manifestSha256, includes }: CheckOptions): string | undefined {
  const path = join(folder, manifestName);
  if (!fs.existsSync(path)) return `${path}: missing, so this checkpoint is damaged`;
  const found = fingerprint(path).sha256;
  if (manifestSha256 !== undefined && found !== manifestSha256)
    return `${path}: damaged: expected SHA-256 ${manifestSha256}, found ${found}`;
  for (const [name, expected] of Object.entries(readManifest(folder).files)) {
    if (includes && !includes(name)) continue;
    const damage = damageOfFile(join(folder, name), expected);
    if (damage !== undefined) return damage;
  }
  return undefined;
}

function damageOfFile(path: string, expected: z.infer<typeof fileSchema>): string | undefined {
  if (!fs.existsSync(path)) return `${path}: missing, so this checkpoint is damaged`;
  const bytes = fs.statSync(path).size;
  if (bytes !== expected.bytes)
    return `${path}: damaged: expected ${expected.bytes} bytes, found ${bytes}`;
  const { sha256 } = fingerprint(path);
  return sha256 === expected.sha256
    ? undefined
    : `${path}: damaged: expected SHA-256 ${expected.sha256}, found ${sha256}`;
}

function otherCheckpoint(runFolder: string, which: Which): string {
  const other = which === "last" ? "best" : "last";
  const damaged = readPointer(runFolder, which);
  const pointer = readPointer(runFolder, other);
  if (pointer === undefined || pointer.folder === damaged?.folder)
    return "The run has no other checkpoint: start it again with another --output.";
  const home = checkpointsIn(runFolder);
  const folder = join(home, pointer.folder);
  const damage = damageOf(folder, { manifestSha256: pointer.manifestSha256 });
  if (damage !== undefined) return `The ${other} checkpoint is no help, ${damage}.`;
  return (
    `The ${other} checkpoint, of step ${pointer.step}, is intact (${folder}): ` +
    `use it as a model, or go on from it after copying ${home}/${other}.json over ${home}/${which}.json.`
  );
}

function readManifest(folder: string): Manifest {
  return readJson(join(folder, manifestName), manifestSchema);
}

function readPointer(runFolder: string, which: Which): Pointer | undefined {
  const path = join(checkpointsIn(runFolder), `${which}.json`);
  return fs.existsSync(path) ? readJson(path, pointerSchema) : undefined;
}

function readJson<T>(path: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(fs.readFileSync(path, "utf8")));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
    throw new UserError(
      `${path}: damaged: expected what this program wrote there, found other text`,
    );
  }
}

function folderName(step: number): string {
  return `step-${String(step).padStart(6, "0")}`;
}

/** A step can be saved twice, at an evaluation and at an interruption after it; a folder in use is never overwritten. */
function freeName(home: string, step: number): string {
  let name = folderName(step);
  for (let copy = 2; fs.existsSync(join(home, name)); copy++) name = `${folderName(step)}.${copy}`;
  return name;
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

function tryCleanUp(run: CheckpointOwner): void {
  try {
    removeUnreferenced(run);
  } catch {
    // The first error is the one to report; the next save or start removes what is left.
  }
}
