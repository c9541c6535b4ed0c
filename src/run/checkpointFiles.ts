// How checkpoints lie on disk: folders `step-000064`, each with the list of its files and their hashes, and the two pointers
// `last.json` and `best.json`. Reading and checking alone; nothing here changes anything.
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { inOneLine, UserError, withPath } from "../errors.ts";

export type Which = "last" | "best";

const fileSchema = z.strictObject({ bytes: z.int(), sha256: z.string() });
const manifestSchema = z.object({
  step: z.int(),
  // The step of the best checkpoint so far, and the hash of the list of the one before; null where there is none. Older files lack them.
  best: z.int().nullable().optional(),
  previous: z.string().nullable().optional(),
  // Another run's checkpoint that the run began from, and the hash of its list.
  forkedFrom: z
    .strictObject({ run: z.string(), step: z.int(), manifestSha256: z.string() })
    .optional(),
  config: z.unknown(),
  state: z.unknown(),
  files: z.record(z.string(), fileSchema),
});
export type Manifest = z.infer<typeof manifestSchema>;

const pointerSchema = z.strictObject({
  step: z.int(),
  folder: z.string().regex(/^step-\d+(\.\d+)?$/),
  manifestSha256: z.string(),
});
export type Pointer = z.infer<typeof pointerSchema>;

export const manifestName = "checkpoint.json";

export function checkpointsIn(runFolder: string): string {
  return join(runFolder, "checkpoints");
}

export function pointerIn(runFolder: string, which: Which): string {
  return join(checkpointsIn(runFolder), `${which}.json`);
}

/** @throws UserError when it is not what this program wrote; undefined when it is not there */
export function readPointer(runFolder: string, which: Which): Pointer | undefined {
  const path = pointerIn(runFolder, which);
  return fs.existsSync(path) ? readJson(path, pointerSchema) : undefined;
}

/** A pointer, or undefined where it is not there or is not what this program wrote. */
export function readablePointer(runFolder: string, which: Which): Pointer | undefined {
  try {
    return readPointer(runFolder, which);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** @param folder of a checkpoint. @throws UserError when its list is damaged */
export function readManifest(folder: string): Manifest {
  return readJson(join(folder, manifestName), manifestSchema);
}

function readJson<T>(path: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(withPath(path, () => fs.readFileSync(path, "utf8"))));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
    throw new UserError(
      `${path}: damaged: expected what this program wrote there, found other text`,
    );
  }
}

/** A folder that is named as a checkpoint; the second one of a step is `step-000064.2`. */
export interface StepFolder {
  readonly name: string;
  readonly step: number;
  readonly copy: number;
}

/** The folders named as checkpoints, the newest first. */
export function stepFolders(runFolder: string): StepFolder[] {
  const home = checkpointsIn(runFolder);
  if (!fs.existsSync(home)) return [];
  return fs
    .readdirSync(home)
    .map(parseName)
    .filter((folder) => folder !== undefined)
    .toSorted((a, b) => -compareAge(a, b));
}

/** Names of what a save or a replaced pointer left aside when it was cut off. */
export function unfinishedIn(runFolder: string): string[] {
  return fs.readdirSync(checkpointsIn(runFolder)).filter((name) => /^\..+\.tmp$/.test(name));
}

export function parseName(name: string): StepFolder | undefined {
  const [, step, copy = "1"] = /^step-(\d+)(?:\.(\d+))?$/.exec(name) ?? [];
  return step === undefined ? undefined : { name, step: Number(step), copy: Number(copy) };
}

/** Negative where a is the older one. */
export function compareAge(a: StepFolder, b: StepFolder): number {
  return a.step - b.step || a.copy - b.copy;
}

/** A step can be saved twice, at an evaluation and at an interruption after it; a folder in use is never overwritten. */
export function freeName(runFolder: string, step: number): string {
  const [newest] = stepFolders(runFolder).filter((folder) => folder.step === step);
  const name = `step-${String(step).padStart(6, "0")}`;
  return newest === undefined ? name : `${name}.${newest.copy + 1}`;
}

/** Size and SHA-256 of a file of any size. */
export function fingerprint(file: string): z.infer<typeof fileSchema> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(1 << 22); // files may be larger than memory
  const descriptor = fs.openSync(file, "r");
  try {
    let bytes = 0;
    for (;;) {
      const read = withPath(file, () => fs.readSync(descriptor, buffer));
      if (read === 0) return { bytes, sha256: hash.digest("hex") };
      hash.update(buffer.subarray(0, read));
      bytes += read;
    }
  } finally {
    fs.closeSync(descriptor);
  }
}

interface CheckOptions {
  /** Of the list of files, as a pointer says it. */
  readonly manifestSha256?: string | undefined;
  /** Which of the listed files to check; all when not given. */
  readonly includes?: (name: string) => boolean;
}

/**
 * What is wrong with a checkpoint's files, with path, expected and found, on one line whatever a hash or a name in its files is;
 * undefined when nothing is.
 */
export function damageOf(folder: string, options: CheckOptions = {}): string | undefined {
  const damage = findDamage(folder, options);
  return damage === undefined ? undefined : inOneLine(damage);
}

function findDamage(
  folder: string,
  { manifestSha256, includes }: CheckOptions,
): string | undefined {
  const path = join(folder, manifestName);
  if (!fs.existsSync(path)) return `${path}: missing, so this checkpoint is damaged`;
  const found = fingerprint(path).sha256;
  if (manifestSha256 !== undefined && found !== manifestSha256)
    return `${path}: damaged: expected SHA-256 ${manifestSha256}, found ${found}`;
  const files = filesOf(folder);
  if (typeof files === "string") return files;
  for (const [name, expected] of Object.entries(files)) {
    if (includes && !includes(name)) continue;
    const damage = damageOfFile(join(folder, name), expected);
    if (damage !== undefined) return damage;
  }
  return undefined;
}

/** The list of a checkpoint's files, or what is wrong with it. */
function filesOf(folder: string): Manifest["files"] | string {
  try {
    return readManifest(folder).files;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
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
