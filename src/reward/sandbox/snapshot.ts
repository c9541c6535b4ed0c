// A cache of Python's memory right after its boot: a guest starts from it in a quarter of a second instead of three.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../errors.ts";
import { type GuestSettings, guestFile, makeSnapshot, pyodideVersion } from "./guestProcess.ts";

/** The project's cache; src/ and dist/ lie equally deep. */
export const cacheFolder = fileURLToPath(new URL("../../../.cache/", import.meta.url));

/** Changes with everything that a snapshot depends on. */
export function snapshotName(settings: GuestSettings): string {
  const key = createHash("sha256")
    .update(JSON.stringify([pyodideVersion, process.version, process.arch, settings.prepare]))
    .update(JSON.stringify(settings.wheels.map((wheel) => basename(wheel))))
    .update(readFileSync(guestFile))
    .update(readFileSync(join(dirname(guestFile), "trackWrites.mjs")))
    .digest("hex");
  return `python-${settings.names.includes("sympy") ? "sympy-" : ""}${key.slice(0, 16)}.snapshot`;
}

/**
 * The path of a snapshot for these settings, made now if there is none.
 * Undefined, with a warning, where it cannot be made or kept: guests then boot without, slower.
 */
export async function cachedSnapshot(
  settings: GuestSettings,
  folder = cacheFolder,
): Promise<string | undefined> {
  const path = join(folder, snapshotName(settings));
  if (existsSync(path)) return path;
  const unfinished = `${path}.${process.pid}.unfinished`;
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(unfinished, await makeSnapshot(settings));
    renameSync(unfinished, path);
    return path;
  } catch (error) {
    if (existsSync(unfinished)) rmSync(unfinished);
    process.emitWarning(`the sandbox starts slower, no snapshot in ${folder}: ${messageOf(error)}`);
    return undefined;
  }
}
