// Runs that go on, as a page that follows them.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type ReportServer, serveReport } from "../report/serve.ts";
import { gatherReport } from "./report.ts";

/**
 * Serves the report of runs on 127.0.0.1, made anew whenever their files change; nothing of them is changed.
 *
 * @param port 0: one that is free
 * @returns the page's address, and what ends the server
 * @throws UserError for a folder that holds no run with figures, and when the port is taken
 */
export async function watch(folders: readonly string[], port: number): Promise<ReportServer> {
  gatherReport(folders); // a mistake shows at once
  return serveReport(
    { version: () => versionOf(folders), read: () => gatherReport(folders) },
    port,
  );
}

/** Sizes and times of all files that a report reads, and of the folders that hold them. */
function versionOf(folders: readonly string[]): string {
  return folders.flatMap((folder) => stampsBelow(folder, 4)).join("\n");
}

function stampsBelow(folder: string, depth: number): readonly string[] {
  if (!existsSync(folder)) return [];
  const stamp = (path: string) => {
    const found = statSync(path, { throwIfNoEntry: false });
    return found === undefined ? [] : [`${path} ${found.size} ${found.mtimeMs}`];
  };
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (!entry.isDirectory()) return /\.(jsonl|json|yaml)$/.test(entry.name) ? stamp(path) : [];
    return depth === 0 || /^step-/.test(entry.name) ? [] : stampsBelow(path, depth - 1);
  });
}
