// What a run is told about itself for its report: the machine that it runs on, and how long its data is.
import { cpus } from "node:os";
import { native, usesNativeOps } from "../engine/tf.ts";
import { replaceFile } from "../formats/disk.ts";
import { jsonText } from "../formats/jsonl.ts";
import { version } from "../setup.ts";
import { type Lengths, lengthsOf } from "./lengths.ts";
import { gpuNames, instructions, systemFile, threadsHere } from "./machine.ts";
import { gigabytes, machineMemory } from "./machineMemory.ts";
import { aboutIn } from "./metrics.ts";
import type { Run } from "./run.ts";

/** A file of examples as a stage reads it. */
export interface ReadFile {
  /** The setting that names it. */
  readonly setting: string;
  /** Rows that are used. */
  readonly rows: number;
  /** Rows that were left out, because they are too long. */
  readonly tooLong: number;
  /** Lengths are in tokens, and of the rows that are used. */
  readonly prompt: Lengths;
  readonly completion?: Lengths;
}

/** Writes about.json anew: a run that goes on may do so on another machine. */
export function writeAbout(run: Pick<Run, "folder" | "disk">, files: readonly ReadFile[]): void {
  replaceFile(run.disk, aboutIn(run.folder), jsonText({ machine: thisMachine(), files }));
}

/** @param sequences rows that are used, in tokens */
export function readFileOf(
  setting: string,
  tooLong: number,
  sequences: readonly {
    readonly prompt: readonly number[];
    readonly response?: readonly number[];
  }[],
): ReadFile {
  const responses = sequences.flatMap(({ response }) => response?.length ?? []);
  return {
    ...{ setting, rows: sequences.length, tooLong },
    prompt: lengthsOf(sequences.map(({ prompt }) => prompt.length)),
    ...(responses.length > 0 && { completion: lengthsOf(responses) }),
  };
}

/** A file of questions, whose answers nobody has written yet. */
export function questionsFile(
  setting: string,
  {
    questions,
    tooLong,
  }: {
    readonly questions: readonly { readonly prompt: { readonly tokens: readonly number[] } }[];
    readonly tooLong: number;
  },
): ReadFile {
  const sequences = questions.map(({ prompt }) => ({ prompt: prompt.tokens }));
  return readFileOf(setting, tooLong, sequences);
}

/** What it consists of, under names for a reader. */
function thisMachine(): Readonly<Record<string, string>> {
  const { threads, processors, quota } = threadsHere();
  const { available } = instructions(systemFile, process.env.ONEDNN_MAX_CPU_ISA);
  return {
    "computed by": usesNativeOps ? "CPU" : `GPU: ${gpuNames() || "one that nvidia-smi names not"}`,
    processor: [cpus()[0]?.model.trim() ?? process.arch, ...available].join(", "),
    threads: `${threads} on ${processors} processors${quota === undefined ? "" : `, a quota of ${Number(quota.toFixed(2))}`}`,
    memory: gigabytes(machineMemory().total),
    versions: `ReFT ${version()}, Node ${process.versions.node}, TensorFlow ${native.TF_Version}`,
  };
}
