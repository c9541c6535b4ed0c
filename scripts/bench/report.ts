// What came out of the benchmark, as a file and as a table.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Precision } from "../../src/config.ts";
import { markdownTable } from "../../src/evaluate/tables.ts";
import { writeFileAtomically } from "../../src/formats/jsonl.ts";
import type { Check } from "./agreement.ts";
import type { Machine } from "./machine.ts";
import { type ModelName, type Variant, type Work, works } from "./workloads.ts";

/** Of one side. */
export interface Figures {
  /** Of each round: one pass over the work's batches. */
  readonly seconds: readonly number[];
  /** Of all threads of the process together. What other programs do to it is small, but for threads that wait in a loop. */
  readonly processorSeconds?: readonly number[];
  /** Tracing or compiling included. */
  readonly firstSeconds: number;
  readonly peakMegabytes: number;
  /** Functions traced; ours alone. */
  readonly traces?: number;
  /** Of each round, the part before the updates; of a ReFT step alone. */
  readonly rolloutSeconds?: readonly number[];
}

/** One piece of work with one model. */
export interface Result {
  readonly work: string;
  readonly model: ModelName;
  readonly date: string;
  readonly commit: string;
  /** Load average over a minute, before and after. */
  readonly load: readonly [before: number, after: number];
  /** Units of work in a round. */
  readonly units: number;
  /** Multiplications and additions that a round needs, 10^9; where a model works. */
  readonly gigaOperations?: number;
  /** What our side reaches per second with the model's largest matrix products alone, 10^9. */
  readonly peak?: number;
  readonly ours: Figures;
  readonly peers: Partial<Record<Variant, Figures>>;
  readonly checks: readonly Check[];
}

interface Results {
  readonly machine: Machine;
  readonly results: readonly Result[];
}

/** Puts results into the file of machine and precision, in place of older ones of the same work, model and peers. */
export function saveResult(
  folder: string,
  machine: Machine,
  precision: Precision,
  result: Result,
): string {
  const path = join(folder, `${fileName(machine)}${precision === "bf16" ? "-bf16" : ""}.json`);
  const key = ({ work, model, peers }: Result) =>
    `${work} ${model} ${Object.keys(peers).length > 0}`;
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Results) : null;
  const others = before?.results.filter((other) => key(other) !== key(result)) ?? [];
  const results = { machine, results: [...others, result] } satisfies Results;
  writeFileAtomically(path, `${JSON.stringify(results, null, 1)}\n`);
  return path;
}

/** `amd-epyc-avx2-2-threads`: a virtual machine's processor may be called the same with other instructions. */
function fileName({ cpu, extensions, threads }: Machine): string {
  const widest = extensions.findLast((name) => /^(amx_bf16|avx512f|avx2|asimd)$/.test(name));
  const name = `${cpu} ${widest ?? ""}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return `${name.replace(/^-|-$/g, "")}-${threads}-threads`;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Our throughput divided by the peer's, round by round: the two sides of a round ran one after the other. */
export function ratios(ours: readonly number[], peer: readonly number[]): number[] {
  return ours.map((seconds, round) => peer[round]! / seconds);
}

const heads = [
  ...["work", "model", "against", "unit", "ours", "PyTorch", "ratio, median (least to most)"],
  ...[
    "of processor time",
    "goal",
    "memory, MB: ours",
    "PyTorch",
    "ratio",
    "first step, s: ours",
    "PyTorch",
  ],
  "traced",
  ...["needed GFLOP/s", "of the products' peak", "PyTorch"],
];

/** A Markdown table: a row per result and peer, or per result where there is no peer. */
export function table(results: readonly Result[]): string {
  const rows = results.flatMap((result) => {
    const work = works.find(({ name }) => name === result.work)!;
    const variants = Object.keys(result.peers) as Variant[];
    return variants.length > 0
      ? variants.map((variant) => row(work, result, variant))
      : [row(work, result)];
  });
  return markdownTable([heads, ...rows]);
}

function row(work: Work, result: Result, variant?: Variant): string[] {
  const { model, units, ours, peers, gigaOperations, peak } = result;
  const peer = variant && peers[variant];
  const throughput = ({ seconds }: Figures) => digits(units / median(seconds));
  const ratio = peer && ratios(ours.seconds, peer.seconds);
  const processor =
    ours.processorSeconds &&
    peer?.processorSeconds &&
    ratios(ours.processorSeconds, peer.processorSeconds);
  const goal = variant && work.goals[variant];
  // Programs run in processes of their own, whose memory is not the side's.
  const hasMemory = work.kind !== "rewards";
  const speed = ({ seconds }: Figures) => gigaOperations! / median(seconds);
  const share = (figures: Figures) => `${((100 * speed(figures)) / peak!).toFixed(0)} %`;
  const { memoryGoal = 0.7 } = work;
  const memory = peer && hasMemory && ours.peakMegabytes / peer.peakMegabytes;
  return [
    work.title,
    model,
    variant ?? "",
    `${work.unit}/s`,
    throughput(ours),
    peer ? throughput(peer) : "",
    ratio
      ? `${median(ratio).toFixed(2)} (${Math.min(...ratio).toFixed(2)} to ${Math.max(...ratio).toFixed(2)})`
      : "",
    processor ? median(processor).toFixed(2) : "",
    ratio && goal ? `${goal} ${median(ratio) >= goal ? "met" : "missed"}` : "",
    hasMemory ? ours.peakMegabytes.toFixed(0) : "",
    peer && hasMemory ? peer.peakMegabytes.toFixed(0) : "",
    memory
      ? `${memory.toFixed(2)} (goal ${memoryGoal}, ${memory <= memoryGoal ? "met" : "missed"})`
      : "",
    ours.firstSeconds.toFixed(2),
    peer ? peer.firstSeconds.toFixed(2) : "",
    ours.traces === undefined ? "" : String(ours.traces),
    ...(peak ? [digits(speed(ours)), share(ours), peer ? share(peer) : ""] : ["", "", ""]),
  ];
}

/** Three digits that count. */
function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
