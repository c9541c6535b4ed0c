// A process of one side: it works only while it is asked, so the two sides can take turns.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

/** What a side can be asked for. Only the peer scores, and only it takes responses instead of sampling. */
export type Command =
  | { readonly do: "step"; readonly responses?: readonly (readonly number[])[] }
  | { readonly do: "greedy"; readonly prompts: number }
  | { readonly do: "score"; readonly responses: readonly (readonly number[])[] }
  | { readonly do: "usage" };

/** What a side answers; which of it depends on job and command. */
export interface Reply {
  /** Of the step alone. */
  readonly seconds?: number;
  /** Of all threads together, in the step alone. */
  readonly processorSeconds?: number;
  /** Per update, or their mean over the updates of one rollout. */
  readonly losses?: readonly number[];
  readonly gradNorms?: readonly number[];
  /** Token ids per row. */
  readonly responses?: readonly (readonly number[])[];
  readonly logprobs?: readonly (readonly number[])[];
  readonly values?: readonly (readonly number[])[];
  readonly scores?: readonly number[];
  /** Of programs; null where none came out. */
  readonly answers?: readonly (number | null)[];
  /** Largest difference, in nats, between the likeliest token and the one given. */
  readonly gap?: number;
  readonly rolloutSeconds?: number;
  readonly peakMegabytes?: number;
  /** Functions traced. */
  readonly traces?: number;
}

export interface Side {
  readonly name: string;
  ask(command: Command): Promise<Reply>;
  close(): Promise<void>;
}

/** @throws Error with the end of what the process wrote when it ends before it has answered */
export function startSide(name: string, command: readonly string[], threads: number): Side {
  const child = spawnWithThreads(command, threads);
  const { tail, ended } = watch(child);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return {
    name,
    ask: async (command) => {
      child.stdin!.write(`${JSON.stringify(command)}\n`);
      const { value, done } = await lines.next();
      if (!done) return JSON.parse(value) as Reply;
      throw new Error(`${name} ended with ${await ended}:\n${tail()}`);
    },
    close: async () => {
      child.stdin!.end();
      await ended;
    },
  };
}

/** Seconds from starting a process until it has written something into a file, and its peak memory by then. */
export async function timeToOutput(
  command: readonly string[],
  output: string,
  threads: number,
): Promise<{ seconds: number; peakMegabytes: number }> {
  rmSync(output, { force: true });
  const startedAt = performance.now();
  const child = spawnWithThreads(command, threads);
  const { tail, ended } = watch(child);
  let megabytes = 0;
  while (!existsSync(output) || statSync(output).size === 0) {
    if (child.exitCode !== null) throw new Error(`${command.join(" ")} wrote nothing:\n${tail()}`);
    megabytes = peakMegabytes(child.pid) ?? megabytes;
    await setTimeout(2);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  megabytes = peakMegabytes(child.pid) ?? megabytes;
  await ended;
  return { seconds, peakMegabytes: megabytes };
}

/** The most memory that a process has had resident, in megabytes (10^6 bytes): VmHWM of Linux. Undefined once it has ended. */
export function peakMegabytes(pid: number | "self" = "self"): number | undefined {
  try {
    const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return found ? (Number(found[1]) * 1024) / 1e6 : undefined;
  } catch {
    return undefined;
  }
}

function spawnWithThreads([program, ...args]: readonly string[], threads: number): ChildProcess {
  const count = String(threads);
  return spawn(program!, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      ...process.env,
      TF_NUM_INTRAOP_THREADS: count,
      TF_NUM_INTEROP_THREADS: count,
      OMP_NUM_THREADS: count,
    },
  });
}

function watch(child: ChildProcess): { tail: () => string; ended: Promise<string> } {
  child.stdin!.on("error", () => {}); // that it has ended is told below
  let errors = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  return { tail: () => errors, ended };
}
