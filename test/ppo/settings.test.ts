import { describe, expect, test } from "vitest";
import type { PpoConfig } from "../../src/config.ts";
import { AdamW } from "../../src/engine/optimizer.ts";
import { tf } from "../../src/engine/tf.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { policyLoss } from "../../src/ppo/loss.ts";
import { objectiveOf } from "../../src/ppo/objectives/choose.ts";
import { createUpdater, type UpdateMetrics } from "../../src/ppo/update.ts";
import { Rng } from "../../src/rng.ts";
import { experienceOf } from "../support/experiences.ts";
import {
  goldenPath,
  largestDifference,
  readGolden,
  relativeDifference,
  rowOf,
} from "../support/golden.ts";

// Expected values: TRL's own GRPOTrainer._compute_loss, float64, scripts/golden/objectives.py.
const golden = readGolden("objectives", "golden.safetensors");
const of = (name: string) => golden.get(name)!.values;
const lengths = [...of("lengths")];
const samples = 4;
const promptLength = 3;
const rows = lengths.map((length, row) => rowOf(golden.get("tokens")!, row, promptLength + length));
const prompts = [0, samples].map((row) => rows[row]!.slice(0, promptLength));
const experiences = rows.map((row, i) => {
  const numbers = (name: string) => rowOf(golden.get(name)!, i, lengths[i]!);
  return experienceOf({
    prompt: prompts[Math.floor(i / samples)]!,
    response: row.slice(promptLength),
    score: Math.round(10 * of("scores")[i]!) / 10,
    logprobs: numbers("logprobs"),
    referenceLogprobs: numbers("referenceLogprobs"),
    isTruncated: of("isTruncated")[i] === 1,
  });
});

type GrpoConfig = Extract<PpoConfig, { advantages: "grpo" }>;
const base: GrpoConfig = {
  ...{ advantages: "grpo", ppoEpochs: 1, miniBatchSize: 8, clipRange: 0.2, klCoefficient: 0.04 },
  partialReward: 0.1,
};
/** Two minibatches: the mean over the rollout differs from that over a minibatch only then. */
const halves = { miniBatchSize: 4, lossMean: "rolloutTokens" } as const;
const cases: Record<string, Partial<GrpoConfig>> = {
  default: {},
  upperClip: { upperClipRange: 0.35 },
  miniBatchTokens: { lossMean: "miniBatchTokens" },
  rolloutTokens: halves,
  maxNewTokens: { lossMean: "maxNewTokens", scaleAdvantages: "none" },
  rolloutScale: { scaleAdvantages: "rollout" },
  responseRatio: { ratio: "response", clipRange: 0.05, upperClipRange: 0.08 },
  masked: { maskTruncated: true },
  maskedTokens: { ...halves, maskTruncated: true },
  entropy: { entropyCoefficient: 0.3 },
  dapo: {
    ...{ ...halves, upperClipRange: 0.28, maskTruncated: true },
    ...{ klCoefficient: 0, entropyCoefficient: 0.3 },
  },
};

/** One pass at a learning rate of 0, so that all minibatches meet the same weights. */
function update(settings: Partial<GrpoConfig>, microBatchTokens: number) {
  const ppo = { ...base, ...settings };
  const model = loadModel(goldenPath("models", "linear-rope"));
  const adam = { beta1: 0, beta2: 0.9, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1e9 };
  const optimizer = new AdamW([{ variables: [...model.parameters.values()] }], adam);
  const objective = objectiveOf(ppo);
  const options = { ...ppo, microBatchTokens, maxNewTokens: 9 };
  const updater = createUpdater(model, undefined, optimizer, objective, options);
  const credited = objective.credit(experiences);
  const metrics = updater.update(credited, { policy: 0, valueHead: null }, Rng.named(1, "x"));
  const moments = new Map(
    [...optimizer.moments()].map(([name, moment]) => [name, { values: moment.values() }]),
  );
  for (const part of [updater, optimizer]) part.dispose();
  disposeModel(model);
  return { credited, metrics, moments };
}

/** TRL's loss, made of our figures. */
function lossOf(metrics: UpdateMetrics, settings: Partial<GrpoConfig>): number {
  const { klCoefficient, entropyCoefficient = 0 } = { ...base, ...settings };
  const penalty = klCoefficient * (metrics.klLoss ?? 0);
  return metrics.policyLoss + penalty - entropyCoefficient * (metrics.entropy ?? 0);
}

describe.each(Object.entries(cases))("%s", (name, settings) => {
  test.each([10_000, 24, 1])("loss and gradients equal TRL's, %d tokens at once", (tokens) => {
    const { credited, metrics, moments } = update(settings, tokens);
    const advantages = credited.map((experience) => experience.advantages[0]!);
    expect(largestDifference(advantages, of(`${name}.advantages`))).toBeLessThan(1e-6);
    expect(lossOf(metrics, settings)).toBeCloseTo(of(`${name}.loss`)[0]!, 5);
    expect(metrics.gradNorm / of(`${name}.gradNorm`)[0]!).toBeCloseTo(1, 5);
    if (metrics.entropy !== undefined)
      expect(metrics.entropy).toBeCloseTo(of(`${name}.entropy`)[0]!, 5);
    for (const parameter of ["model.norm.weight", "model.layers.0.self_attn.q_proj.weight"]) {
      const expected = golden.get(`${name}.grad.${parameter}`)?.values;
      if (expected === undefined) continue; // of two minibatches, whose order is ours
      const gradient = moments.get(`${parameter}.exp_avg`)!.values; // because beta1 is 0
      expect(relativeDifference(gradient, expected), parameter).toBeLessThan(1e-5);
    }
  });
});

test("of the golden cases each has a loss or a gradient of its own", () => {
  const { loss, gradNorm } = { loss: of("default.loss")[0]!, gradNorm: of("default.gradNorm")[0]! };
  for (const name of Object.keys(cases).slice(1)) {
    const change =
      Math.abs(of(`${name}.loss`)[0]! - loss) + Math.abs(of(`${name}.gradNorm`)[0]! - gradNorm);
    expect(change, name).toBeGreaterThan(1e-3);
  }
});

test("a response's ratio: value and gradient on paper, padding left out", () => {
  // One response of two tokens, log-ratios 0.3 and -0.1, mean 0.1; one of one token, 0.5, which is clipped at 1.2; then padding.
  const logprobs = tf.tensor1d([-0.7, -1.1, -0.5, 9]);
  const input = {
    oldLogprobs: tf.tensor1d([-1, -1, -1, 0]),
    advantages: tf.tensor1d([2, 2, 1, 5]),
    weights: tf.tensor1d([0.25, 0.25, 0.5, 0]),
    responses: { index: tf.tensor1d([0, 0, 1, 0], "int32"), shares: tf.tensor1d([0.5, 0.5, 1, 0]) },
  };
  const { value, grads } = tf
    .engine()
    .gradients(() => policyLoss({ ...input, logprobs }, { below: 0.2, above: 0.2 }), [logprobs]);
  expect(value.dataSync()[0]).toBeCloseTo(-(Math.exp(0.1) + 0.5 * 1.2), 6);
  const slope = -0.5 * Math.exp(0.1);
  expect(largestDifference(grads[0]!.dataSync(), [slope, slope, 0, 0])).toBeLessThan(1e-6);
});

test("a minibatch of truncated responses alone makes no update", () => {
  const all = experiences.map((e) => ({
    ...e,
    answer: { ...e.answer, response: { ...e.answer.response, isTruncated: true } },
  }));
  const model = loadModel(goldenPath("models", "linear-rope"));
  const before = [...model.parameters.values()].map((variable) => variable.values());
  const adam = { beta1: 0.9, beta2: 0.9, epsilon: 1e-8, weightDecay: 0.1, maxGradNorm: 1 };
  const optimizer = new AdamW([{ variables: [...model.parameters.values()] }], adam);
  const ppo = { ...base, maskTruncated: true };
  const objective = objectiveOf(ppo);
  const options = { ...ppo, microBatchTokens: 100, maxNewTokens: 9 };
  const updater = createUpdater(model, undefined, optimizer, objective, options);
  const rates = { policy: 0.1, valueHead: null };
  const metrics = updater.update(objective.credit(all), rates, Rng.named(1, "x"));
  expect(metrics).toMatchObject({ policyLoss: 0, klLoss: 0, gradNorm: 0, clipFraction: 0 });
  expect([...model.parameters.values()].map((variable) => variable.values())).toEqual(before);
  for (const part of [updater, optimizer]) part.dispose();
  disposeModel(model);
});
