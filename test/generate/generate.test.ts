import { describe, expect, test, vi } from "vitest";
import { backend, liveTensors, tf } from "../../src/engine/tf.ts";
import { createGenerator, type Prompt, type Response } from "../../src/generate/generate.ts";
import { createCache, decodeStep } from "../../src/generate/steps.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { createScorer } from "../../src/model/score.ts";
import { Rng } from "../../src/rng.ts";
import {
  goldenPath,
  largestDifference,
  modelVariants,
  readGolden,
  rowOf,
} from "../support/golden.ts";

/** The names of the compiled steps, call by call. */
const calls: string[] = [];
vi.mock(import("../../src/engine/compile.ts"), async (load) => {
  const original = await load();
  return {
    ...original,
    compile: (name, step) => {
      const compiled = original.compile(name, step);
      const counted = (...inputs: Parameters<typeof compiled>) => {
        calls.push(name);
        return compiled(...inputs);
      };
      return Object.assign(counted, compiled);
    },
  };
});

/** Prompts of different lengths, each with its own stream. */
function prompts(count: number, seed: number): Prompt[] {
  return Array.from({ length: count }, (_, i) => ({
    tokens: Array.from({ length: 1 + ((5 * i) % 13) }, (_, j) => 3 + ((7 * i + 11 * j) % 50)),
    rng: Rng.named(seed, `sample ${i}`),
  }));
}

async function generate(
  name: string,
  wanted: readonly Prompt[],
  slots: number,
  temperature: number,
): Promise<Response[]> {
  const model = loadModel(goldenPath("models", name));
  const generator = createGenerator(model, { slots, maxTokens: 77, temperature });
  const responses = await generator.generate(wanted, { maxNewTokens: 40, eosIds: [7, 8] });
  generator.dispose();
  disposeModel(model);
  return responses;
}

describe.each(modelVariants)("%s", (name) => {
  test("64 greedy tokens equal transformers', prompts of different lengths at once", async () => {
    const golden = readGolden("models", name, "golden.safetensors");
    const model = loadModel(goldenPath("models", name));
    const generator = createGenerator(model, { slots: 2, maxTokens: 76, temperature: 0 });
    const lengths = [...golden.get("promptLengths")!.values];
    const wanted = lengths.map((n, i) => ({
      tokens: rowOf(golden.get("promptTokens")!, i, n),
      rng: Rng.named(0, ""),
    }));
    const responses = await generator.generate(wanted, { maxNewTokens: 64, eosIds: [] });
    responses.forEach((response, i) => {
      expect(response.tokens).toEqual(rowOf(golden.get("greedyTokens")!, i));
      expect(
        largestDifference(response.logprobs, rowOf(golden.get("greedyLogprobs")!, i)),
      ).toBeLessThan(1e-4);
    });
    generator.dispose();
    disposeModel(model);
  });
});

test("continuous batching gives every sequence the tokens that it gets alone", async () => {
  for (const seed of [1, 2, 3]) {
    const alone = await generate("grouped-query", prompts(12, seed), 1, 1);
    const together = await generate("grouped-query", prompts(12, seed), 5, 1);
    expect(together.map(({ tokens }) => tokens)).toEqual(alone.map(({ tokens }) => tokens));
    if (!backend.isUsingGpuDevice) expect(together).toEqual(alone); // log-probabilities, too, bit for bit
  }
});

test("samples of one prompt, which share its prefill, are those that each gets alone", async () => {
  const shared = (seed: number) =>
    [
      [5, 6, 7],
      [9, 10],
      [5, 6, 7, 8, 9],
    ].flatMap((tokens) =>
      [0, 1, 2, 3, 4].map((i) => ({ tokens, rng: Rng.named(seed, `${tokens} ${i}`) })),
    );
  const together = await generate("grouped-query", shared(1), 7, 1);
  const alone = await generate("grouped-query", shared(1), 1, 1);
  expect(together.map(({ tokens }) => tokens)).toEqual(alone.map(({ tokens }) => tokens));
});

test("100 samples of each prompt: every prompt is read once, and each sample is the one it gets alone", async () => {
  const wanted = (share: (tokens: number[]) => number[]) =>
    [[5, 6, 7], [9, 10], [8]].flatMap((tokens) =>
      Array.from({ length: 100 }, (_, i) => ({
        tokens: share(tokens),
        rng: Rng.named(3, `${tokens} ${i}`),
      })),
    );
  const alone = await generate("grouped-query", wanted(structuredClone), 30, 1);
  calls.length = 0;
  const together = await generate(
    "grouped-query",
    wanted((tokens) => tokens),
    30,
    1,
  );
  expect(together.map(({ tokens }) => tokens)).toEqual(alone.map(({ tokens }) => tokens));
  expect(calls.filter((name) => name === "prefill")).toHaveLength(3);
});

test("log-probabilities are those that scoring the whole sequence gives", async () => {
  const wanted = prompts(8, 4);
  const responses = await generate("grouped-query", wanted, 8, 1);
  const model = loadModel(goldenPath("models", "grouped-query"));
  const scorer = createScorer(model);
  const sequences = responses.map(({ tokens }, i) => ({
    prompt: wanted[i]!.tokens,
    response: tokens,
  }));
  scorer.score(sequences, 1000).logprobs.forEach((expected, i) => {
    expect(largestDifference(responses[i]!.logprobs, expected)).toBeLessThan(1e-5);
  });
  scorer.dispose();
  disposeModel(model);
});

test("weights that are no numbers end generation with an error", async () => {
  const model = loadModel(goldenPath("models", "multi-head"));
  const norm = model.parameters.get("model.norm.weight")!;
  norm.load(new Float32Array(norm.size).fill(Number.NaN));
  for (const temperature of [0, 1]) {
    const generator = createGenerator(model, { slots: 2, maxTokens: 20, temperature });
    const responses = generator.generate(prompts(2, 6), { maxNewTokens: 4, eosIds: [] });
    await expect(responses).rejects.toThrow(
      /^expected finite log-probabilities, found NaN at token 0 of response [01]: the model's weights are damaged/,
    );
    generator.dispose();
  }
  disposeModel(model);
});

test.skipIf(backend.isUsingGpuDevice)("the own op refuses inputs that do not fit together", () => {
  const model = loadModel(goldenPath("models", "multi-head"));
  const cache = createCache(model.config, 2, 16);
  const int = (...values: number[]) => tf.tensor1d(values, "int32");
  expect(() => decodeStep(model, cache, 1, [int(1, 1), int(0), tf.ones([1, 2])])).toThrow(
    "expected 2 numbers, found 1",
  );
  disposeModel(model);
});

test("a response ends with EOS or is marked as truncated", async () => {
  const responses = await generate("multi-head", prompts(40, 5), 8, 1);
  for (const { tokens, isTruncated } of responses) {
    const eosAt = tokens.findIndex((token) => token === 7 || token === 8);
    expect(isTruncated).toBe(eosAt === -1);
    expect(eosAt === -1 ? 39 : eosAt).toBe(tokens.length - 1);
  }
  expect(new Set(responses.map(({ isTruncated }) => isTruncated)).size).toBe(2);
});

test("samples follow the model's probabilities", async () => {
  const model = loadModel(goldenPath("models", "multi-head"));
  const count = 4000;
  const wanted = Array.from({ length: count }, (_, i) => ({
    tokens: [5, 9],
    rng: Rng.named(6, `${i}`),
  }));
  const generator = createGenerator(model, { slots: 500, maxTokens: 8, temperature: 1 });
  const sampled = await generator.generate(wanted, { maxNewTokens: 1, eosIds: [] });
  const first = sampled.map(({ tokens }) => tokens[0]!);
  const scorer = createScorer(model);
  const { vocabSize } = model.config;
  const all = Array.from({ length: vocabSize }, (_, token) => ({
    prompt: [5, 9],
    response: [token],
  }));
  const probabilities = scorer.score(all, 10_000).logprobs.map((logprob) => Math.exp(logprob[0]!));
  expect(probabilities.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  probabilities.forEach((p, token) => {
    const share = first.filter((t) => t === token).length / count;
    expect(Math.abs(share - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / count) + 1e-3);
  });
  generator.dispose();
  scorer.dispose();
  disposeModel(model);
});

test("temperature 0 ignores the seed, temperature 1 does not, and samples of one prompt differ", async () => {
  const tokens = async (seed: number, temperature: number) =>
    (await generate("multi-head", prompts(3, seed), 3, temperature)).map(
      (response) => response.tokens,
    );
  expect(await tokens(1, 0)).toEqual(await tokens(2, 0));
  expect(await tokens(1, 1)).not.toEqual(await tokens(2, 1));
  const same = [1, 2].map((i) => ({ tokens: [4, 5, 6], rng: Rng.named(0, `${i}`) }));
  const [a, b] = await generate("multi-head", same, 2, 1);
  expect(a!.tokens).not.toEqual(b!.tokens);
});

test("leaves no tensors behind", async () => {
  const before = liveTensors();
  await generate("multi-head", prompts(5, 1), 2, 1);
  expect(liveTensors()).toBe(before);
});
