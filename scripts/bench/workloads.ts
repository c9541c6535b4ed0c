// What is measured: the models' sizes, the pieces of work, and the tokens that both sides get.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Precision } from "../../src/config.ts";
import type { Sequence } from "../../src/model/batch.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { plainLlama } from "../../src/model/families.ts";
import { Rng } from "../../src/rng.ts";

const sizes = {
  /** 1.07 M weights */
  tiny: { vocabSize: 1024, dim: 128, layers: 4, heads: 4, ffnDim: 352 },
  /** 13.8 M */
  small: { vocabSize: 4096, dim: 384, layers: 6, heads: 6, ffnDim: 1024 },
  /** 134 M */
  medium: { vocabSize: 32_016, dim: 768, layers: 12, heads: 12, ffnDim: 2048 },
} as const;

export type ModelName = keyof typeof sizes;
export const modelNames = Object.keys(sizes) as ModelName[];

/** EOS is the last id of the vocabulary, so that the largest random number samples it. */
export function modelConfig(name: ModelName): ModelConfig {
  const size = sizes[name];
  return {
    ...plainLlama,
    ...size,
    kvHeads: size.heads,
    headDim: size.dim / size.heads,
    normEpsilon: 1e-5,
    ropeTheta: 10_000,
    ropeScaling: null,
    tieEmbeddings: false,
    maxPositions: 2048,
    initializerStd: 0.02,
    eosIds: [size.vocabSize - 1],
    padId: 0,
  };
}

/** What a process of either side is told to do; "products", our side alone: the model's largest matrix products and nothing else. */
export type Kind = "sft" | "rollout" | "reft" | "rerank" | "rewards" | "products";

/** One side of a measurement, as a JSON file. */
export interface Job {
  readonly kind: Kind;
  /** Folder of the model. */
  readonly model: string;
  readonly threads: number;
  /** Of matrix products: the peer's under torch.autocast. */
  readonly precision: Precision;
  /** Batches as the peer takes them; of a rollout only the responses' lengths matter. */
  readonly batches: readonly (readonly Sequence[])[];
  /** Whether responses end at an EOS of their own; else all are as long as the first. */
  readonly endsAtEos: boolean;
  /** A Python program in which SUM stands for a number: the sum of a response's tokens, or a program's own number. */
  readonly program: string;
  /** Programs per batch, where no model writes them. */
  readonly programs: number;
  /** Trains the model's adapter beside its weights in bf16: the folders "lora" and "bf16" in the model's. */
  readonly trainsAdapter: boolean;
  readonly settings: typeof settings;
}

/** The same on both sides; the published values (docs/recipe.md) but for the learning rate. */
const settings = {
  learningRate: 1e-5,
  maxGradNorm: 1,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  advantages: "gae",
  valueWarmupSteps: 0,
  ppoEpochs: 2,
  miniBatchSize: 32,
  clipRange: 0.2,
  valueClipRange: 0.2,
  valueCoefficient: 5,
  klCoefficient: 0.01,
  gamma: 1,
  gaeLambda: 0.95,
  partialReward: 0.1,
  timeoutSeconds: 10,
  workers: 2,
} as const;

/** Returns the right answer 0, a wrong one, or none. */
const program = `def solution():
    """A farmer has SUM cows, buys 3 times as many, and sells a quarter of them. How many are left?"""
    cows = SUM
    bought = cows * 3
    sold = (cows + bought) / 4
    left = cows + bought - sold
    result = [0, 1, None][int(left / 3) % 3]
    return result
`;

const sympyProgram = `from sympy import symbols, solve, Eq
def solution():
    x = symbols("x")
    result = solve(Eq(2 * x + 3, SUM), x)[0]
    return result
`;

export interface Work {
  readonly name: string;
  readonly title: string;
  readonly kind: Kind | "load";
  readonly lengths: "full" | "svamp";
  readonly batches: number;
  readonly batchSize: number;
  /** What throughput counts, per second. */
  readonly unit: "loss tokens" | "tokens" | "answers" | "programs" | "starts";
  /** Least throughput relative to the peer's, by the peer's variant. */
  readonly goals: { readonly eager: number; readonly compile?: number };
  /** Most memory relative to the peer's; without it 0.7. */
  readonly memoryGoal?: number;
  readonly trainsAdapter?: true;
  readonly usesSympy?: true;
}

export type Variant = keyof Work["goals"];

const batchOf32 = { batches: 1, batchSize: 32 } as const;
const adapterAlone = { trainsAdapter: true, memoryGoal: 0.6 } as const;

export const works: readonly Work[] = [
  {
    ...{ name: "sft-full", title: "SFT step, full batches", kind: "sft", lengths: "full" },
    ...{ ...batchOf32, unit: "loss tokens", goals: { eager: 1.1, compile: 1 } },
  },
  {
    ...{ name: "sft-svamp", title: "SFT step, SVAMP lengths", kind: "sft", lengths: "svamp" },
    ...{ batches: 2, batchSize: 32, unit: "loss tokens", goals: { eager: 2 } },
  },
  {
    ...{ name: "sft-lora", title: "LoRA SFT step, SVAMP lengths", kind: "sft", lengths: "svamp" },
    ...{ batches: 2, batchSize: 32, unit: "loss tokens", goals: { eager: 1.2 }, ...adapterAlone },
  },
  {
    ...{ name: "rollout-full", title: "rollouts, full batches", kind: "rollout", lengths: "full" },
    ...{ ...batchOf32, unit: "tokens", goals: { eager: 2 } },
  },
  {
    // More prompts than slots, as in sampling and evaluation: the peer takes them batch by batch.
    ...{ name: "rollout-svamp", title: "rollouts, SVAMP lengths, own EOS", kind: "rollout" },
    ...{ lengths: "svamp", batches: 4, batchSize: 32, unit: "tokens", goals: { eager: 4 } },
  },
  {
    ...{ name: "reft", title: "whole ReFT step, SVAMP lengths", kind: "reft", lengths: "svamp" },
    ...{ ...batchOf32, unit: "tokens", goals: { eager: 3 } },
  },
  {
    ...{ name: "reft-lora", title: "whole LoRA ReFT step, SVAMP lengths", kind: "reft" },
    ...{ lengths: "svamp", ...batchOf32, unit: "tokens", goals: { eager: 2 }, ...adapterAlone },
  },
  {
    ...{ name: "rerank", title: "rerank training step, SVAMP lengths", kind: "rerank" },
    ...{ lengths: "svamp", batches: 2, batchSize: 24, unit: "answers", goals: { eager: 1.5 } },
  },
  {
    ...{ name: "rewards", title: "rewards, isolated, 2 workers", kind: "rewards", lengths: "full" },
    ...{ batches: 10, batchSize: 32, unit: "programs", goals: { eager: 2.5 } },
  },
  {
    ...{ name: "rewards-sympy", title: "rewards with sympy, 2 workers", kind: "rewards" },
    ...{ lengths: "full", batches: 1, batchSize: 8, unit: "programs", goals: { eager: 2.5 } },
    usesSympy: true,
  },
  {
    ...{ name: "load", title: "start to first token", kind: "load", lengths: "full" },
    ...{ ...batchOf32, unit: "starts", goals: { eager: 1 } },
  },
];

/** Tokens of each SVAMP example: prompt, given start of the completion, rest of it with EOS. */
const svampLengths = JSON.parse(
  readFileSync(join(import.meta.dirname, "svamp-lengths.json"), "utf8"),
) as [prompt: number, prefix: number, rest: number][];

/** Random tokens; neither padding nor EOS but at the end. */
export function drawRow(
  model: ModelName,
  name: string,
  prompt: number,
  response: number,
): Sequence {
  const { vocabSize } = sizes[model];
  const rng = Rng.named(1, `${model} ${name}`);
  const tokens = (count: number) =>
    Array.from({ length: count }, () => 1 + rng.integer(vocabSize - 2));
  return { prompt: tokens(prompt), response: [...tokens(response - 1), vocabSize - 1] };
}

export function drawBatches(work: Work, model: ModelName): Sequence[][] {
  return Array.from({ length: work.batches }, (_, batch) =>
    Array.from({ length: work.batchSize }, (_, row) => {
      const index = batch * work.batchSize + row;
      return drawRow(model, `${work.name} ${index}`, ...lengthsOf(work, index));
    }),
  );
}

/** A rollout is given the start of the program; SFT and the reranker are not. */
function lengthsOf({ kind, lengths }: Work, index: number): [prompt: number, response: number] {
  if (lengths === "full") return [100, 80];
  const [prompt, prefix, rest] = svampLengths[index]!;
  return kind === "sft" || kind === "rerank" ? [prompt, prefix + rest] : [prompt + prefix, rest];
}

/** Units of work in one pass over all batches. */
export function unitsOf(work: Work, batches: readonly (readonly Sequence[])[]): number {
  if (work.kind === "load") return 1;
  if (work.unit === "loss tokens" || work.unit === "tokens")
    return batches.flat().reduce((sum, { response }) => sum + response.length, 0);
  return work.batches * work.batchSize;
}

type JobOptions = Pick<Job, "kind" | "model" | "threads" | "batches"> & Partial<Job>;

export function createJob(options: JobOptions): Job {
  const always = { program, programs: 32, settings };
  return { precision: "float32", endsAtEos: false, trainsAdapter: false, ...always, ...options };
}

export function jobOf(
  work: Work,
  batches: readonly (readonly Sequence[])[],
  options: Pick<Job, "model" | "threads" | "precision">,
): Job {
  return createJob({
    kind: work.kind as Kind,
    ...options,
    batches: work.kind === "rewards" ? batches.map(() => []) : batches,
    endsAtEos: work.lengths === "svamp",
    programs: work.batchSize,
    trainsAdapter: work.trainsAdapter ?? false,
    ...(work.usesSympy && { program: sympyProgram }),
  });
}
