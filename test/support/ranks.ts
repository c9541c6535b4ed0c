// Processes that compute together, for tests: one thread each, as a small machine has no more.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface EndedProcess {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export const oneThread = { TF_NUM_INTRAOP_THREADS: "1", TF_NUM_INTEROP_THREADS: "1" };

/** Runs Node with arguments; `started` hears of its process id. */
export function runNode(
  args: readonly string[],
  { env = {}, cwd, started }: { env?: object; cwd?: string; started?: (pid: number) => void } = {},
): Promise<EndedProcess> {
  const child = spawn(process.execPath, args, {
    ...{ cwd, env: { ...process.env, ...oneThread, ...env } },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  started?.(child.pid!);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}

/** The processes that another one has started, in their order. */
export function childrenOf(pid: number): number[] {
  const parentOf = (child: string) => {
    try {
      const stat = readFileSync(`/proc/${child}/stat`, "utf8");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    } catch {
      return undefined; // it has ended
    }
  };
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return all
    .filter((child) => parentOf(child) === pid)
    .map(Number)
    .toSorted((a, b) => a - b);
}
