// The parent's side of one guest: starts guest.mjs with every lock that the machine offers, asks it to run programs.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { z } from "zod";
import { processorSeconds } from "./processorTime.ts";

/** What guest.mjs reads from its first argument; documented there. */
export interface GuestSettings {
  readonly wheels: readonly string[];
  readonly prepare: string;
  readonly names: readonly string[];
  readonly maxMemoryBytes: number;
  readonly verifyEvery: number;
  readonly snapshot?: string;
}

/** Kinds: (V)alue, (S)tring, (N)o answer, (E)rror, e(X)pelled. `retire` asks to replace the guest. */
const guestReply = z.object({
  id: z.number(),
  kind: z.enum(["V", "S", "N", "E", "X"]),
  text: z.string(),
  retire: z.boolean(),
});
export type GuestReply = z.infer<typeof guestReply>;

export interface Guest {
  /** Resolves when programs may be sent; rejects, with what its stderr names as the error, if the guest ends before. */
  readonly ready: Promise<void>;
  /** Resolves with how the process ended: "SIGKILL", "code 1", "spawn setpriv ENOENT". Never rejects. */
  readonly exited: Promise<string>;
  readonly isAlive: () => boolean;
  /** What it has computed so far; undefined where the system does not tell. */
  readonly processorSeconds: () => number | undefined;
  /**
   * Runs one program, one at a time. Rejects with how the process ended if it ends before it replies.
   *
   * @param isScore it returns a score with its figures, which may be longer than an answer
   */
  ask(program: string, isScore?: boolean): Promise<GuestReply>;
  kill(): void;
}

/** Machine-dependent means to tie a guest to its parent's life and to take its network away. */
export interface HostTools {
  readonly setpriv: boolean;
  readonly unshare: boolean;
}

const require = createRequire(import.meta.url);
export const guestFile = realpathSync(fileURLToPath(new URL("./guest.mjs", import.meta.url)));
const pyodideFolder = dirname(realpathSync(require.resolve("pyodide/package.json")));
export const pyodideVersion = (require("pyodide/package.json") as { version: string }).version;

// A guest that outlives its parent in an endless loop ends here at the latest. It asks to be replaced
// earlier (RETIRE_AFTER_CPU_SECONDS in guest.mjs), so that no innocent program meets this limit.
const CPU_LIMIT_SECONDS = 300;
const STDERR_CHARACTERS = 2000;
const REASON_CHARACTERS = 200;

/** `--permission` since Node 22.13; Node 20 and early 22 spell it `--experimental-permission`. */
export function permissionFlag(nodeVersion: string): string {
  const [major = 0, minor = 0] = nodeVersion.split(".").map(Number);
  const isStable = major > 23 || (major === 23 && minor >= 5) || (major === 22 && minor >= 13);
  return isStable ? "--permission" : "--experimental-permission";
}

let probedTools: HostTools | undefined;

/** Tries the tools once per process: a container or an old kernel may refuse what is installed. */
export function hostTools(): HostTools {
  const works = (command: string, args: string[]) =>
    spawnSync(command, [...args, "true"], { env: {}, stdio: "ignore" }).status === 0;
  probedTools ??= {
    setpriv: works("setpriv", ["--pdeathsig", "KILL", "--no-new-privs"]),
    unshare: works("unshare", ["--user", "--map-root-user", "--net"]),
  };
  return probedTools;
}

/** The command that starts `node` as a guest: without network, and dead as soon as its parent is. */
export function guestCommand(
  tools: HostTools,
  node: readonly string[],
  cpuLimitSeconds = CPU_LIMIT_SECONDS,
): string[] {
  const withoutNetwork = tools.unshare ? ["unshare", "--user", "--map-root-user", "--net"] : [];
  const withParent = tools.setpriv
    ? ["setpriv", "--pdeathsig", "KILL", "--no-new-privs"]
    : ["/bin/sh", "-c", `ulimit -t ${cpuLimitSeconds}; exec "$@"`, "sh"];
  return [...withoutNetwork, ...withParent, ...node];
}

function nodeCommand(settings: GuestSettings & { makeSnapshot: boolean }): string[] {
  const webSocketFolder = dirname(
    realpathSync(createRequire(join(pyodideFolder, "package.json")).resolve("ws/package.json")),
  );
  const folders = [pyodideFolder, webSocketFolder, dirname(guestFile)].map((path) =>
    join(path, "*"),
  );
  const readable = [
    ...folders,
    ...settings.wheels,
    ...(settings.snapshot ? [settings.snapshot] : []),
  ];
  const pyodide = pathToFileURL(join(pyodideFolder, "pyodide.mjs")).href;
  return [
    process.execPath,
    "--no-warnings",
    permissionFlag(process.versions.node),
    // One flag per path: Node 20 ignores a list.
    ...readable.map((path) => `--allow-fs-read=${path}`),
    "--disallow-code-generation-from-strings",
    // Programs are short: V8's optimizing compiler would cost more than it gains, on the trainer's cores.
    ...(settings.makeSnapshot ? [] : ["--liftoff-only"]),
    guestFile,
    JSON.stringify({ ...settings, pyodide }),
  ];
}

function spawnGuest(settings: GuestSettings & { makeSnapshot: boolean }): ChildProcess {
  const [command, ...args] = guestCommand(hostTools(), nodeCommand(settings));
  return spawn(command!, args, {
    cwd: "/",
    env: {},
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
}

/** The line of a crash report that says what went wrong; without one, the last line. */
export function reasonIn(report: string): string {
  const lines = report.split("\n").filter((line) => line.trim() !== "");
  const reason = lines.find((line) => /^(\w*Error\b|FATAL ERROR)/.test(line)) ?? lines.at(-1) ?? "";
  return reason.trim().slice(0, REASON_CHARACTERS);
}

/** Follows a child process: its last words and how it ended. */
function watch(child: ChildProcess) {
  let lastWords = "";
  let alive = true;
  child.stderr?.on("data", (chunk) => {
    lastWords = (lastWords + chunk).slice(-STDERR_CHARACTERS);
  });
  const exited = new Promise<string>((resolve) => {
    const end = (how: string) => {
      alive = false;
      resolve(how);
    };
    child.once("exit", (code, signal) => end(signal ?? `code ${code}`));
    child.once("error", (error) => end(error.message));
  });
  const ended = async () => {
    const how = await exited;
    const reason = reasonIn(lastWords);
    return new Error(`the guest ended (${how})${reason && `: ${reason}`}`);
  };
  return { exited, ended, isAlive: () => alive };
}

/** Starts a guest. An idle guest does not keep the parent running; timers of the caller do. */
export function startGuest(settings: GuestSettings): Guest {
  const child = spawnGuest({ ...settings, makeSnapshot: false });
  const { exited, ended, isAlive } = watch(child);
  child.unref();
  child.channel?.unref();
  (child.stderr as { unref?: () => void } | null)?.unref?.();

  let lastId = 0;
  let killed = false;
  const noReply = { kind: "X", text: "the reply has not the expected form", retire: true } as const;
  let waiting: { resolve: (reply: GuestReply) => void; reject: (error: Error) => void } | undefined;
  const ready = new Promise<void>((resolve, reject) => {
    child.on("message", (message) => {
      if ((message as { ready?: boolean }).ready === true) return resolve();
      const reply = guestReply.safeParse(message);
      // guest.mjs sends nothing else: what came otherwise is the program's doing, and the guest is not to be used again.
      const isReply = reply.success && reply.data.id === lastId;
      waiting?.resolve(isReply ? reply.data : { id: lastId, ...noReply });
    });
    void ended().then((error) => {
      reject(error);
      waiting?.reject(error);
    });
  });
  ready.catch(() => {}); // a guest may be killed before anybody asks for it

  return {
    ready,
    exited,
    isAlive: () => isAlive() && !killed,
    processorSeconds: () => (child.pid === undefined ? undefined : processorSeconds(child.pid)),
    async ask(program, isScore = false) {
      if (!isAlive()) throw await ended();
      const reply = new Promise<GuestReply>((resolve, reject) => {
        waiting = { resolve, reject };
      });
      child.send({ id: ++lastId, program, isScore }, (error) => {
        if (error) child.kill("SIGKILL");
      });
      return reply;
    },
    kill() {
      killed = true;
      child.ref(); // so that `exited` is heard
      child.kill("SIGKILL");
    },
  };
}

/**
 * Boots a guest with these settings and returns its memory: loading that takes a tenth of the time of a boot.
 * @throws Error with what its stderr names as the error when the guest cannot boot.
 */
export async function makeSnapshot(settings: GuestSettings): Promise<Uint8Array> {
  const child = spawnGuest({ ...settings, makeSnapshot: true });
  const { ended } = watch(child);
  const snapshot = new Promise<Uint8Array>((resolve) => {
    child.once("message", (message) => {
      resolve((message as { snapshot: Uint8Array }).snapshot);
    });
  });
  const failure = ended().then((error) => Promise.reject(error));
  try {
    return await Promise.race([snapshot, failure]);
  } finally {
    child.kill("SIGKILL");
  }
}
