// Looks whether all that training needs is there and works, from the processor to a training from end to end.
import { statfsSync } from "node:fs";
import { cpus, homedir, tmpdir } from "node:os";
import { resolve } from "node:path";
import { generateProblems } from "../data/datasets/generated.ts";
import { trainTokenizer } from "../data/tokenizer.ts";
import { roundsProductsToBf16 } from "../engine/products.ts";
import { lacksGpu, native, usesNativeOps } from "../engine/tf.ts";
import { asUserError, messageOf } from "../errors.ts";
import { createSandbox } from "../reward/sandbox/sandbox.ts";
import {
  gpuNames,
  type Instructions,
  instructions,
  systemFile,
  type Threads,
  threadsHere,
} from "../run/machine.ts";
import { gigabytes, type MachineMemory, machineMemory } from "../run/machineMemory.ts";
import { trainTiny } from "./tinyTraining.ts";

interface Observation {
  readonly state: "ok" | "warning" | "failed";
  readonly found: string;
  /** What to do. */
  readonly advice?: string;
}

/** What one check has found. */
export interface Finding extends Observation {
  readonly name: string;
  readonly seconds: number;
}

type Check = () => Observation | Promise<Observation>;

const ok = (found: string): Observation => ({ state: "ok", found });
const warning = (found: string, advice: string): Observation => ({
  state: "warning",
  found,
  advice,
});
const failed = (found: string, advice: string): Observation => ({ state: "failed", found, advice });

const checks: Readonly<Record<string, Check>> = {
  engine: () => ok(`TensorFlow ${native.TF_Version}, Node ${process.versions.node}`),
  processor: checkProcessor,
  threads: () => describeThreads(threadsHere()),
  GPU: checkGpu,
  memory: () => describeMemory(machineMemory()),
  disk: checkDisk,
  tokenizer: checkTokenizer,
  sandbox: checkSandbox,
  training: checkTraining,
};

/**
 * Runs all checks, one after the other: what one finds keeps none from being made.
 *
 * @param onFinding told each as soon as it is there
 */
export async function doctor(onFinding: (finding: Finding) => void): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [name, check] of Object.entries(checks)) {
    const startedAt = performance.now();
    const observation = await observe(check);
    const seconds = Math.round(performance.now() - startedAt) / 1000;
    const finding = { name, ...withoutPlaces(observation), seconds };
    findings.push(finding);
    onFinding(finding);
  }
  return findings;
}

async function observe(check: Check): Promise<Observation> {
  try {
    return await check();
  } catch (error) {
    const expected = asUserError(error);
    if (expected) return { state: "failed", found: expected.message };
    const advice =
      "this is an error of the program; report it with the output of reft doctor --json";
    return failed(messageOf(error), advice);
  }
}

function checkProcessor(): Observation {
  const limit = process.env.ONEDNN_MAX_CPU_ISA;
  return describeProcessor({
    ...instructions(systemFile, limit),
    name: cpus()[0]?.model.trim() ?? process.arch,
    computes: usesNativeOps,
    roundsToBf16: roundsProductsToBf16(),
    isLimited: limit !== undefined,
  });
}

export interface Processor extends Instructions {
  readonly name: string;
  /** Rather than a GPU. */
  readonly computes: boolean;
  readonly roundsToBf16: boolean;
  /** Is ONEDNN_MAX_CPU_ISA set? */
  readonly isLimited: boolean;
}

export function describeProcessor(processor: Processor): Observation {
  const { name, available, kernels, computes, roundsToBf16, isLimited } = processor;
  const sets = available.length === 0 ? "neither AVX2 nor AVX-512 nor AMX" : available.join(", ");
  if (!computes) return ok(`${name}: ${sets}; a GPU computes`);
  const found = `${name}: ${sets}; kernels for ${kernels}, bf16 ${roundsToBf16 ? "by AMX" : "as float32"}`;
  if (available.length === 0) return warning(found, "training is slow here: take one with AVX2");
  const isHeldBack = kernels !== available.findLast((set) => set !== "AMX");
  const lacksTiles = available.includes("AMX") && !roundsToBf16;
  if (isLimited && (isHeldBack || lacksTiles))
    return warning(found, "ONEDNN_MAX_CPU_ISA keeps faster ones off: unset it");
  if (lacksTiles)
    return warning(found, "for precision bf16 run the set-up again, with g++ 11 or newer");
  return ok(found);
}

export function describeThreads({ threads, processors, quota, load }: Threads): Observation {
  const limit = quota === undefined ? "no quota" : `a quota of ${Number(quota.toFixed(2))}`;
  const found = `${threads} threads on ${processors} processors, ${limit}, load ${load.toFixed(1)}`;
  const most = Math.max(1, Math.ceil(Math.min(processors, quota ?? processors)));
  if (threads > most)
    return warning(
      found,
      `more threads than processors wait for each other: set TF_NUM_INTRAOP_THREADS=${most}`,
    );
  if (load > 2 * processors)
    return warning(found, "others keep the processors busy: all takes longer than it need");
  return ok(found);
}

function checkGpu(): Observation {
  return describeGpu(gpuNames(), !usesNativeOps, lacksGpu);
}

/** @param gpus as nvidia-smi names them; empty where it names none */
export function describeGpu(gpus: string, isUsed: boolean, isWanted: boolean): Observation {
  if (isUsed) return ok(`in use: ${gpus || "nvidia-smi names none"}`);
  if (isWanted)
    return warning(
      `the set-up is for GPUs, but none is in use; nvidia-smi names ${gpus || "none"}`,
      "TF_CPP_MIN_LOG_LEVEL=0 before a command says why; see docs/setup.md for drivers",
    );
  if (gpus !== "")
    return warning(`not in use: ${gpus}`, "the set-up with --gpu takes it: docs/setup.md");
  return ok("none; the CPU computes");
}

export function describeMemory({ free, total, where }: MachineMemory): Observation {
  const ofContainer = where === "container" ? " that the container may have" : "";
  const all = `${gigabytes(total)}${ofContainer}`;
  const found = `${gigabytes(free)} free of ${all}`;
  if (free >= 2e9) return ok(found);
  return warning(found, "end what else takes memory; docs/memory.md says what a model needs");
}

function checkDisk(): Observation {
  const free = (path: string) => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  };
  return describeDisk(free("."), free(tmpdir()));
}

export function describeDisk(here: number, temporary: number): Observation {
  const found = `${gigabytes(here)} free in this folder, ${gigabytes(temporary)} in the one for temporary files`;
  if (Math.min(here, temporary) < 5e7) return failed(found, "free some space");
  if (here < 5e9)
    return warning(found, "a run keeps two checkpoints of 12 bytes a weight: free some space");
  return ok(found);
}

function checkTokenizer(): Observation {
  const { train } = generateProblems({ train: 32, answerOnly: 0, dev: 0, test: 0 }, 1);
  const tokenizer = trainTokenizer(
    train.map(({ question }) => question),
    300,
  );
  const text = "  Zwölf\tBälle 🎈\r\n\n日本語 e\u0301 \u0000 </s> 12,345.60";
  const tokens = tokenizer.encode(text);
  if (tokenizer.decode(tokens) === text) return ok(`a text of ${tokens.length} tokens comes back`);
  return failed("a text does not come back from its tokens", "please report it");
}

async function checkSandbox(): Promise<Observation> {
  const startedAt = performance.now();
  const sandbox = await createSandbox({ timeoutSeconds: 10, workers: 1, memoryMegabytes: 256 });
  try {
    const provenAt = performance.now();
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    const outcomes = await Promise.all(
      numbers.map((i) => sandbox.run(`def solution():\n    return ${i} * 7`)),
    );
    const rate = numbers.length / ((performance.now() - provenAt) / 1000);
    const wrong = outcomes.find(
      (outcome, i) => outcome.kind !== "answer" || outcome.value !== 7 * i,
    );
    if (wrong) return failed(`a program came to ${JSON.stringify(wrong)}`, "see docs/sandbox.md");
    const proven = ((provenAt - startedAt) / 1000).toFixed(1);
    return ok(`closed, proven in ${proven} s; ${Math.round(rate)} programs per second and worker`);
  } finally {
    await sandbox.close();
  }
}

async function checkTraining(): Promise<Observation> {
  const { losses, logprobGap } = await trainTiny();
  const [first, last] = losses.map((loss) => loss.toFixed(2));
  const found = `SFT from loss ${first} to ${last}, a step of ReFT, gap of log-probabilities ${logprobGap.toExponential(0)}`;
  return losses[1] < losses[0]
    ? ok(found)
    : failed(found, "the loss has to fall: please report it");
}

/** Without the paths of this machine's user, for a report that others read. */
function withoutPlaces({ state, found, advice }: Observation): Observation {
  const home = resolve(import.meta.dirname, "..", "..");
  const places = [
    [home, "REFT"],
    [process.cwd(), "."],
    [tmpdir(), "TMP"],
    [homedir(), "~"],
  ].filter(([place]) => place !== "/") as [string, string][];
  const plain = (text: string) =>
    places.reduce((changed, [place, name]) => changed.replaceAll(place, name), text);
  return { state, found: plain(found), ...(advice !== undefined && { advice: plain(advice) }) };
}
