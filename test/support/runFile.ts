// Runs a TypeScript file in a process of its own.
import { spawnSync } from "node:child_process";

/** What it prints and how it ends. `env` adds to the environment. */
export function runFile(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, ["--import", "tsx", file, ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
    maxBuffer: 1e8,
  });
}
