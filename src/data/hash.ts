// SHA-256, by which files and settings are known again.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/** The hash is written in hexadecimal digits. */
export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** The file has to fit into memory; for any size there is `fingerprint` in run/checkpointFiles.ts. */
export function hashFile(path: string): string {
  return sha256(readFileSync(path));
}
