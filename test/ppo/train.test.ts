import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { ReftConfig } from "../../src/config.ts";
import type { Example } from "../../src/data/examples.ts";
import type { Model } from "../../src/model/model.ts";
import { trainReft } from "../../src/ppo/train.ts";
import type { Outcome } from "../../src/reward/outcome.ts";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";
import { InterruptedError } from "../../src/run/interrupts.ts";
import { testEqualRuns } from "../support/equalRuns.ts";
import { fakeSandbox, shareOf } from "../support/fakeSandbox.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import {
  contentOf,
  interruptAfter,
  type MetricsLine,
  metricsOf,
  tinyReft,
  tracedFunctionsOf,
  weightsIn,
  writeTinyData,
  writeTinyModel,
} from "../support/tiny.ts";

const gold = 42;
/** A quarter of the programs are right, half of them wrong, the others fail. */
const mixedOutcome = (program: string): Outcome => {
  const share = shareOf(program);
  if (share < 0.75) return { kind: "answer", value: share < 0.25 ? gold : 7 };
  return { kind: "error", message: "NameError" };
};
let outcomeOf = mixedOutcome;
vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () => fakeSandbox((program) => outcomeOf(program)),
}));

/** The rows of each check of gold chains of thought; that sandbox would find them wrong. */
const checked: (readonly Example[])[] = [];
vi.mock("../../src/evaluate/checkGold.ts", () => ({
  checkGold: async (_: string, rows: readonly Example[]) => checked.push(rows),
}));

/** Is it the dev questions whose programs run now? */
let isEvaluating = false;
vi.mock(import("../../src/evaluate/accuracy.ts"), async (importOriginal) => {
  const original = await importOriginal();
  const createEvaluator: typeof original.createEvaluator = (...args) => {
    const evaluator = original.createEvaluator(...args);
    const evaluate: typeof evaluator.evaluate = async (questions) => {
      isEvaluating = true;
      return evaluator.evaluate(questions).finally(() => {
        isEvaluating = false;
      });
    };
    return { ...evaluator, evaluate };
  };
  return { ...original, createEvaluator };
});

type Weights = Record<string, readonly number[]>;

/** Weights at the end of a run: of the policy, then of the reference. */
let finalWeights: Weights[] = [];
vi.mock(import("../../src/model/model.ts"), async (importOriginal) => {
  const original = await importOriginal();
  const disposeModel = (model: Model) => {
    const values = [...model.parameters].map(([name, v]) => [name, [...v.values()]] as const);
    finalWeights.push(Object.fromEntries(values));
    original.disposeModel(model);
  };
  return { ...original, disposeModel };
});

const home = temporaryFolder();
let errors = "";
vi.spyOn(console, "error").mockImplementation((text) => {
  errors += `${text}\n`;
});
vi.spyOn(process.stderr, "write").mockImplementation(() => true);
beforeEach(() => {
  errors = "";
  outcomeOf = mixedOutcome;
});

const folderOf = (name: string) => join(home, name);
const problems = writeTinyData(home);
const warmup = folderOf("warmup");
writeTinyModel(warmup, problems);
const warmupWeights = weightsIn(join(warmup, "model.safetensors"));
finalWeights = []; // of the models disposed since

/** Gives every problem the same gold answer. */
function setAnswers(answer: number | string): void {
  for (const split of ["train", "dev", "test"]) {
    const path = join(home, `${split}.jsonl`);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace(/"answer":[^}]+/g, `"answer":${JSON.stringify(answer)}`));
  }
}
setAnswers(gold);

const base = tinyReft(home, warmup);
const { ppo, training, alarms, evaluation } = base;
const steps = (maxSteps: number) => ({ ...training, epochs: 100, maxSteps });

async function train(name: string, config: ReftConfig): Promise<MetricsLine[]> {
  finalWeights = [];
  await trainReft(config, folderOf(name));
  return metricsOf(folderOf(name));
}

/** The weights and the value head of a run's last checkpoint. */
function lastWeights(name: string): { policy: Weights; valueHead: Weights } {
  const { folder } = loadCheckpoint(folderOf(name), "last")!;
  return {
    policy: weightsIn(join(folder, "model.safetensors")),
    valueHead: weightsIn(join(folder, "training", "value_head.safetensors")),
  };
}

describe("a run of 200 steps", () => {
  let lines: MetricsLine[] = [];
  let weights: Weights[] = [];
  beforeAll(async () => {
    const config = { ...base, ppo: { ...ppo, valueWarmupSteps: 3 }, training: steps(200) };
    lines = (await train("long", config)).slice(1); // without step 0, the warm-up model
    weights = finalWeights;
  });

  test("has as many live tensors after every step", () => {
    expect(lines).toHaveLength(200);
    expect(new Set(lines.map((line) => line["memory/numTensors"])).size).toBe(1);
  });

  test("has traced nearly all of its functions after half of the steps", () => {
    const traced = tracedFunctionsOf(folderOf("long"));
    expect(traced.at(-1)! - traced[traced.length >> 1]!).toBeLessThan(10);
  });

  test("recomputes the log-probabilities of each rollout to 1e-4, and clips nothing at first", () => {
    for (const line of lines) {
      expect(line["rollout/logprobGap"]).toBeGreaterThan(0);
      expect(line["rollout/logprobGap"]).toBeLessThan(1e-4);
      expect(line["ppo/firstClipFraction"]).toBe(0);
    }
  });

  test("moves the policy and not the reference", () => {
    const [policy, reference] = weights;
    expect(reference).toEqual(warmupWeights);
    for (const [name, values] of Object.entries(policy!))
      expect(values, name).not.toEqual(warmupWeights[name]);
  });

  test("measures how far the policy is from the reference: 0 until it moves", () => {
    const k3 = lines.map((line) => line["kl/referenceK3"]!);
    for (const kl of k3.slice(0, 4)) expect(Math.abs(kl)).toBeLessThan(1e-9);
    expect(k3[4]).toBeGreaterThan(1e-6);
    expect(k3.at(-1)).toBeGreaterThan(0.01);
  });
});

const logging = { tensorboard: true, rollouts: { everySteps: 2, questions: 2 } };
const fiveSteps = {
  ...base,
  ...{ training: steps(5), evaluation: { ...evaluation, everySteps: 5 }, logging },
};
beforeAll(async () => {
  const lines = await train("full", fiveSteps);
  expect(lines.map((line) => line.step)).toEqual([0, 1, 2, 3, 4, 5]);
});

test("one pass over a rollout in one minibatch sees ratio 1 everywhere", async () => {
  const onePass = { ...ppo, ppoEpochs: 1, miniBatchSize: 8 };
  const lines = (await train("onePass", { ...base, ppo: onePass, training: steps(3) })).slice(1);
  expect(lines).toHaveLength(3);
  for (const line of lines) {
    expect(line["ppo/meanRatio"]).toBeCloseTo(1, 6);
    expect(line["ppo/clipFraction"]).toBe(0);
    expect(Math.abs(line["ppo/approxKl"]!)).toBeLessThan(1e-9);
  }
});

testEqualRuns(
  "a run that goes on after Ctrl-C is, bit for bit, the run that was never stopped",
  async () => {
    const folder = folderOf("interrupted");
    interruptAfter(folder, 2);
    await expect(trainReft(fiveSteps, folder)).rejects.toThrow(InterruptedError);
    expect([2, 3, 4]).toContain(loadCheckpoint(folder, "last")!.step);
    await trainReft(fiveSteps, folder);
    expect(contentOf(folder)).toEqual(contentOf(folderOf("full")));
  },
);

test("gold chains of thought are checked once, at the start", async () => {
  checked.length = 0;
  await train("checked", { ...base, training: steps(1) });
  expect(checked.map((rows) => rows.map(({ cot }) => cot))).toEqual([
    problems.map(({ cot }) => cot),
  ]);
  await train("checked", { ...base, training: steps(2) });
  expect(checked).toHaveLength(1);
});

test("does not go on against another reference than it began with", async () => {
  const moving = folderOf("moving");
  await train("first", { ...base, training: steps(1) });
  cpSync(folderOf("first"), moving, { recursive: true });
  const config = { ...base, model: { init: moving } };
  await train("follower", { ...config, training: steps(1) });
  // The run that the reference comes from goes on, and finds a better checkpoint.
  const home = join(moving, "checkpoints");
  const last = readFileSync(join(home, "last.json"), "utf8");
  expect(last).not.toBe(readFileSync(join(home, "best.json"), "utf8"));
  writeFileSync(join(home, "best.json"), last);
  expect(await userErrorOf(() => train("follower", { ...config, training: steps(2) }))).toMatch(
    /^this run began with other contents of model.init\/model.safetensors: give it the same files/,
  );
});

test("the value-only warm-up moves the value head alone", async () => {
  const config = { ...base, ppo: { ...ppo, valueWarmupSteps: 2 } };
  const lines = await train("values", { ...config, training: steps(2) });
  expect(lines.slice(1).map((line) => line["ppo/learningRate"])).toEqual([0, 0]);
  expect(lastWeights("values").policy).toEqual(warmupWeights);
  const head = lastWeights("values").valueHead;
  expect(head["value_head.bias"]).not.toEqual([0]);
  await train("values", { ...config, training: steps(3) });
  expect(lastWeights("values").policy).not.toEqual(warmupWeights);
  expect(lastWeights("values").valueHead).not.toEqual(head);
});

const { valueHeadLearningRate, ...policyOptimizer } = base.optimizer;
const { gamma, gaeLambda, valueClipRange, valueCoefficient, valueWarmupSteps, ...clipped } = ppo;
const { ppo: _, ...rest } = { ...fiveSteps, optimizer: policyOptimizer };
const withoutValueHead: Record<string, ReftConfig> = {
  grpo: { ...rest, ppo: { ...clipped, advantages: "grpo" } },
  rloo: { ...rest, ppo: { ...clipped, advantages: "rloo" } },
  dynamicSampling: {
    ...rest,
    ppo: {
      ...{ ...clipped, advantages: "grpo", dynamicSampling: { maxRounds: 2 } },
      ...{ lossMean: "rolloutTokens", upperClipRange: 0.28, entropyCoefficient: 0.01 },
    },
  },
  selfTraining: { ...rest, selfTraining: { epochs: 2, miniBatchSize: 4 } },
};

describe.each(Object.entries(withoutValueHead))("%s", (name, config) => {
  let lines: MetricsLine[] = [];
  let weights: Weights[] = [];
  beforeAll(async () => {
    lines = (await train(name, config)).slice(1);
    weights = finalWeights;
  });

  test("has as many live tensors after every step", () => {
    expect(lines).toHaveLength(5);
    expect(new Set(lines.map((line) => line["memory/numTensors"])).size).toBe(1);
  });

  test("moves the policy and not the reference", () => {
    const [policy, reference] = weights;
    expect(reference).toEqual(warmupWeights);
    expect(policy).not.toEqual(warmupWeights);
    expect(lines.at(-1)!["kl/referenceK3"]).toBeGreaterThan(1e-6);
  });

  test("makes, saves and measures no value head", () => {
    const { folder } = loadCheckpoint(folderOf(name), "last")!;
    expect(readdirSync(join(folder, "training"))).toEqual([
      "optimizer.json",
      "optimizer.safetensors",
    ]);
    const moments = Object.keys(weightsIn(join(folder, "training", "optimizer.safetensors")));
    expect(moments.filter((moment) => moment.startsWith("value_head"))).toEqual([]);
    const figures = new Set(lines.flatMap((line) => Object.keys(line)));
    expect([...figures].filter((figure) => /value|explained/i.test(figure))).toEqual([]);
  });

  testEqualRuns("goes on after Ctrl-C as if never stopped, bit for bit", async () => {
    const folder = folderOf(`${name}-interrupted`);
    interruptAfter(folder, 2);
    await expect(trainReft(config, folder)).rejects.toThrow(InterruptedError);
    expect([2, 3, 4]).toContain(loadCheckpoint(folder, "last")!.step);
    await trainReft(config, folder);
    expect(contentOf(folder)).toEqual(contentOf(folderOf(name)));
  });
});

test.each(["grpo", "rloo"] as const)(
  "%s: groups whose responses score alike teach nothing, whatever the sandbox left of them",
  async (advantages) => {
    outcomeOf = (program) =>
      !isEvaluating && shareOf(program) < 0.5
        ? { kind: "infrastructure", message: "down" }
        : { kind: "answer", value: gold };
    const config = withoutValueHead[advantages]!;
    const lines = await train(`flat-${advantages}`, {
      ...config,
      ppo: { ...clipped, advantages, klCoefficient: 0 },
      alarms: { ...alarms, maxInfrastructureFraction: 0.99, constantScoreSteps: 2 },
      training: steps(2),
    });
    for (const line of lines.slice(1)) {
      expect(line["rollout/infrastructureFailures"]).toBeGreaterThan(0);
      expect(line["rollout/groupsWithoutSpread"]).toBe(1);
      expect(line["ppo/gradNorm"]).toBe(0);
    }
    expect(errors).toContain("for 2 steps, all responses to the same question score the same");
  },
);

describe("dynamic sampling", () => {
  const dynamic = withoutValueHead.dynamicSampling!;
  const settings = { ...clipped, advantages: "grpo" as const, klCoefficient: 0 };
  const run = (name: string, maxRounds: number) =>
    train(name, {
      ...{ ...dynamic, ppo: { ...settings, dynamicSampling: { maxRounds } } },
      training: steps(4),
    });

  test("asks on until enough questions have responses that differ, and learns from these alone", async () => {
    const lines = (await run("refilled", 3)).slice(1);
    const asked = lines.map((line) => line["rollout/rounds"]!);
    expect(Math.max(...asked)).toBeGreaterThan(1);
    for (const line of lines) {
      const [rounds, learned] = [line["rollout/rounds"]!, line["rollout/learnedQuestions"]!];
      const differing = Math.round(4 * rounds * (1 - line["rollout/groupsWithoutSpread"]!));
      expect(learned).toBe(Math.min(4, differing));
      if (learned < 4) expect(rounds).toBe(3);
    }
    const once = (await run("filtered", 1)).slice(1);
    for (const line of once) {
      expect(line["rollout/rounds"]).toBe(1);
      const differing = 4 * (1 - line["rollout/groupsWithoutSpread"]!);
      expect(line["rollout/learnedQuestions"]).toBe(differing);
    }
  });

  test("says that the bound is reached, and without anything to learn leaves the weights", async () => {
    outcomeOf = () => ({ kind: "answer", value: 7 });
    const [, line] = await run("nothing", 9);
    // 12 questions are three rounds of 4
    expect(line).toMatchObject({ "rollout/rounds": 3, "rollout/learnedQuestions": 0 });
    expect(line!["ppo/gradNorm"]).toBe(0);
    expect(line!["reward/score"]).toBeCloseTo(0.1, 12);
    expect(errors).toContain("warning: step 1: ppo.dynamicSampling.maxRounds is reached");
    expect(finalWeights[0]).toEqual(warmupWeights);
  });
});

describe.each(["gae", "grpo", "rloo"] as const)("%s with klCoefficient 0", (advantages) => {
  const settings = advantages === "gae" ? base : withoutValueHead[advantages]!;
  const run = (name: string, klCoefficient: number) =>
    train(`${name}-${advantages}`, {
      ...settings,
      ppo: { ...settings.ppo!, klCoefficient },
      training: steps(3),
    });

  test("loads no reference and learns what a vanishing coefficient would make it learn", async () => {
    const figures = (await run("free", 0)).flatMap((line) => Object.keys(line));
    expect(figures.filter((name) => name.startsWith("kl/") || name === "ppo/klLoss")).toEqual([]);
    const [policy, ...others] = finalWeights;
    expect(others).toEqual([]);
    await run("held", 1e-300);
    expect(finalWeights).toHaveLength(2);
    expect(policy).toEqual(finalWeights[0]);
  });
});

describe("self-training", () => {
  const config = withoutValueHead.selfTraining!;

  test("learns right texts, beside the chains of thought of the data", async () => {
    outcomeOf = () => ({ kind: "answer", value: gold });
    const lines = await train("all-right", { ...config, training: steps(3) });
    for (const line of lines.slice(1)) {
      expect(line["reward/score"]).toBe(1);
      expect(line["selfTraining/keptResponses"]).toBeGreaterThan(0);
      expect(line["selfTraining/keptResponses"]).toBeLessThanOrEqual(8);
    }
    const rollout = { ...config.rollout, maxNewTokens: 100 }; // room for all of the data's
    const withGold = await train("gold", { ...config, rollout, training: steps(2) });
    for (const line of withGold.slice(1)) expect(line["selfTraining/goldAnswers"]).toBe(4);
  });

  test("without anything right makes no update, and says so", async () => {
    outcomeOf = () => ({ kind: "answer", value: 7 });
    const answers = join(home, "answers.jsonl");
    const text = readFileSync(base.data.train, "utf8");
    writeFileSync(answers, text.replace(/"cot":"(?:[^"\\]|\\.)*",/g, ""));
    const [, line] = await train("all-wrong", {
      ...config,
      data: { ...base.data, train: answers },
      alarms: { ...alarms, constantScoreSteps: 2 },
      training: steps(2),
    });
    expect(line).toMatchObject({ "selfTraining/keptResponses": 0, "selfTraining/gradNorm": 0 });
    expect(line!["reward/score"]).toBe(0);
    expect(finalWeights[0]).toEqual(warmupWeights);
    expect(errors).toContain("for 2 steps, no response of a step is right");
  });
});

describe("paperParity", () => {
  test("true chooses the checkpoint on the test set and logs the mean reward as accuracy", async () => {
    const data = { ...base.data, test: join(home, "test.jsonl") };
    const lines = await train("parity", { ...base, data, paperParity: true, training: steps(2) });
    expect(readFileSync(join(folderOf("parity"), "samples", "step-000002.jsonl"), "utf8")).toMatch(
      /^\{"id":"generated-test-0"/,
    );
    for (const line of lines.slice(1)) {
      expect(line["train/accuracy"]).toBe(line["reward/score"]);
      expect(line["reward/score"]).toBeGreaterThan(line["reward/correctFraction"]!); // 0.1 for wrong ones
    }
  });

  test("false chooses it on dev, and has accuracy, extracted share and reward apart", () => {
    expect(readFileSync(join(folderOf("full"), "samples", "step-000005.jsonl"), "utf8")).toMatch(
      /^\{"id":"generated-dev-0"/,
    );
    const [, line] = metricsOf(folderOf("full"));
    expect(line).not.toHaveProperty("train/accuracy");
    expect(line!["reward/extractedFraction"]).toBeGreaterThan(line!["reward/correctFraction"]!);
  });

  test.each([
    [true, 1, 0.1],
    [false, 0, 0],
  ])(
    "%s: a failing program on a question of choices is extracted: %d, reward %d",
    async (paperParity, extracted, reward) => {
      setAnswers("b");
      outcomeOf = () => ({ kind: "error", message: "NameError" });
      const data = paperParity ? { ...base.data, test: join(home, "test.jsonl") } : base.data;
      const config = { ...base, data, paperParity, training: steps(1) };
      const [, line] = await train(`choices-${paperParity}`, config);
      setAnswers(gold);
      expect(line!["reward/extractedFraction"]).toBe(extracted);
      expect(line!["reward/score"]).toBeCloseTo(reward, 12);
      expect(line!["reward/correctFraction"]).toBe(0);
    },
  );
});

describe("a sandbox that fails", () => {
  beforeEach(() => {
    outcomeOf = (program) =>
      !isEvaluating && shareOf(program) < 0.5
        ? { kind: "infrastructure", message: "down" }
        : { kind: "answer", value: gold };
  });

  test("leaves its samples out of a step, and counts them", async () => {
    const lenient = { ...alarms, maxInfrastructureFraction: 0.99 };
    const lines = await train("failures", { ...base, alarms: lenient, training: steps(3) });
    const counts = lines.slice(1).map((line) => line["rollout/infrastructureFailures"]!);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    for (const line of lines.slice(1)) expect(line["reward/score"]).toBe(1); // of those left
  });

  test("stops the run above the limit, with the last checkpoint intact", async () => {
    const config = { ...base, training: steps(3) };
    expect(await userErrorOf(() => train("broken", config))).toMatch(
      /^step 1: the sandbox could not run \d of 8 programs \(alarms.maxInfrastructureFraction is 0.05\)/,
    );
    expect(loadCheckpoint(folderOf("broken"), "last")!.step).toBe(0);
  });

  test("stops the run when it fails every time, whatever the limit", async () => {
    outcomeOf = (program) =>
      isEvaluating ? mixedOutcome(program) : { kind: "infrastructure", message: "down" };
    const config = { ...base, alarms: { ...alarms, maxInfrastructureFraction: 1 } };
    expect(await userErrorOf(() => train("down", config))).toContain(
      "step 1: the sandbox could not run 8 of 8 programs",
    );
  });
});

test("a sandbox that fails in an evaluation stops the run, instead of looking like a bad model", async () => {
  outcomeOf = () => ({ kind: "infrastructure", message: "down" });
  expect(await userErrorOf(() => train("blind", base))).toMatch(
    /^evaluation: the sandbox could not run \d+ of \d+ programs \(down\)/,
  );
});

test("stops when recomputed log-probabilities are further off than the limit", async () => {
  const config = { ...base, alarms: { ...alarms, maxLogprobGap: 1e-12 } };
  expect(await userErrorOf(() => train("gap", config))).toMatch(
    /^step 1: log-probabilities when sampled and when recomputed differ by \S+ on average \(alarms.maxLogprobGap is 1e-12\)/,
  );
});

test("rollouts that round what they cache are told from scoring by the gap", async () => {
  const config = {
    ...base,
    rollout: { ...base.rollout, kvCacheDtype: "bf16" as const },
    alarms: { ...alarms, maxLogprobGap: 0.05 },
    training: steps(1),
  };
  await train("bf16-cache", config);
  expect(metricsOf(folderOf("bf16-cache")).at(-1)!["rollout/logprobGap"]).toBeGreaterThan(1e-5);
});

test("numbers that are not finite stop the run; the warm-up checkpoint is intact", async () => {
  const strict = { ...alarms, maxSkippedSteps: 0 };
  const config = {
    ...{ ...base, alarms: strict },
    optimizer: { ...base.optimizer, learningRate: 1e30 },
  };
  expect(await userErrorOf(() => train("exploding", config))).toMatch(
    /^step 1: .* is NaN.*, expected finite numbers \(alarms.*Lower optimizer.learningRate/,
  );
  expect(loadCheckpoint(folderOf("exploding"), "last")!.step).toBe(0);
  expect(lastWeights("exploding").policy).toEqual(warmupWeights);
});

test("a rollout of numbers that are not finite is skipped, and the run stops after a few", async () => {
  const config = {
    ...{ ...base, alarms: { ...alarms, maxSkippedSteps: 1 } },
    evaluation: { ...evaluation, everySteps: 1 },
  };
  // 1e300 is infinite in the float32 of advantages.
  const run = trainReft(config, folderOf("infinite"), { reward: () => 1e300 });
  expect(await userErrorOf(() => run)).toMatch(
    /^step 2: advantages is NaN, .* in 2 steps in a row \(alarms.maxSkippedSteps is 1\).*step 1 is/,
  );
  expect(metricsOf(folderOf("infinite")).at(-1)).toMatchObject({
    ...{ step: 1, "train/skippedUpdates": 1, "ppo/policyLoss": 0, "ppo/gradNorm": 0 },
  });
  expect(lastWeights("infinite").policy).toEqual(warmupWeights);
});

testEqualRuns(
  "a collapse stops the run after it is saved, if told so, and the same command goes on",
  async () => {
    outcomeOf = () => ({ kind: "error", message: "NameError" }); // earns 0
    const collapse = { ...alarms, onCollapse: "stop" as const, collapseSteps: 2 };
    const config = { ...base, alarms: collapse, training: steps(3) };
    const folder = folderOf("collapsed");
    expect(await userErrorOf(() => train("collapsed", config))).toMatch(
      /^step 2: the policy has collapsed, for 2 steps: reward\/score is 0, of all responses\. Step 0 is the newest .*--fork \S+collapsed@0 /,
    );
    expect(loadCheckpoint(folder, "last")!.step).toBe(2);
    expect(readFileSync(join(folder, "alarms.jsonl"), "utf8")).toContain(
      '{"step":2,"name":"collapse"',
    );
    await trainReft({ ...config, alarms: { ...collapse, collapseSteps: 1 } }, folder);
    expect(loadCheckpoint(folder, "last")!.step).toBe(3);
    await trainReft({ ...config, alarms: { ...alarms, collapseSteps: 2 } }, folderOf("warned"));
    expect(errors).toContain("warning: step 2: the policy has collapsed");
    expect(contentOf(folder)).toEqual(contentOf(folderOf("warned")));
  },
);

test("alarms are said once, with the step", async () => {
  const touchy = { ...alarms, maxTruncatedFraction: 0.01, minExtractedFraction: 1 };
  await train("alarms", { ...base, alarms: touchy, training: steps(3) });
  const said = errors.split("\n").filter((line) => line.startsWith("warning"));
  expect(said).toHaveLength(2);
  expect(said[0]).toMatch(/^warning: step 1: fewer than 100 % of the responses give an answer/);
  expect(said[1]).toMatch(/^warning: step 1: more than 1 % of the responses end without EOS/);
  const kept = readFileSync(join(folderOf("alarms"), "alarms.jsonl"), "utf8")
    .trimEnd()
    .split("\n");
  expect(kept.map((line) => `warning: step 1: ${JSON.parse(line).message}`)).toEqual(said);
});
