// Starts a command as several processes, of this machine or of several ones where it is started, too; they find each other and compute
// it together (docs/distributed.md). Ends all of this machine when one fails.
import { type ChildProcess, fork } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { show, UserError } from "../errors.ts";
import { readText } from "../formats/jsonl.ts";
import { listeningPorts } from "../run/place.ts";
import { madeBySetup } from "../setup.ts";
import { suggestion } from "../suggest.ts";
import { checkCount } from "./count.ts";
import { type Ranks, ranksOfHosts } from "./hostsFile.ts";

/** Commands that several processes can run together. */
const launchable = ["train-sft", "train-reft", "train-rerank", "sample", "evaluate"];

export interface LaunchArguments {
  /** How many there are on this machine. */
  readonly processes: number;
  /** A file of all machines that are given this command; without it there is this one alone. */
  readonly hosts?: string | undefined;
  /** This machine's name in the file, where its own name and addresses do not say so. */
  readonly host?: string | undefined;
  /** The command's name and its flags. */
  readonly command: readonly string[];
}

/** More would only take each other's memory, half a gigabyte each before there is a model. */
const ranksPerCore = 4;

/** How long the first rank may take to notice that another one has failed, and to say so. */
const graceMilliseconds = 3000;

/** Last lines of a rank that are shown when it fails and the first one does not say why. */
const shownLines = 20;

/**
 * Runs a command as so many ranks; the first of all has the terminal of its machine.
 *
 * @returns 0, or the exit code of the first rank, when that has said what is wrong
 * @throws UserError for what cannot be started, and for a rank that fails where the first one is elsewhere or does not say so
 */
export async function launch(launched: LaunchArguments): Promise<number> {
  const { processes, hosts: file, host, command } = launched;
  checkCount("processes", processes);
  if (host !== undefined && file === undefined)
    throw new UserError("host: expected --hosts, too, found none; give both or neither");
  const [name = ""] = command;
  if (!launchable.includes(name))
    throw new UserError(
      `expected one of ${launchable.join(", ")} after --, found ${show(name)}${suggestion(name, launchable)}`,
    );
  const gpus = usableGpus();
  if (gpus.length > 0 && processes > gpus.length)
    throw new UserError(
      `processes: expected at most ${gpus.length}, one for each GPU, found ${processes}; give fewer`,
    );
  const most = ranksPerCore * availableParallelism();
  if (gpus.length === 0 && processes > most)
    throw new UserError(
      `processes: expected at most ${most}, ${ranksPerCore} for each processor core, found ${processes}; ` +
        "one for each core computes fastest, so give fewer",
    );
  const { hosts, first } =
    file === undefined
      ? await ranksOfThisMachine(processes)
      : ranksOfHosts(readText(file), file, processes, host);
  const ranks = Array.from({ length: processes }, (_, i) =>
    startRank(first + i, command, hosts, processes, gpus[i]),
  );
  const [told] = ranks as [Rank];
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => told.child.kill(signal)); // all stop when one is told to
  const failed = await firstFailure(ranks);
  if (failed === undefined) return 0;
  const own = await Promise.race([told.ended, setTimeout(graceMilliseconds)]);
  for (const { child } of ranks) child.kill("SIGKILL"); // nothing that a run has saved is lost by that
  if (first === 0 && own?.code) return own.code;
  const { rank, code, signal } = failed;
  const { said } = ranks[rank - first]!;
  throw new UserError(
    `rank ${rank} of ${hosts.length} ended with ${signal ?? `exit code ${code}`}, so all were ended; ` +
      `the same command goes on from what was saved before${said.length > 0 ? `. It said:\n${said.join("\n")}` : ""}`,
  );
}

async function ranksOfThisMachine(processes: number): Promise<Ranks> {
  const ports = await freePorts(processes);
  return { hosts: ports.map((port) => `127.0.0.1:${port}`), first: 0 };
}

interface Ended {
  readonly rank: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface Rank {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Its last lines; none of the first rank, which has the terminal. */
  readonly said: string[];
}

function startRank(
  rank: number,
  command: readonly string[],
  hosts: readonly string[],
  processes: number,
  gpu: string | undefined,
): Rank {
  const threads = String(Math.max(1, Math.floor(availableParallelism() / processes)));
  const child = fork(program, command, {
    env: {
      TF_NUM_INTRAOP_THREADS: threads,
      TF_NUM_INTEROP_THREADS: threads,
      TF_CPP_MIN_LOG_LEVEL: "3", // silences what TensorFlow writes of a rank that is gone
      ...process.env,
      REFT_RANK: String(rank),
      REFT_HOSTS: hosts.join(","),
      ...(gpu !== undefined && { CUDA_VISIBLE_DEVICES: gpu }),
    },
    // A process group of its own: a signal of the terminal reaches it through us alone, and once.
    detached: true,
    stdio:
      rank === 0 ? ["inherit", "inherit", "inherit", "ipc"] : ["ignore", "ignore", "pipe", "ipc"],
  });
  const said: string[] = [];
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said.push(...text.split("\n").filter((line) => line !== ""));
    said.splice(0, said.length - shownLines);
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ rank, code, signal }));
  });
  return { child, ended, said };
}

/** The command line's own file, compiled or not. */
const program = fileURLToPath(new URL(`../cli${extname(import.meta.url)}`, import.meta.url));

/** Undefined when all end well. */
function firstFailure(ranks: readonly Rank[]): Promise<Ended | undefined> {
  return new Promise((resolve) => {
    const all = ranks.map(async ({ ended }) => {
      const end = await ended;
      if (end.code !== 0) resolve(end);
    });
    void Promise.all(all).then(() => resolve(undefined));
  });
}

/** Ports that nobody uses just now, of those that no outgoing connection takes meanwhile. */
async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  for (let tried = 0; found.length < count && tried < listeningPorts.count; tried++) {
    const port = listeningPorts.first + ((7 * process.pid + tried) % listeningPorts.count);
    if (await isFree(port)) found.push(port);
  }
  if (found.length < count)
    throw new UserError(`processes: expected ${count} free ports, found ${found.length}`);
  return found;
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}

/** The names of the GPUs that processes may use; none where the set-up is for CPUs. */
function usableGpus(): string[] {
  const driver = "/proc/driver/nvidia/gpus";
  if (!existsSync(madeBySetup("site/nvidia")) || !existsSync(driver)) return [];
  const chosen = process.env.CUDA_VISIBLE_DEVICES?.split(",").filter((name) => name !== "");
  return chosen ?? [...readdirSync(driver).keys()].map(String);
}
