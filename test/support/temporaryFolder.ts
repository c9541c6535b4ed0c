// Where a test file writes: folders that are removed after its last test (afterEachFile.ts).
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders: string[] = [];

/** A new, empty folder; for a test, a hook or the whole file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "folder-"));
  folders.push(folder);
  return folder;
}

export function removeTemporaryFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}
