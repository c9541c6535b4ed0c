// Our side of the benchmark: a process that reads a job and then, line by line on standard input, what to do; it answers each
// line with one line of JSON. `npm run bench` starts it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Tokenizer } from "../../src/data/tokenizer.ts";
import { compile, tracedFunctions } from "../../src/engine/compile.ts";
import { AdamW } from "../../src/engine/optimizer.ts";
import { usePrecision } from "../../src/engine/products.ts";
import { readAndDispose, tf } from "../../src/engine/tf.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import type { Question } from "../../src/generate/answer.ts";
import { createGenerator, type Prompt } from "../../src/generate/generate.ts";
import { createResponseBackward } from "../../src/model/backward.ts";
import type { Sequence } from "../../src/model/batch.ts";
import { classifierParameters, loadClassifier } from "../../src/model/classifier.ts";
import { loadModel, type Model, trainedVariables } from "../../src/model/model.ts";
import { createScorer } from "../../src/model/score.ts";
import { createValueHead } from "../../src/model/valueHead.ts";
import { readWeights } from "../../src/model/weights.ts";
import { objectiveOf } from "../../src/ppo/objectives/choose.ts";
import { collectRollout } from "../../src/ppo/rollout.ts";
import { createUpdater } from "../../src/ppo/update.ts";
import { createClassifierBackward } from "../../src/rerank/backward.ts";
import { createJudge, type Judge } from "../../src/reward/judge.ts";
import { createSandbox } from "../../src/reward/sandbox/sandbox.ts";
import { Rng } from "../../src/rng.ts";
import { openReference } from "../../src/run/trainedModel.ts";
import { productRows } from "./arithmetic.ts";
import { type Command, peakMegabytes, type Reply } from "./side.ts";
import type { Job } from "./workloads.ts";

/** Tokens per microbatch: what the project's configurations for a CPU have. */
const microBatchTokens = 4096;
/** Responses in the making at once, if there are as many: the peer's batch. */
const mostSlots = 32;

interface Worker {
  /** One pass over all batches. */
  step(): Reply | Promise<Reply>;
  /** Greedy tokens for the first prompts of the first batch. */
  greedy?(prompts: number): Promise<Reply>;
  close?(): Promise<void>;
}

/** The folder of the model that is trained. */
const trainedFolder = ({ model, trainsAdapter }: Job) =>
  trainsAdapter ? join(model, "lora") : model;

/** What the configurations for adapters do: the frozen weights in bf16. */
function loadTrained(job: Job): Model {
  return loadModel(trainedFolder(job), job.trainsAdapter ? "bf16" : "float32");
}

function startSft(job: Job): Worker {
  const { batches, settings } = job;
  const model = loadTrained(job);
  const adamW = new AdamW([{ variables: [...trainedVariables(model).values()] }], settings);
  const backward = createResponseBackward("sft", model, adamW, { microBatchTokens });
  return { step: () => updateOn(batches, backward, adamW, settings) };
}

function startRerank({ model: folder, batches, settings }: Job): Worker {
  const classifier = loadClassifier(join(folder, "classifier"));
  const variables = [...classifierParameters(classifier).values()];
  const adamW = new AdamW([{ variables }], settings);
  const backward = createClassifierBackward(classifier, adamW, { microBatchTokens });
  // Random weights answer nothing: every other row counts as right.
  const labelled = batches.map((batch) =>
    batch.map((row, i) => ({ ...row, correct: i % 2 === 0 })),
  );
  return { step: () => updateOn(labelled, backward, adamW, settings) };
}

/** One update per batch. */
function updateOn<Batch>(
  batches: readonly Batch[],
  backward: (batch: Batch) => number,
  adamW: AdamW,
  { learningRate }: Job["settings"],
): Reply {
  const updates = batches.map((batch) => ({
    loss: backward(batch),
    gradNorm: adamW.update([learningRate]),
  }));
  return {
    losses: updates.map(({ loss }) => loss),
    gradNorms: updates.map(({ gradNorm }) => gradNorm),
  };
}

/** A stream whose `length`-th number is the largest there is, so that EOS, the last token, is sampled there and only there. */
function endingAt(length: number, name: string): Rng {
  const rng = Rng.named(1, name);
  const draw = rng.uniform.bind(rng);
  let drawn = 0;
  rng.uniform = () => (++drawn === length ? 1 - 2 ** -24 : 0.99 * draw());
  return rng;
}

function promptsOf(rows: readonly Sequence[], step: number): Prompt[] {
  return rows.map(({ prompt, response }, i) => ({
    tokens: prompt,
    rng: endingAt(response.length, `step ${step} row ${i}`),
  }));
}

const longestResponse = (rows: readonly Sequence[]) =>
  Math.max(...rows.map(({ response }) => response.length));

function startRollout({ model: folder, batches, endsAtEos }: Job): Worker {
  const model = loadModel(folder);
  const rows = withSharedPrompts(batches.flat());
  const options = {
    maxNewTokens: longestResponse(rows),
    eosIds: endsAtEos ? model.config.eosIds : [],
  };
  const maxTokens = longestPrompt(rows) + options.maxNewTokens;
  const slots = Math.min(mostSlots, rows.length);
  const generator = createGenerator(model, { slots, maxTokens, temperature: 1 });
  let steps = 0;
  return {
    step: async () => {
      const responses = await generator.generate(promptsOf(rows, steps++), options);
      return {
        responses: responses.map(({ tokens }) => tokens),
        logprobs: responses.map(({ logprobs }) => [...logprobs]),
      };
    },
    greedy: async (prompts) => {
      const greedy = createGenerator(model, { slots: prompts, maxTokens, temperature: 0 });
      const first = promptsOf(rows.slice(0, prompts), 0);
      const responses = await greedy.generate(first, { ...options, eosIds: [] });
      greedy.dispose();
      return { responses: responses.map(({ tokens }) => tokens) };
    },
  };
}

/** Prompts that are alike become the same array, as they are when one question is asked several times. */
function withSharedPrompts(rows: readonly Sequence[]): Sequence[] {
  const known = new Map<string, readonly number[]>();
  return rows.map(({ prompt, response }) => {
    const key = prompt.join();
    if (!known.has(key)) known.set(key, prompt);
    return { prompt: known.get(key)!, response };
  });
}

function longestPrompt(rows: readonly Sequence[]): number {
  return Math.max(...rows.map(({ prompt }) => prompt.length));
}

async function startJudge({ settings }: Job): Promise<{ judge: Judge; close(): Promise<void> }> {
  const sandbox = await createSandbox({ ...settings, memoryMegabytes: 512 });
  const judge = createJudge(sandbox, "python", settings);
  return { judge, close: () => sandbox.close() };
}

async function startReft(job: Job): Promise<Worker> {
  const { model: folder, batches, settings, program } = job;
  const [rows] = batches as [Sequence[]];
  const policy = loadTrained(job);
  const valueHead = createValueHead(policy.config);
  using file = openSafetensors(join(folder, "value_head.safetensors"));
  for (const [name, variable] of valueHead) variable.load(file.readFloat32(name));
  const groups = [trainedVariables(policy), valueHead].map((variables) => ({
    variables: [...variables.values()],
  }));
  const adamW = new AdamW(groups, settings);
  const objective = objectiveOf(settings);
  const maxNewTokens = longestResponse(rows);
  const options = { ...settings, microBatchTokens, maxNewTokens };
  const updater = createUpdater(policy, valueHead, adamW, objective, options);
  const { judge, close } = await startJudge(job);
  const parts = {
    generator: createGenerator(policy, {
      slots: Math.min(mostSlots, rows.length),
      maxTokens: longestPrompt(rows) + maxNewTokens,
      temperature: 1,
    }),
    judge,
    // Random weights write no programs: a response's tokens choose one.
    tokenizer: {
      decode: (tokens: readonly number[]) => withNumber(program, sum(tokens)),
    } as unknown as Tokenizer,
    policyScorer: createScorer(policy, valueHead),
    referenceScorer: createScorer(openReference(trainedFolder(job), policy).model),
  };
  const questions = rows.map(
    ({ prompt }, i): Question => ({
      example: { id: String(i), question: "", answer: 0 },
      prompt: { tokens: [...prompt], prefixTokens: [] },
    }),
  );
  let steps = 0;
  return {
    step: async () => {
      const startedAt = performance.now();
      const requests = promptsOf(rows, steps).map(({ rng }, i) => ({
        question: questions[i]!,
        rng,
      }));
      const options = { maxNewTokens, eosIds: policy.config.eosIds, microBatchTokens };
      const { experiences } = await collectRollout(parts, [requests], options);
      const rolloutSeconds = (performance.now() - startedAt) / 1000;
      const credited = objective.credit(experiences);
      const { learningRate } = settings;
      const rates = { policy: learningRate, valueHead: learningRate };
      const update = updater.update(credited, rates, Rng.named(1, `step ${steps++} minibatches`));
      return {
        responses: experiences.map(({ response }) => response),
        logprobs: experiences.map(({ logprobs }) => [...logprobs]),
        values: experiences.map(({ values }) => [...values]),
        scores: experiences.map(({ answer }) => answer.verdict.score),
        losses: [update.policyLoss + settings.valueCoefficient * update.valueLoss!],
        gradNorms: [update.gradNorm],
        rolloutSeconds,
      };
    },
    close,
  };
}

async function startRewards(job: Job): Promise<Worker> {
  const { judge, close } = await startJudge(job);
  const example = { id: "", question: "", answer: 0 };
  let number = 0;
  return {
    step: async () => {
      const answers: (number | null)[] = [];
      for (const _ of job.batches) {
        const texts = Array.from({ length: job.programs }, () => withNumber(job.program, number++));
        const verdicts = await Promise.all(
          texts.map((text) => judge({ example, text, tokens: [] })),
        );
        for (const { outcome } of verdicts)
          answers.push(outcome.kind === "answer" ? Number(outcome.value) : null);
      }
      return { answers };
    },
    close,
  };
}

function startProducts({ model: folder }: Job): Worker {
  const { config, parameters } = loadModel(folder);
  const products = compile("products", (x) => {
    const weights = readWeights({ parameters });
    let states = x!;
    for (let layer = 0; layer < config.layers; layer++) {
      for (const name of ["gate_proj", "down_proj"])
        states = weights.project(states, `model.layers.${layer}.mlp.${name}.weight`);
    }
    return [states];
  });
  const x = tf.ones([productRows, config.dim]);
  return {
    step: () => {
      readAndDispose(products(x));
      return {};
    },
  };
}

function withNumber(program: string, number: number): string {
  return program.replaceAll("SUM", String(number));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

const start = {
  sft: startSft,
  rollout: startRollout,
  reft: startReft,
  rerank: startRerank,
  rewards: startRewards,
  products: startProducts,
};

async function answer(worker: Worker, command: Command): Promise<Reply> {
  if (command.do === "step") {
    const startedAt = performance.now();
    const processor = process.cpuUsage();
    const reply = await worker.step();
    const { user, system } = process.cpuUsage(processor);
    const seconds = (performance.now() - startedAt) / 1000;
    return { ...reply, seconds, processorSeconds: (user + system) / 1e6 };
  }
  if (command.do === "greedy") return worker.greedy!(command.prompts);
  if (command.do === "usage") return { peakMegabytes: peakMegabytes()!, traces: tracedFunctions() };
  throw new Error(`our side does not know how to ${command.do}`);
}

const job = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as Job;
usePrecision(job.precision);
const worker = await start[job.kind](job);
for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(worker, JSON.parse(line) as Command);
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
await worker.close?.();
