// How much memory a task will take, part by part, before it runs. A stage says what it holds and the sizes of what it computes (Workload);
// what that takes follows from the shape of the model (model/footprint.ts).
import { bucketBytes } from "../engine/cluster.ts";
import { usesNativeOps } from "../engine/tf.ts";
import type { AdapterSettings } from "../model/adapter.ts";
import type { PackedBatch } from "../model/batch.ts";
import type { ModelConfig } from "../model/config.ts";
import {
  adapterCount,
  type BatchSize,
  cacheBytes,
  decodeBytes,
  fullest,
  type GeneratorSize,
  largestCopy,
  type Pass,
  scoringBytes,
  totalOf,
  trainedVariables,
  trainingBytes,
  weightBytes,
} from "../model/footprint.ts";
import { parameterCount } from "../model/model.ts";
import { rankCount, rankCountOfMachine } from "../ranks.ts";

/** What a task holds and computes. */
export interface Workload {
  readonly config: ModelConfig;
  readonly heldAs: "float32" | "bf16";
  /** Of the model: trained where there is training. */
  readonly adapter: AdapterSettings | undefined;
  /** The frozen model beside the one that is trained. */
  readonly reference: "none" | "weights" | "adapter";
  /** Weights of a value head or a classifier's head. */
  readonly headCount: number;
  /** Of vocabulary or labels. */
  readonly classes: number;
  readonly training?: {
    readonly batches: readonly BatchSize[];
    readonly recompute: boolean;
    /** Matrices as large as the logits that the loss needs at once. */
    readonly logitsCopies: number;
    /** Whether each rank has its share of the moments alone. */
    readonly shardOptimizer: boolean;
  };
  readonly scored: readonly BatchSize[];
  readonly generators: readonly GeneratorSize[];
  /** Processes of the sandbox. */
  readonly guests: number;
}

/** Bytes of a part, by what it is called. */
export interface Part {
  readonly name: string;
  readonly bytes: number;
}

export interface Forecast {
  readonly parameters: number;
  /** 0 where nothing is trained. */
  readonly trained: number;
  readonly parts: readonly Part[];
  /** Of the process, at its fullest: the sum of the parts. */
  readonly bytes: number;
  /** Of the sandbox's guests, which are processes of their own. */
  readonly guests: number;
  /** How many processes of this machine take as much, each with guests of its own. */
  readonly processes: number;
  readonly isOnGpu: boolean;
}

/** What all processes of this machine take together, with their guests, in bytes. */
export function togetherOf({ bytes, guests, processes }: Forecast): number {
  return processes * (bytes + guests);
}

/** How many steps a run takes. */
export interface StepCount {
  readonly perEpoch: number;
  readonly total: number;
}

/** Node, TensorFlow's code and our own, before anything is done; what running them takes beside; a tokenizer's share per token. */
export const codeBytes = 400e6;
const runningBytes = 80e6;
const tokenBytes = 500;
/** Of the graphs of compiled steps, as measured: of the first one, and the optimizer's, and of each further one that other sizes need. */
const graphBytes = { perVariable: 0.38e6, perFurtherSize: 0.07e6, perScoredLayer: 0.3e6 };
/** What TensorFlow's distributed runtime takes, as measured, and how often it holds a bucket of gradients that is under way. */
const exchangeBytes = { runtime: 45e6, copiesOfBucket: 3.5 };
/** A guest at its fullest, with sympy. */
const guestBytes = 250e6;

/** @param isOnGpu whether it runs there; what that takes was never measured */
export function forecastOf(workload: Workload, isOnGpu = !usesNativeOps): Forecast {
  const { config, heldAs, adapter, reference, headCount, classes, training } = workload;
  const adapted = adapter ? adapterCount(config, adapter) : 0;
  const parameters = parameterCount(config);
  const trained = training ? (adapter ? adapted : parameters) + headCount : 0;
  const pass: Pass = {
    ...{ heldAs, adapter, classes, isOnGpu },
    recompute: training?.recompute ?? false,
    logitsCopies: training?.logitsCopies ?? 1,
  };
  const ofPasses = fullest([
    ...(training?.batches ?? []).map((batch) => trainingBytes(config, pass, batch)),
    ...workload.scored.map((batch) => scoringBytes(config, pass, batch)),
    ...workload.generators.map(({ slots }) => ({
      activations: decodeBytes(config, slots, adapter?.rank),
      logits: 0,
      gradients: 0,
    })),
  ]);
  // The optimizer scales all gradients at once, and makes new ones of zeros. Of what the layers have freed it finds about half, as measured:
  // the rest lies in the heaps of other threads.
  const ofUpdate = { activations: totalOf(ofPasses) / 2, logits: 0, gradients: 8 * trained };
  const most = training ? fullest([ofPasses, ofUpdate]) : ofPasses;
  const variables = trainedVariables(config, adapter);
  const sizes = training?.batches.length ?? 0;
  const graphs =
    (sizes > 0
      ? variables * (graphBytes.perVariable + graphBytes.perFurtherSize * (sizes - 1))
      : 0) +
    workload.scored.length * config.layers * graphBytes.perScoredLayer;
  const caches = workload.generators.map((generator) => cacheBytes(config, generator));
  const referenceBytes = { none: 0, weights: weightBytes(config, "float32"), adapter: 4 * adapted };
  const parts = [
    { name: `weights (${heldAs})`, bytes: weightBytes(config, heldAs) },
    { name: "reference", bytes: referenceBytes[reference] },
    { name: "adapter and heads", bytes: 4 * (adapted + headCount) },
    { name: "gradients", bytes: 4 * trained + most.gradients },
    { name: "moments", bytes: (8 * trained) / (training?.shardOptimizer ? rankCount() : 1) },
    { name: "keys and values", bytes: caches.reduce((a, b) => a + b, 0) },
    { name: "activations", bytes: most.activations },
    { name: "logits", bytes: most.logits },
    { name: "exchange with other ranks", bytes: exchangeOf(trained) },
    { name: "copy of a weight", bytes: largestCopy(config, heldAs, adapter) },
    { name: "process", bytes: codeBytes + runningBytes + tokenBytes * config.vocabSize + graphs },
  ];
  return {
    ...{ parameters, trained, parts, isOnGpu, processes: rankCountOfMachine() },
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    guests: workload.guests * guestBytes,
  };
}

/** What it takes to add up gradients over the ranks. */
function exchangeOf(trained: number): number {
  if (rankCount() === 1) return 0;
  const { runtime, copiesOfBucket } = exchangeBytes;
  return runtime + copiesOfBucket * Math.min(4 * trained, bucketBytes);
}

/** Distinct sizes of packed batches. */
export function sizesOf(batches: readonly PackedBatch[]): BatchSize[] {
  const sizes = batches.map(({ rows, rowLength, targets }) => ({
    ...{ rows, rowLength, predictions: targets.length },
  }));
  return [...new Map(sizes.map((size) => [JSON.stringify(size), size])).values()];
}
