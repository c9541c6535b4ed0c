import { afterAll, describe, expect, test } from "vitest";
import { AdamW } from "../../src/engine/optimizer.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { createScorer } from "../../src/model/score.ts";
import { withAdvantages } from "../../src/ppo/credit.ts";
import { createUpdater } from "../../src/ppo/update.ts";
import { Rng } from "../../src/rng.ts";
import { experienceOf } from "../support/experiences.ts";
import { goldenPath } from "../support/golden.ts";

describe("createUpdater without a value head", () => {
  const model = loadModel(goldenPath("models", "multi-head"));
  const adamW = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 };
  const optimizer = new AdamW([{ variables: [...model.parameters.values()] }], adamW);
  const scorer = createScorer(model);
  afterAll(() => {
    for (const part of [optimizer, scorer]) part.dispose();
    disposeModel(model);
  });

  // Two questions; the first's right response is the longest.
  const [one, two] = [
    [3, 4],
    [5, 6, 7],
  ];
  const sequences = [
    { prompt: one!, response: [8, 9, 10, 11, 2], score: 1 },
    { prompt: one!, response: [12, 2], score: 0.1 },
    { prompt: two!, response: [13, 14, 2], score: 0 },
    { prompt: two!, response: [15, 2], score: 1 },
  ];
  const { logprobs } = scorer.score(sequences, 1000);
  const experiences = sequences.map((sequence, i) =>
    experienceOf({
      ...sequence,
      logprobs: logprobs[i]!,
      referenceLogprobs: logprobs[i]!.map((logprob, t) => logprob - 0.1 * (t + 1)),
    }),
  );
  const rates = { policy: 1e-9, valueHead: null }; // the policy stays where it sampled
  const updateOnce = (advantages: "grpo" | "rloo", microBatchTokens: number) => {
    const ppo = {
      ...{ advantages, ppoEpochs: 1, miniBatchSize: 4, clipRange: 0.2, klCoefficient: 0.05 },
      partialReward: 0.1,
    };
    const credited = withAdvantages(experiences, ppo);
    const updater = createUpdater(model, undefined, optimizer, { ...ppo, microBatchTokens });
    const metrics = updater.update(credited, rates, Rng.named(1, "x"));
    updater.dispose();
    return { credited, metrics };
  };
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

  test.each([1000, 20])("grpo takes means over responses, in batches of %d tokens", (tokens) => {
    const { credited, metrics } = updateOnce("grpo", tokens);
    const advantages = credited.map((experience) => experience.advantages[0]!);
    expect(metrics.policyLoss).toBeCloseTo(-mean(advantages), 5);
    // d = 0.1, 0.2, ...: the mean of exp(-d) - 1 + d over each response, then over the responses
    const k3 = (t: number) => Math.exp(-0.1 * (t + 1)) - 1 + 0.1 * (t + 1);
    const drifts = sequences.map(({ response }) => mean(response.map((_, t) => k3(t))));
    expect(metrics.klLoss).toBeCloseTo(mean(drifts), 5);
    expect(metrics).not.toHaveProperty("valueLoss");
    expect(metrics).not.toHaveProperty("explainedVariance");
  });

  test.each([1000, 20])("rloo sums over a response's tokens, in batches of %d tokens", (tokens) => {
    const { credited, metrics } = updateOnce("rloo", tokens);
    const summed = credited.map(({ advantages }) => advantages[0]! * advantages.length);
    expect(metrics.policyLoss).toBeCloseTo(-mean(summed), 5);
    expect(Math.abs(mean(summed))).toBeGreaterThan(0.1);
    expect(metrics).not.toHaveProperty("klLoss");
  });
});
