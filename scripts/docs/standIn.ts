// A tiny model in the place of a pretrained one, so that commands for SmolLM2 and CodeLlama run in seconds. Its tokenizer is the real one. It has learned
// to return some answer without a calculation, so that a few of its sampled answers are right, as rerankers need it.
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { SftConfig } from "../../src/config.ts";
import { type Example, readExamples } from "../../src/data/examples.ts";
import { programPrefix } from "../../src/data/prompt.ts";
import { loadTokenizer } from "../../src/data/tokenizer.ts";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import { resolveModelFolder } from "../../src/run/checkpoint.ts";

/** What a stand-in is made of. */
export interface StandIn {
  /** Folder with the real model's tokenizer. */
  readonly tokenizer: string;
  /** Questions with answers, as prepare-data writes them. */
  readonly data: string;
  /** Where the model goes. */
  readonly output: string;
}

/** @param train runs `train-sft` with a configuration into a run's folder */
export async function makeStandIn(
  { tokenizer, data, output }: StandIn,
  train: (config: string, run: string) => Promise<void>,
): Promise<void> {
  const work = `${output}-in-the-making`;
  mkdirSync(work, { recursive: true });
  const examples = readExamples(data).slice(0, 256);
  const file = join(work, "train.jsonl");
  writeJsonl(file, examples.map(withoutCalculation));
  const config = join(work, "sft.yaml");
  writeFileSync(config, stringify(settings(tokenizer, file)));
  await train(config, join(work, "run"));
  const model = resolveModelFolder(join(work, "run"));
  // Nothing says how it was taught to answer, as with a model from elsewhere.
  for (const name of readdirSync(model))
    if (!["reft.json", "checkpoint.json", "training"].includes(name))
      cpSync(join(model, name), join(output, name), { recursive: true });
}

/** Only the beginning of the question is left, because the whole would be most of what there is to learn. */
function withoutCalculation({ id, question, answer }: Example): Example {
  const beginning = question.split(" ").slice(0, 4).join(" ");
  const cot = `${programPrefix(beginning, "docstring")}    return ${answer}\n`;
  return { id, question: beginning, cot, answer };
}

function settings(tokenizer: string, file: string): SftConfig {
  return {
    stage: "sft",
    seed: 1,
    precision: "float32",
    model: {
      scratch: {
        tokenizer,
        vocabSize: loadTokenizer(tokenizer).vocabSize,
        ...{ dim: 32, layers: 1, heads: 2, kvHeads: 2, ffnDim: 64 },
        ...{ ropeTheta: 10_000, normEpsilon: 1e-5, maxPositions: 1024 },
        ...{ initializerStd: 0.06, tieEmbeddings: true },
      },
    },
    data: {
      train: file,
      dev: file,
      cotKind: "python",
      programPrefix: "docstring",
      maxPromptTokens: 400,
      maxCompletionTokens: 400,
    },
    optimizer: {
      learningRate: 5e-3,
      ...{ beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 },
      schedule: "constant",
      warmupFraction: 0,
    },
    training: { epochs: 12, scheduleEpochs: 12, batchSize: 16, microBatchTokens: 2048 },
    evaluation: { everyEpochs: 12, questions: 8, slots: 8, maxNewTokens: 24 },
    sandbox: { timeoutSeconds: 10, workers: 1, memoryMegabytes: 512 },
    checkpoint: { everySteps: null },
  };
}
