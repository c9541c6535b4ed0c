// Which model a stage trains, and which one it is held to.
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type AdapterConfig, adapterTargets } from "../../src/config.ts";
import { loadTokenizer, type Tokenizer } from "../../src/data/tokenizer.ts";
import { liveTensors } from "../../src/engine/tf.ts";
import { disposeModel, loadModel, type Model, saveWeights } from "../../src/model/model.ts";
import { createScorer } from "../../src/model/score.ts";
import { openReference, openTrained, type Training } from "../../src/run/trainedModel.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { largestDifference } from "../support/golden.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { writeTinyAdapter, writeTinyData, writeTinyModel } from "../support/tiny.ts";

captureOutput();
let [base, warmup] = ["", ""];
let tokenizer: Tokenizer;
beforeEach(() => {
  const home = temporaryFolder();
  [base, warmup] = [join(home, "base"), join(home, "warmup")];
  writeTinyModel(base, writeTinyData(home));
  tokenizer = loadTokenizer(base);
  const drawn = loadModel(base);
  saveWeights(drawn.parameters, base, { dtype: "BF16", maxShardBytes: 1e9 });
  disposeModel(drawn);
  writeTinyAdapter(warmup, base, 0.1);
});

const adapter: AdapterConfig = { rank: 2, alpha: 4, targets: "all" };

function logprobsOf(model: Model): Float32Array {
  const scorer = createScorer(model);
  const sequence = { prompt: [5, 6, 7], response: [8, 9, 10, 11, 12, 13] };
  const { logprobs } = scorer.score([sequence], 100);
  scorer.dispose();
  return logprobs[0]!;
}

function change({ adapter }: Model): void {
  for (const variable of adapter!.variables.values())
    variable.load(variable.values().map((value) => value + 0.1));
}

describe.each(["float32", "bf16"] as const)("beside weights held as %s", (weights) => {
  test("the reference is the base with the warm-up's own adapter, whatever becomes of the policy", () => {
    const live = liveTensors();
    const policy = openTrained(tokenizer, warmup, { seed: 1, weights, adapter });
    const reference = openReference(warmup, policy);
    const start = logprobsOf(policy);
    expect(logprobsOf(reference.model)).toEqual(start);
    const { adapter: _, ...bare } = policy;
    expect(largestDifference(logprobsOf(bare), start)).toBeGreaterThan(0.01); // adapters off is another model
    change(policy);
    expect(largestDifference(logprobsOf(policy), start)).toBeGreaterThan(0.01);
    expect(logprobsOf(reference.model)).toEqual(start);
    reference[Symbol.dispose]();
    disposeModel(policy);
    expect(liveTensors()).toBe(live);
  });

  test("the reference of a warm-up without adapter is that model", () => {
    const live = liveTensors();
    const policy = openTrained(tokenizer, base, { seed: 1, weights, adapter });
    const start = logprobsOf(policy);
    const reference = openReference(base, policy);
    change(policy);
    expect(logprobsOf(reference.model)).toEqual(start);
    reference[Symbol.dispose]();
    disposeModel(policy);
    expect(liveTensors()).toBe(live);
  });

  test.each([
    ["with", 2 * adapterTargets.length],
    ["without", 0],
  ])("the base is in memory once: a warm-up %s adapter", (has, variables) => {
    const folder = has === "with" ? warmup : base;
    const policy = openTrained(tokenizer, folder, { seed: 1, weights, adapter });
    const before = liveTensors();
    const reference = openReference(folder, policy);
    expect(reference.model.parameters).toBe(policy.parameters);
    expect(liveTensors() - before).toBe(variables); // a handle each, in the one layer
    reference[Symbol.dispose]();
    disposeModel(policy);
  });
});

describe("refuses to train", () => {
  test.each<[string, Training["adapter"], string]>([
    ["no adapter", undefined, "found none"],
    ["another rank", { ...adapter, rank: 3 }, "found { rank: 3, alpha: 4, targets: all }"],
    ["another alpha", { ...adapter, alpha: 2 }, "found { rank: 2, alpha: 2, targets: all }"],
    [
      "other matrices",
      { ...adapter, targets: ["v_proj", "q_proj"] },
      "found { rank: 2, alpha: 4, targets: [q_proj, v_proj] }",
    ],
  ])("%s than the folder has", async (_, wanted, found) => {
    const live = liveTensors();
    expect(
      await userErrorOf(() => openTrained(tokenizer, warmup, { seed: 1, adapter: wanted })),
    ).toBe(
      `${warmup} has an adapter: expected the setting adapter: { rank: 2, alpha: 4, targets: all }, to go on training it, ` +
        `${found}; to train all weights, merge it first: reft export`,
    );
    expect(liveTensors()).toBe(live);
  });

  test("takes the folder's matrices in any order", () => {
    const targets = adapterTargets.toReversed();
    const model = openTrained(tokenizer, warmup, { seed: 1, adapter: { ...adapter, targets } });
    expect(logprobsOf(model)).toEqual(logprobsOfFolder(warmup));
    disposeModel(model);
  });
});

function logprobsOfFolder(folder: string): Float32Array {
  const model = loadModel(folder);
  const logprobs = logprobsOf(model);
  disposeModel(model);
  return logprobs;
}
