// Which of several processes this one is, as its environment says (docs/distributed.md).
import { execFileSync } from "node:child_process";
import { messageOf, show, UserError } from "../errors.ts";
import type { Place } from "../ranks.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Which process of how many this is: by REFT_RANK and REFT_HOSTS, by TF_CONFIG as TensorFlow has it, or by what srun sets.
 *
 * @returns undefined where nothing speaks of others
 * @throws UserError for what cannot be
 */
export function placeIn(environment: Environment): Place | undefined {
  const place = byOwnVariables(environment) ?? byTensorFlow(environment) ?? bySlurm(environment);
  return place && checked(place);
}

interface Told {
  /** Where it was said. */
  readonly by: string;
  readonly rank: number;
  readonly hosts: readonly string[];
}

function checked({ by, rank, hosts }: Told): Place {
  const host = new RegExp(`^(${hostPattern.source}):\\d{1,5}$`);
  const wrong = hosts.find((text) => !host.test(text));
  if (wrong !== undefined)
    throw new UserError(`${by}: expected hosts as host:port, found ${show(wrong)}`);
  if (new Set(hosts).size < hosts.length)
    throw new UserError(`${by}: expected different hosts or ports, found ${show(hosts.join(","))}`);
  if (!(Number.isInteger(rank) && rank >= 0 && rank < hosts.length))
    throw new UserError(
      `${by}: expected a rank from 0 to ${hosts.length - 1}, because there are ${hosts.length} hosts, found ${rank}`,
    );
  return { rank, hosts };
}

function byOwnVariables({ REFT_RANK, REFT_HOSTS }: Environment): Told | undefined {
  if (REFT_RANK === undefined && REFT_HOSTS === undefined) return undefined;
  const by = "REFT_RANK and REFT_HOSTS";
  if (REFT_RANK === undefined || REFT_HOSTS === undefined)
    throw new UserError(`${by}: expected both, found one of them`);
  const rank = /^\d+$/.test(REFT_RANK) ? Number(REFT_RANK) : Number.NaN;
  return { by, rank, hosts: REFT_HOSTS.split(",") };
}

/** `{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}` */
function byTensorFlow({ TF_CONFIG }: Environment): Told | undefined {
  if (TF_CONFIG === undefined || TF_CONFIG === "") return undefined;
  const by = "TF_CONFIG";
  try {
    const { cluster, task } = JSON.parse(TF_CONFIG);
    if (task.type !== "worker") throw new Error("task.type");
    return { by, rank: Number(task.index), hosts: [...cluster.worker].map(String) };
  } catch {
    throw new UserError(
      `${by}: expected JSON with cluster.worker, a list of host:port, and task of type worker with its index, found ${show(TF_CONFIG)}`,
    );
  }
}

/** How a host may be written: a name, an IPv4 address, or an IPv6 address in brackets. */
export const hostPattern = /[\w.-]+|\[[\da-fA-F:]+\]/;

/** Whether nobody but this machine reaches it. @param host without a port */
export function isLoopback(host: string): boolean {
  return /^(127\.[\d.]+|localhost|\[::1\])$/.test(host);
}

/** Ports that ranks listen on: Linux gives those from 32768 on to outgoing connections. */
export const listeningPorts = { first: 20_000, count: 12_000 } as const;

/** srun numbers tasks, SLURM_PROCID of SLURM_STEP_NUM_TASKS, on the hosts of a list in SLURM's own short form. */
function bySlurm(environment: Environment): Told | undefined {
  const { SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_STEP_NODELIST } = environment;
  if (SLURM_PROCID === undefined || SLURM_STEP_NUM_TASKS === undefined) return undefined;
  if (SLURM_STEP_NUM_TASKS === "1") return undefined;
  const by = "SLURM's variables";
  const names = hostnamesOf(SLURM_STEP_NODELIST ?? "");
  const perHost = tasksPerHost(environment.SLURM_STEP_TASKS_PER_NODE ?? "");
  // The job's number chooses: two jobs that share a host rarely meet.
  const port =
    listeningPorts.first + (Number(environment.SLURM_JOB_ID ?? 0) % listeningPorts.count);
  const hosts = names.flatMap((name, i) =>
    Array.from({ length: perHost[i] ?? 0 }, (_, task) => `${name}:${port + task}`),
  );
  const rank = Number(SLURM_PROCID);
  const own = names[Number(environment.SLURM_NODEID)];
  if (hosts.length !== Number(SLURM_STEP_NUM_TASKS) || !hosts[rank]?.startsWith(`${own}:`))
    throw new UserError(
      `${by}: expected tasks that fill one host after the other, found others; give srun --distribution=block`,
    );
  return { by, rank, hosts };
}

function hostnamesOf(list: string): string[] {
  try {
    const names = execFileSync("scontrol", ["show", "hostnames", list], { encoding: "utf8" });
    return names.trim().split("\n");
  } catch (error) {
    throw new UserError(
      `SLURM_STEP_NODELIST: expected scontrol to name the hosts of ${show(list)}, found: ${messageOf(error)}; set REFT_RANK and REFT_HOSTS`,
    );
  }
}

/** `2(x3),1` is 2, 2, 2, 1. */
function tasksPerHost(text: string): number[] {
  return text.split(",").flatMap((part) => {
    const [, tasks, times = "1"] = /^(\d+)(?:\(x(\d+)\))?$/.exec(part) ?? [];
    return new Array<number>(Number(times)).fill(Number(tasks));
  });
}
