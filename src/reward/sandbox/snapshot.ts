// A cache of Python's memory right after its boot: a guest starts from it in a quarter of a second instead of three.
// A file is the SHA-256 of what follows it, then what guest.mjs made.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf, visible } from "../../errors.ts";
import { makeFolder } from "../../folders.ts";
import { writeFileAtomically } from "../../formats/jsonl.ts";
import { type GuestSettings, guestFile, makeSnapshot, pyodideVersion } from "./guestProcess.ts";

/** The project's cache; src/ and dist/ lie equally deep. */
export const cacheFolder = fileURLToPath(new URL("../../../.cache/", import.meta.url));

const HASH_BYTES = 32;
const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

/** Is it there, and as it was written? */
function isWhole(path: string): boolean {
  if (!existsSync(path)) return false;
  const bytes = readFileSync(path);
  return hashOf(bytes.subarray(HASH_BYTES)).equals(bytes.subarray(0, HASH_BYTES));
}

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
 * The path of a snapshot for these settings, made now if there is none or if it is damaged.
 * Undefined, with a warning, where it cannot be made or kept: guests then boot without, slower.
 */
export async function cachedSnapshot(
  settings: GuestSettings,
  folder = cacheFolder,
): Promise<string | undefined> {
  const path = join(folder, snapshotName(settings));
  try {
    if (isWhole(path)) return path;
    makeFolder(folder);
    const snapshot = await makeSnapshot(settings);
    writeFileAtomically(path, Buffer.concat([hashOf(snapshot), snapshot]));
    return path;
  } catch (error) {
    process.emitWarning(
      visible(`the sandbox starts slower, no snapshot in ${folder}: ${messageOf(error)}`),
    );
    return undefined;
  }
}
