// LoRA beside frozen weights. Expected values: peft in float32, scripts/golden/adapter.py.
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { adapterTargets } from "../../src/config.ts";
import { AdamW } from "../../src/engine/optimizer.ts";
import { liveTensors } from "../../src/engine/tf.ts";
import { createGenerator } from "../../src/generate/generate.ts";
import { createAdapter } from "../../src/model/adapter.ts";
import { createResponseBackward } from "../../src/model/backward.ts";
import {
  checkHoldsModel,
  disposeModel,
  loadModel,
  type Model,
  parameterShapes,
  saveModel,
  trainedVariables,
} from "../../src/model/model.ts";
import { createScorer } from "../../src/model/score.ts";
import { Rng } from "../../src/rng.ts";
import {
  goldenPath,
  largestDifference,
  readGolden,
  relativeDifference,
  rowOf,
} from "../support/golden.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const inFile = (name: string) => `base_model.model.${name}`;

describe.each(["all-matrices", "queries-and-values"])("%s", (name) => {
  const golden = readGolden("adapter", `${name}.safetensors`);
  const folder = goldenPath("adapter", name);
  const promptLengths = golden.get("promptLengths")!.values;
  const sequences = [...golden.get("lengths")!.values].map((length, row) => {
    const tokens = rowOf(golden.get("tokens")!, row, length);
    const prompt = tokens.slice(0, promptLengths[row]!);
    return { prompt, response: tokens.slice(prompt.length) };
  });
  sequences[1] = { ...sequences[1]!, prompt: sequences[0]!.prompt }; // the same one, so that the two share it

  test.each([10_000, 20])("log-probabilities equal peft's, %d tokens at once", (maxTokens) => {
    const model = loadModel(folder);
    const scorer = createScorer(model);
    const logprobs = scorer.score(sequences, maxTokens).logprobs.flatMap((row) => [...row]);
    expect(largestDifference(logprobs, golden.get("logprobs")!.values)).toBeLessThan(1e-5);
    scorer.dispose();
    disposeModel(model);
  });

  test.each([10_000, 20])(
    "gradients and five steps of AdamW equal peft's, %d tokens at once",
    (microBatchTokens) => {
      const live = liveTensors();
      const model = loadModel(folder);
      const before = [...model.parameters.values()].map((variable) => variable.values());
      const optimizer = new AdamW([{ variables: [...trainedVariables(model).values()] }], {
        ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 },
      });
      const backward = createResponseBackward("sft", model, optimizer, { microBatchTokens });
      golden.get("losses")!.values.forEach((loss, step) => {
        expect(Math.abs(backward(sequences) / loss - 1)).toBeLessThan(1e-5);
        const norm = optimizer.update([1e-3]);
        expect(norm).toBeCloseTo(golden.get("gradNorms")!.values[step]!, 4);
        if (step > 0) return;
        const scale = 0.1 * Math.min(1, 1 / (norm + 1e-6)); // the first moment has a tenth of the clipped gradient
        for (const variable of model.adapter!.variables.keys()) {
          const moment = optimizer.moments().get(`${variable}.exp_avg`)!.values();
          const gradient = moment.map((value) => value / scale);
          const expected = golden.get(`grad.${inFile(variable)}`)!.values;
          expect(relativeDifference(gradient, expected), variable).toBeLessThan(1e-5);
        }
      });
      for (const [variable, { values }] of [...golden].filter(([key]) => key.startsWith("final.")))
        expect(
          largestDifference(
            model
              .adapter!.variables.get(variable.slice("final.base_model.model.".length))!
              .values(),
            values,
          ),
          variable,
        ).toBeLessThan(1e-5);
      const after = [...model.parameters.values()].map((variable) => variable.values());
      expect(after).toEqual(before); // the base is frozen
      for (const part of [backward, optimizer]) part.dispose();
      disposeModel(model);
      expect(liveTensors()).toBe(live);
    },
  );

  test("sampled log-probabilities are those that scoring gives", async () => {
    const model = loadModel(folder);
    const generator = createGenerator(model, { slots: 3, maxTokens: 40, temperature: 1 });
    const prompts = sequences.map(({ prompt }, i) => ({ tokens: prompt, rng: Rng.named(i, "x") }));
    const responses = await generator.generate(prompts, { maxNewTokens: 20, eosIds: [] });
    const scorer = createScorer(model);
    const sampled = responses.map(({ tokens }, i) => ({
      prompt: prompts[i]!.tokens,
      response: tokens,
    }));
    scorer.score(sampled, 10_000).logprobs.forEach((row, i) => {
      expect(largestDifference(row, responses[i]!.logprobs)).toBeLessThan(1e-5);
    });
    for (const part of [generator, scorer]) part.dispose();
    disposeModel(model);
  });

  test("a saved adapter is read as it was", () => {
    const model = loadModel(folder);
    const saved = temporaryFolder();
    saveModel(model, saved);
    const again = loadModel(saved);
    expect(again.adapter!.settings).toEqual(model.adapter!.settings);
    expect(valuesOf(again)).toEqual(valuesOf(model));
    for (const each of [model, again]) disposeModel(each);
  });
});

test("the configuration of an adapter's folder is that of its base model", () => {
  const { maxPositions, dim } = checkHoldsModel(goldenPath("adapter", "all-matrices"));
  expect({ maxPositions, dim }).toEqual({ maxPositions: 256, dim: 48 });
});

const valuesOf = ({ adapter }: Model) =>
  [...adapter!.variables].map(([name, variable]) => [name, variable.values()]);

test("a fresh adapter leaves the model as it is, bit for bit", async () => {
  const base = loadModel(goldenPath("models", "grouped-query"));
  const settings = { rank: 4, alpha: 8, targets: adapterTargets };
  const shapes = parameterShapes(base.config);
  const adapter = createAdapter(shapes, settings, "/", Rng.named(1, "adapter"));
  const sequences = [{ prompt: [5, 6, 7], response: [8, 9, 10, 11] }];
  const results = [];
  for (const model of [base, { ...base, adapter }]) {
    const scorer = createScorer(model);
    const generator = createGenerator(model, { slots: 1, maxTokens: 40, temperature: 1 });
    const prompts = [{ tokens: [5, 6, 7], rng: Rng.named(1, "x") }];
    const answers = await generator.generate(prompts, { maxNewTokens: 20, eosIds: [] });
    results.push({ logprobs: scorer.score(sequences, 1000).logprobs, answers });
    for (const part of [scorer, generator]) part.dispose();
  }
  expect(results[1]).toEqual(results[0]);
  disposeModel({ ...base, adapter });
});

describe("an adapter that cannot be used is refused", () => {
  const refused = async (change: (config: Record<string, unknown>) => object) => {
    const folder = join(temporaryFolder(), "adapter");
    cpSync(goldenPath("adapter", "all-matrices"), folder, { recursive: true });
    const path = join(folder, "adapter_config.json");
    const config = JSON.parse(readFileSync(path, "utf8"));
    config.base_model_name_or_path = goldenPath("models", "grouped-query");
    writeFileSync(path, JSON.stringify({ ...config, ...change(config) }));
    return userErrorOf(() => disposeModel(loadModel(folder)));
  };
  test.each([
    [{ use_dora: true }, /more than LoRA's two matrices per weight \("?use_dora"?: true\)/],
    [{ use_rslora: true }, /use_rslora/],
    [{ bias: "lora_only" }, /bias/],
    [{ rank_pattern: { q_proj: 8 } }, /rank_pattern/],
    [{ modules_to_save: ["lm_head"] }, /modules_to_save/],
    [{ layers_to_transform: [0] }, /layers_to_transform/],
    [{ init_lora_weights: "pissa" }, /init_lora_weights/],
    [{ some_future_config: { a: 1 } }, /some_future_config/],
    [{ peft_type: "IA3" }, /peft_type/],
    [{ target_modules: "all-linear" }, /target_modules: expected a list of names, .*; merge it/],
    [{ target_modules: [] }, /target_modules: expected a list of names, found \[\]/],
    [
      { target_modules: ["layers.0.mlp.up_proj"] },
      /target_modules: .* in all layers, .*; merge it/,
    ],
    [{ lora_alpha: 0 }, /"lora_alpha": expected more than 0, found 0/],
    [{ target_modules: ["q_proj", "c_attn"] }, /target_modules: expected .* found "c_attn"/],
    [{ target_modules: ["q_proj"] }, /belongs to no matrix/],
    [{ r: 5 }, /expected the shape \[5,48\], found \[4,48\]/],
    [{ base_model_name_or_path: "some/where" }, /some\/where.*no config\.json/],
    [{ base_model_name_or_path: goldenPath("models", "wide-heads") }, /expected the shape/],
  ])("%j", async (change, message) => {
    const live = liveTensors();
    expect(await refused(() => change)).toMatch(message);
    expect(liveTensors()).toBe(live);
  });
});
