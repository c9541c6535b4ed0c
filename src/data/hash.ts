// SHA-256, by which files and settings are known again.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/** In hexadecimal digits. */
export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Of a file that fits into memory; those of any size: `fingerprint` in run/checkpointFiles.ts. */
export function hashFile(path: string): string {
  return sha256(readFileSync(path));
}
