import { afterAll, describe, expect, test } from "vitest";
import { AdamW } from "../../src/engine/optimizer.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { createScorer } from "../../src/model/score.ts";
import { objectiveOf } from "../../src/ppo/objectives/choose.ts";
import { createUpdater, type LearningRates } from "../../src/ppo/update.ts";
import { Rng } from "../../src/rng.ts";
import { experienceOf } from "../support/experiences.ts";
import { goldenPath, largestDifference } from "../support/golden.ts";
import { golden, responseRows, sequences as rollout, startModel } from "../support/valueGolden.ts";

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
  /** @param drift how much more likely the policy makes each token than when it sampled */
  const updateOnce = (advantages: "grpo" | "rloo", microBatchTokens: number, drift = 0) => {
    const ppo = {
      ...{ advantages, ppoEpochs: 1, miniBatchSize: 4, clipRange: 0.2, klCoefficient: 0.05 },
      partialReward: 0.1,
    };
    const objective = objectiveOf(ppo);
    const sampled = experiences.map((experience) => ({
      ...experience,
      logprobs: experience.logprobs.map((logprob) => logprob - drift),
    }));
    const credited = objective.credit(sampled);
    const options = { ...ppo, microBatchTokens, maxNewTokens: 8 };
    const updater = createUpdater(model, undefined, optimizer, objective, options);
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

  test.each([1000, 20])(
    "an update that is not finite leaves nothing, %d tokens at once",
    (tokens) => {
      const ppo = {
        ...{ advantages: "grpo" as const, ppoEpochs: 1, miniBatchSize: 2, clipRange: 0.2 },
        ...{ klCoefficient: 0.05, partialReward: 0.1 },
      };
      const objective = objectiveOf(ppo);
      const credited = objective.credit(experiences);
      const broken = credited.map((experience, i) => ({
        ...experience,
        advantages: i === 1 ? experience.advantages.map(() => Number.NaN) : experience.advantages,
      }));
      /** What the updates lead to, from the same weights and moments. */
      const outcomeOf = (learned: typeof credited) => {
        const model = loadModel(goldenPath("models", "multi-head"));
        const optimizer = new AdamW([{ variables: [...model.parameters.values()] }], adamW);
        const options = { ...ppo, microBatchTokens: tokens, maxNewTokens: 8 };
        const updater = createUpdater(model, undefined, optimizer, objective, options);
        const rates = { policy: 1e-3, valueHead: null };
        const { skipped, ...figures } = updater.update(learned, rates, Rng.named(1, "x"));
        const variables = [...model.parameters, ...optimizer.moments()];
        const values = variables.map(([name, variable]) => [name, variable.values()]);
        for (const part of [updater, optimizer]) part.dispose();
        disposeModel(model);
        return { skipped, figures, values };
      };
      const { skipped, ...left } = outcomeOf(broken);
      expect(skipped).toEqual([{ policyLoss: Number.NaN }]);
      const { skipped: none, ...without } = outcomeOf(credited.slice(2));
      expect(none).toEqual([]);
      expect(left).toEqual(without);
    },
  );

  test.each([1000, 20])("rloo clips the ratio of a response, in batches of %d tokens", (tokens) => {
    const drift = 0.05;
    const { credited, metrics } = updateOnce("rloo", tokens, drift);
    const objectives = credited.map(({ advantages: [advantage], response }) => {
      const ratio = Math.exp(drift * response.length); // 1.28 and 1.16 or less
      return Math.min(advantage! * ratio, advantage! * Math.min(ratio, 1.2));
    });
    expect(metrics.policyLoss).toBeCloseTo(-mean(objectives), 5);
    expect(metrics.clipFraction).toBeCloseTo(5 / 12, 6); // the tokens of the first response
    expect(metrics).not.toHaveProperty("klLoss");
  });
});

// Expected values: the authors' formulas in PyTorch, float64, scripts/golden/ppo_update.py.
describe("createUpdater with a value head", () => {
  const setting = (name: string) => golden.get(name)!.values as Float32Array;
  const [klCoefficient, gamma, gaeLambda, clipRange, valueClipRange, valueCoefficient] =
    setting("settings");
  const [policyRate, valueHeadRate] = setting("learningRates");
  const ppo = {
    ...{ advantages: "gae" as const, ppoEpochs: 2, miniBatchSize: rollout.length },
    ...{ partialReward: 0.1, valueWarmupSteps: 0, klCoefficient: klCoefficient! },
    ...{ gamma: gamma!, gaeLambda: gaeLambda!, clipRange: clipRange! },
    ...{ valueClipRange: valueClipRange!, valueCoefficient: valueCoefficient! },
  };

  /** From tokens and scores to the weights after two updates. */
  const train = (rates: LearningRates, tokens: number) => {
    const { model, valueHead } = startModel();
    const scorer = createScorer(model, valueHead);
    const { logprobs, values } = scorer.score(rollout, tokens);
    const references = responseRows("referenceLogprobs");
    const experiences = rollout.map((sequence, i) =>
      experienceOf({
        ...{ ...sequence, score: setting("scores")[i]!, referenceLogprobs: references[i]! },
        ...{ logprobs: logprobs[i]!, values: values[i]! },
      }),
    );
    const groups = [model.parameters, valueHead].map((group) => ({
      variables: [...group.values()],
    }));
    const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 };
    const adamW = new AdamW(groups, options);
    const objective = objectiveOf(ppo);
    const update = { ...ppo, microBatchTokens: tokens, maxNewTokens: 8 };
    const updater = createUpdater(model, valueHead, adamW, objective, update);
    const credited = objective.credit(experiences);
    const metrics = updater.update(credited, rates, Rng.named(1, "x"));
    const variables = [...model.parameters, ...valueHead];
    const weights = new Map(variables.map(([name, variable]) => [name, variable.values()]));
    for (const part of [updater, adamW, scorer, ...valueHead.values()]) part.dispose();
    disposeModel(model);
    return { metrics, weights };
  };

  test.each([10_000, 20, 1])(
    "two updates, the second clipped, end at PyTorch's weights, %d tokens at once",
    (tokens) => {
      const { metrics, weights } = train(
        { policy: policyRate!, valueHead: valueHeadRate! },
        tokens,
      );
      for (const [name, values] of weights)
        expect(largestDifference(values, setting(`final.${name}`)), name).toBeLessThan(1e-5);
      for (const name of ["policyLoss", "valueLoss", "approxKl", "meanRatio"] as const)
        expect(metrics[name], name).toBeCloseTo(setting(name)[0]!, 5);
      expect(metrics.gradNorm).toBeCloseTo(setting("gradNorm")[0]!, 4);
      expect(metrics.clipFraction).toBeCloseTo(setting("clipFraction")[0]!, 5);
      expect(metrics.firstClipFraction).toBe(0);
    },
  );

  test("value warm-up trains the head as PyTorch does, and nothing else", () => {
    const { metrics, weights } = train({ policy: null, valueHead: valueHeadRate! }, 20);
    expect(metrics.gradNorm).toBeCloseTo(setting("warmup.gradNorm")[0]!, 4);
    const { model, valueHead } = startModel();
    for (const [name, variable] of model.parameters)
      expect(weights.get(name), name).toEqual(variable.values());
    for (const [name, variable] of valueHead) {
      const expected = setting(`warmup.${name}`);
      expect(largestDifference(weights.get(name)!, expected), name).toBeLessThan(1e-5);
      variable.dispose();
    }
    disposeModel(model);
  });
});
