// What connects the processes that compute one thing together (ranks.ts): TensorFlow's own distributed runtime. It adds up gradients
// inside compiled functions, carries plain data between them, and notices who is gone.
import { createHash } from "node:crypto";
import { becomeRank, type Place, rankCount } from "../ranks.ts";
import {
  attribute,
  backend,
  executeOp,
  FLOAT,
  native,
  readAndDispose,
  type Tensor,
  tf,
} from "./tf.ts";
import type { Variable } from "./variable.ts";

/** How long the others are waited for. */
export interface Patience {
  /** How long all of them may take to come, in seconds. */
  readonly joinSeconds: number;
  /** How long each may give no sign of life, in seconds. */
  readonly heartbeatSeconds: number;
}

/**
 * Joins the other processes through TensorFlow's distributed runtime, before the first variable is made.
 *
 * @throws Error when the port is taken, or one of the others does not come
 */
export function join(own: Place, { joinSeconds, heartbeatSeconds }: Patience): void {
  const leader = taskOf(0);
  const tasks = own.hosts.map((host, rank) => `tasks { key: ${rank} value: "${host}" }`).join(" ");
  // The barrier makes the time limit of registering hold; without it a process waits for ever for one that never comes.
  const server = `
    cluster { job { name: "worker" ${tasks} } }
    job_name: "worker" task_index: ${own.rank} protocol: "grpc"
    default_session_config { experimental {
      collective_group_leader: "${leader}"
      collective_nccl: ${backend.isUsingGpuDevice}
      coordination_config {
        service_type: "standalone" service_leader: "${leader}"
        coordinated_job_list { name: "worker" num_tasks: ${own.hosts.length} }
        cluster_register_timeout_in_ms: ${1000 * joinSeconds} cluster_register_with_barrier: true
        heartbeat_timeout_in_ms: ${1000 * heartbeatSeconds} shutdown_barrier_timeout_in_ms: 5000
      } } }`;
  native.clusterJoin(server, taskOf(own.rank));
  becomeRank(own, exchange);
}

function taskOf(rank: number): string {
  return `/job:worker/replica:0/task:${rank}`;
}

/** What stands around a message on its way through TensorFlow's errors. */
const [messageBegin, messageEnd] = ["<<<", ">>>"];

/** Ends what the other ranks wait for together; what they throw says why. */
export function reportToRanks(message: string): void {
  if (rankCount() > 1) native.clusterReport(messageBegin + message + messageEnd);
}

/** Why a rank cannot go on, where that is due to another one. */
export interface LostRank {
  /** Undefined where TensorFlow does not say which. */
  readonly rank: number | undefined;
  readonly why: "gone" | "silent" | "reported";
  /** What it has reported. */
  readonly message?: string | undefined;
}

/** Which of the other ranks an error comes from; undefined for errors of this process alone. */
export function lostRank(error: unknown): LostRank | undefined {
  const text = error instanceof Error ? error.message : "";
  const isOfOthers =
    /Collective ops is aborted by|CoordinationService|worker\/replica:0\/task/.test(text);
  if (rankCount() === 1 || !isOfOthers) return undefined;
  const message = new RegExp(`${messageBegin}(.*?)${messageEnd}`, "s").exec(text)?.[1];
  const task = /replica:0\/task:(\d+)/.exec(text)?.[1]; // the first one that is named is the one that others lost, too
  const why = /stopped sending heartbeats/.test(text) ? "silent" : "gone";
  const rank = task === undefined ? undefined : Number(task);
  return { rank, why: message === undefined ? why : "reported", message };
}

/**
 * Replaces variables by their sums over all ranks, in the same bits on every rank. For use inside a compiled step: on a GPU nothing
 * leaves the devices.
 *
 * @param name the same on all ranks, and of nothing else that is added up
 */
export function addOverRanks(name: string, variables: readonly Variable[]): void {
  if (rankCount() === 1) return;
  bucketsOf(variables).forEach((bucket, i) => {
    const flat = bucket.map((variable) => tf.reshape(variable.read(), [-1]));
    const sum = allReduce(`${name} ${i}`, flat.length === 1 ? flat[0]! : tf.concat(flat));
    let begin = 0;
    for (const variable of bucket) {
      const own = bucket.length === 1 ? sum : tf.slice(sum, [begin], [variable.size]);
      begin += variable.size;
      variable.clear();
      variable.assignAdd(tf.reshape(own, [...variable.shape]));
    }
  });
}

/** The sum of a tensor over all ranks, as numbers. @param name the same on all ranks; its shape may be any */
export function sumOverRanks(name: string, make: () => Tensor): Float32Array {
  return readAndDispose([tf.tidy(() => allReduce(name, make()))])[0]!;
}

/** A variable larger than this travels alone; smaller neighbours are packed up to it, so that there are few messages, none of them huge. */
export const bucketBytes = 32e6;

function bucketsOf(variables: readonly Variable[]): Variable[][] {
  const buckets: Variable[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const variable of variables) {
    bytes += 4 * variable.size;
    if (bytes > bucketBytes) {
      buckets.push([]);
      bytes = 4 * variable.size;
    }
    buckets.at(-1)!.push(variable);
  }
  return buckets;
}

/** Longest wait of one rank for another that lives but does not come: a net under the heartbeat, far above any rollout. */
const collectiveSeconds = 4 * 3600;

function allReduce(name: string, tensor: Tensor): Tensor {
  return collective("CollectiveReduceV2", name, tensor, [
    attribute.string("merge_op", "Add"),
    attribute.string("final_op", "Id"),
    attribute.int("max_subdivs_per_device", -1),
  ]);
}

/** [n] of each rank, to [ranks * n] on all. */
function allGather(values: Float32Array): Float32Array {
  const op = "CollectiveGatherV2";
  return readAndDispose([tf.tidy(() => collective(op, "plain data", tf.tensor1d(values), []))])[0]!;
}

/** An op in which all ranks take part. */
function collective(
  op: string,
  name: string,
  tensor: Tensor,
  attributes: readonly ReturnType<typeof attribute.int>[],
): Tensor {
  const [groupSize, groupKey, instanceKey] = [rankCount(), 1, keyOf(op, name, tensor)].map((key) =>
    tf.scalar(key, "int32"),
  );
  const ids = backend.getInputTensorIds([tensor, groupSize!, groupKey!, instanceKey!]);
  const [sum] = executeOp(
    op,
    [
      attribute.type("T", FLOAT),
      ...attributes,
      attribute.string("communication_hint", "auto"),
      attribute.float("timeout_seconds", collectiveSeconds),
      attribute.bool("is_stateless", false),
      attribute.int("Nordering_token", 0),
    ],
    [...ids, []], // the ops end with a list of ordering tokens; control edges order them here (compile.ts)
    1,
  );
  return backend.createOutputTensor(sum!);
}

const nameOfKey = new Map<number, string>();

/**
 * The number by which an op finds its partners on the other ranks: the same there, and another one for every name and shape. Ranks need
 * not trace the same functions in the same order, so counting would not do.
 */
function keyOf(op: string, name: string, { shape }: Tensor): number {
  const full = `${op} ${name} [${shape}]`;
  const key = createHash("sha256").update(full).digest().readInt32BE() & 0x7fffffff;
  if ((nameOfKey.get(key) ?? full) !== full)
    throw new Error(`${full} has the key of ${nameOfKey.get(key)}: give it another name`);
  nameOfKey.set(key, full);
  return key;
}

/** Numbers that travel at first: what is longer needs a second message. */
const firstNumbers = 1024;

/**
 * Bytes of all ranks. They travel as float32, the type that collective ops take on every device, two in each number, behind their
 * count; as many numbers from every rank, rounded up so that there are few sizes.
 */
function exchange(bytes: Uint8Array): Buffer[] {
  const numbers = toNumbers(bytes);
  const count = rankCount();
  const from = (all: Float32Array, rank: number) =>
    all.subarray((rank * all.length) / count, ((rank + 1) * all.length) / count);
  const first = allGather(ofLength(numbers.subarray(0, firstNumbers), firstNumbers));
  const lengths = Array.from({ length: count }, (_, rank) => lengthOf(from(first, rank)));
  const longest = Math.max(...lengths) - firstNumbers;
  const rest =
    longest > 0
      ? allGather(ofLength(numbers.subarray(firstNumbers), 2 ** Math.ceil(Math.log2(longest))))
      : new Float32Array();
  return lengths.map((length, rank) => {
    const all = ofLength(from(first, rank), Math.max(length, firstNumbers));
    all.set(from(rest, rank).subarray(0, all.length - firstNumbers), firstNumbers);
    return toBytes(all);
  });
}

/** Whole numbers up to here are exact in float32. */
const radix = 2 ** 24;
const headNumbers = 2;

function toNumbers(bytes: Uint8Array): Float32Array {
  const numbers = new Float32Array(headNumbers + Math.ceil(bytes.length / 2));
  numbers[0] = Math.floor(bytes.length / radix);
  numbers[1] = bytes.length % radix;
  bytes.forEach((byte, i) => {
    numbers[headNumbers + (i >> 1)]! += i % 2 === 0 ? byte : 256 * byte;
  });
  return numbers;
}

function bytesIn(numbers: Float32Array): number {
  return numbers[0]! * radix + numbers[1]!;
}

function lengthOf(numbers: Float32Array): number {
  return headNumbers + Math.ceil(bytesIn(numbers) / 2);
}

function toBytes(numbers: Float32Array): Buffer {
  const bytes = Buffer.alloc(bytesIn(numbers));
  for (let i = 0; i < bytes.length; i++) {
    const pair = numbers[headNumbers + (i >> 1)]!;
    bytes[i] = i % 2 === 0 ? pair % 256 : Math.floor(pair / 256);
  }
  return bytes;
}

function ofLength(numbers: Float32Array, length: number): Float32Array {
  const padded = new Float32Array(length);
  padded.set(numbers);
  return padded;
}
