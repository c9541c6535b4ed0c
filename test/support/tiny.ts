// A tiny model, data and settings with which both recipes run in seconds.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import {
  adapterTargets,
  type ReftConfig,
  type RerankConfig,
  type SftConfig,
} from "../../src/config.ts";
import { generateProblems } from "../../src/data/datasets/generated.ts";
import type { Example } from "../../src/data/examples.ts";
import { formatPrompt } from "../../src/data/prompt.ts";
import { trainTokenizer } from "../../src/data/tokenizer.ts";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { type AdapterSettings, createAdapter } from "../../src/model/adapter.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { plainLlama } from "../../src/model/families.ts";
import { createModel, disposeModel, parameterShapes } from "../../src/model/model.ts";
import {
  loadModelFolder,
  readAnswerFormat,
  saveModelFolder,
} from "../../src/models/modelFolder.ts";
import { Rng } from "../../src/rng.ts";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";

/** Programs as the generated data set has them start. */
const programPrefix = "def";
const vocabSize = 400;
const shape = { dim: 16, layers: 1, heads: 2, kvHeads: 1, ffnDim: 32 };
const scratch = {
  ...shape,
  vocabSize,
  ropeTheta: 10_000,
  normEpsilon: 1e-5,
  maxPositions: 256,
  initializerStd: 0.1,
  tieEmbeddings: true,
};

const optimizer = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 };
const evaluation = { questions: null, slots: 8, maxNewTokens: 8 };
const sandbox = { timeoutSeconds: 10, workers: 1, memoryMegabytes: 256 };

/** Writes train.jsonl, dev.jsonl and test.jsonl of generated problems; returns the problems to train on. */
export function writeTinyData(folder: string, train = 12, dev = 4): readonly Example[] {
  const problems = generateProblems({ train, answerOnly: 0, dev, test: 4 }, 1);
  for (const split of ["train", "dev", "test"] as const)
    writeJsonl(join(folder, `${split}.jsonl`), problems[split]);
  return problems.train;
}

/** Settings for the data in a folder: a model from scratch, 3 steps per epoch of 12 problems. */
export function tinySft(dataFolder: string): SftConfig {
  return {
    stage: "sft",
    seed: 1,
    precision: "float32",
    model: { scratch },
    data: {
      train: join(dataFolder, "train.jsonl"),
      dev: join(dataFolder, "dev.jsonl"),
      cotKind: "python",
      programPrefix,
      maxPromptTokens: 140,
      maxCompletionTokens: 100,
    },
    optimizer: { ...optimizer, learningRate: 1e-2, schedule: "constant", warmupFraction: 0.01 },
    training: { epochs: 2, scheduleEpochs: 10, batchSize: 4, microBatchTokens: 512 },
    evaluation: { everyEpochs: 1, ...evaluation },
    sandbox,
    checkpoint: { everySteps: null },
  };
}

/** Settings for the data in a folder and a warm-up model: 3 steps per epoch of 12 problems. */
export function tinyReft(dataFolder: string, init: string) {
  return {
    stage: "reft",
    seed: 1,
    precision: "float32",
    paperParity: false,
    model: { init },
    data: {
      train: join(dataFolder, "train.jsonl"),
      dev: join(dataFolder, "dev.jsonl"),
      cotKind: "python",
      programPrefix,
      maxPromptTokens: 140,
    },
    rollout: { questionsPerStep: 4, samplesPerQuestion: 2, maxNewTokens: 8, slots: 8 },
    ppo: {
      advantages: "gae",
      ppoEpochs: 2,
      miniBatchSize: 4,
      clipRange: 0.2,
      valueClipRange: 0.2,
      valueCoefficient: 0.1,
      gamma: 1,
      gaeLambda: 0.95,
      klCoefficient: 0.01,
      partialReward: 0.1,
      valueWarmupSteps: 0,
    },
    optimizer: { ...optimizer, learningRate: 3e-3, valueHeadLearningRate: 1e-2, warmupSteps: 0 },
    training: { epochs: 2, maxSteps: null, microBatchTokens: 512 },
    evaluation: { everySteps: 100, ...evaluation },
    sandbox,
    checkpoint: { everySteps: 100 },
    alarms: {
      maxLogprobGap: 1e-4,
      maxInfrastructureFraction: 0.05,
      constantScoreSteps: 1000,
      negativeKlSteps: 1000,
      minExtractedFraction: 0,
      maxTruncatedFraction: 1,
    },
  } satisfies ReftConfig;
}

/** Writes samples.jsonl and devSamples.jsonl: three judged answers to each problem, every third one wrong. */
export function writeTinySamples(folder: string, problems: readonly Example[]): void {
  const samplesOf = ({ id, question, cot, answer }: Example, row: number) =>
    ["", " + 1", " - 0"].map((change, sample) => {
      const correct = (row + sample) % 3 !== 0;
      const value = correct ? answer : -1;
      return {
        ...{ id, question, answer, sample, text: `${cot}${change}` },
        ...{ outcome: { kind: "answer", value }, score: Number(correct), correct },
        ...{ isTruncated: false, isDuplicate: false },
      };
    });
  const half = problems.length / 2;
  writeJsonl(join(folder, "samples.jsonl"), problems.slice(0, half).flatMap(samplesOf));
  writeJsonl(join(folder, "devSamples.jsonl"), problems.slice(half).flatMap(samplesOf));
}

/** Settings for the samples in a folder and a model: 3 steps per epoch of 18 samples. */
export function tinyRerank(folder: string, init: string): RerankConfig {
  return {
    stage: "rerank",
    seed: 1,
    precision: "float32",
    model: { init },
    data: {
      samples: join(folder, "samples.jsonl"),
      devSamples: join(folder, "devSamples.jsonl"),
      maxTokens: 240,
    },
    optimizer: { ...optimizer, learningRate: 5e-3, schedule: "linear", warmupFraction: 0.1 },
    training: { epochs: 2, scheduleEpochs: 4, batchSize: 6, microBatchTokens: 512 },
    evaluation: { everyEpochs: 1 },
    checkpoint: { everySteps: null },
  };
}

/** A warm-up model that has learned nothing, with a tokenizer for the problems; `changes` may make the two disagree. */
export function writeTinyModel(
  folder: string,
  problems: readonly Example[],
  changes: Partial<ModelConfig> = {},
): void {
  const texts = problems.flatMap(({ question, cot }) => [formatPrompt(question), cot!]);
  const tokenizer = trainTokenizer(texts, vocabSize);
  const { eosId } = tokenizer;
  const config = {
    ...plainLlama,
    ...scratch,
    vocabSize: tokenizer.vocabSize,
    headDim: shape.dim / shape.heads,
    ropeScaling: null,
    eosIds: [eosId],
    ...changes,
  };
  const model = createModel(config, Rng.named(2, "weights"));
  const sampling = { programPrefix, continuation: "    a = 1" } as const;
  saveModelFolder(folder, model, tokenizer, { cotKind: "python", sampling });
  disposeModel(model);
}

/** Writes an adapter beside a model's folder, as a run saves it, that changes the model; `size` is the standard deviation of B. */
export function writeTinyAdapter(
  folder: string,
  base: string,
  size: number,
  settings: AdapterSettings = { rank: 2, alpha: 4, targets: adapterTargets },
): void {
  const { model, tokenizer } = loadModelFolder(base);
  const rng = Rng.named(3, "adapter");
  const adapter = createAdapter(parameterShapes(model.config), settings, base, rng);
  for (const [name, variable] of adapter.variables) {
    const draw = () => size * rng.normal();
    if (name.endsWith("lora_B.weight"))
      variable.load(Float32Array.from({ length: variable.size }, draw));
  }
  mkdirSync(folder, { recursive: true });
  saveModelFolder(folder, { ...model, adapter }, tokenizer, readAnswerFormat(base));
  disposeModel({ ...model, adapter });
}

/** Sends this process a Ctrl-C as soon as the run has logged a step. */
export function interruptAfter(folder: string, step: number): void {
  const look = () => {
    if (metricsOf(folder).some((line) => line.step === step)) process.kill(process.pid, "SIGINT");
    else setImmediate(look); // the recipe turns the event loop once per step
  };
  setImmediate(look);
}

export interface MetricsLine {
  readonly [name: string]: number;
}

/** The lines of metrics.jsonl without what depends on the process: its clock, its memory, and how much of the run it has computed. */
export function metricsOf(folder: string): MetricsLine[] {
  const ofProcess = /^time(\/|$)|^memory\/(tracedFunctions|peakMegabytes)$/;
  return allMetricsOf(folder).map((line) =>
    Object.fromEntries(Object.entries(line).filter(([name]) => !ofProcess.test(name))),
  );
}

/** Functions traced by the process, after each step of the run. */
export function tracedFunctionsOf(folder: string): number[] {
  return allMetricsOf(folder).flatMap((line) => line["memory/tracedFunctions"] ?? []);
}

function allMetricsOf(folder: string): MetricsLine[] {
  const path = join(folder, "metrics.jsonl");
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

/** All that a run leaves, but for what a clock says; it must not depend on interruptions. */
export function contentOf(folder: string): Record<string, string> {
  const { folder: last, state } = loadCheckpoint(folder, "last")!;
  const { folder: best } = loadCheckpoint(folder, "best")!;
  const files = [
    ...filesIn(last).filter((file) => !file.endsWith("checkpoint.json")), // has the hashes
    ...filesIn(best).filter((file) => /model\.safetensors$/.test(file)), // or adapter_model.safetensors
    ...["samples", "rollouts", "calibration"].flatMap((name) => filesIn(join(folder, name))),
  ];
  return {
    state: JSON.stringify(state),
    metrics: JSON.stringify(metricsOf(folder)),
    alarms: existsSync(join(folder, "alarms.jsonl"))
      ? readFileSync(join(folder, "alarms.jsonl"), "utf8")
      : "",
    ...Object.fromEntries(
      files.map((file) => [
        relative(folder, file),
        createHash("sha256").update(readFileSync(file)).digest("hex"),
      ]),
    ),
  };
}

function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

/** All numbers of a safetensors file, by name. */
export function weightsIn(path: string): Record<string, number[]> {
  using file = openSafetensors(path);
  return Object.fromEntries(
    [...file.tensors.keys()].map((name) => [name, [...file.readFloat32(name)]]),
  );
}
