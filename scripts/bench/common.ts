// What the benchmark and the measurement of growth share: the folder of models, our side's process, list options.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../src/errors.ts";
import { type Side, startSide } from "./side.ts";
import type { Job, ModelName } from "./workloads.ts";

export const root = join(import.meta.dirname, "..", "..");
export const cache = join(root, ".cache", "bench");

/** The begin of a command that runs TypeScript. */
export const tsx = [process.execPath, "--import", "tsx"];

/** Settings as flags of a training. */
export function set(...settings: readonly string[]): string[] {
  return settings.flatMap((setting) => ["--set", setting]);
}

/** The folder of a model, written once. */
export function modelFolder(name: ModelName): string {
  const folder = join(cache, name);
  if (!existsSync(join(folder, "lora"))) {
    rmSync(folder, { recursive: true, force: true }); // of an older benchmark
    mkdirSync(cache, { recursive: true });
    const temporary = `${folder}.tmp`;
    rmSync(temporary, { recursive: true, force: true });
    const script = join(import.meta.dirname, "createModel.ts");
    execFileSync(tsx[0]!, [...tsx.slice(1), script, name, temporary]);
    renameSync(temporary, folder);
  }
  return folder;
}

/** Writes a job for the processes of a measurement; returns its path. Whoever asks for it removes it. */
export function writeJob(job: Job): string {
  const path = join(cache, `job-${process.pid}.json`);
  writeFileSync(path, JSON.stringify(job));
  return path;
}

export function startOurs(jobPath: string, threads: number): Side {
  return startSide("ours", [...tsx, join(import.meta.dirname, "ours.ts"), jobPath], threads);
}

/** The items of a list option. @throws UserError for one that there is not */
export function chosen<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  return text.split(",").map((name) => {
    const found = known.find((one) => one === name);
    if (found !== undefined) return found;
    throw new UserError(`--${option}: expected some of ${known.join(", ")}, found ${name}`);
  });
}
