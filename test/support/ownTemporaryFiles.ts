// One folder for the temporary files of a whole run of the tests, child processes included: it is removed at the end, also after
// Ctrl-C, and a run whose tests left something in it fails.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Called by vitest before the first test. Returns what it calls after the last one. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "reft-test-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.env.TMPDIR = folder; // read by every later tmpdir(), Python's included
  process.once("exit", remove); // for Ctrl-C
  return () => {
    const left = readdirSync(folder).filter((name) => !name.startsWith("tsx-")); // tsx's cache
    if (left.length === 0) return;
    console.error(`the tests left temporary files behind: ${left.join(", ")}`);
    process.exitCode = 1;
  };
}
