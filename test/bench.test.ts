// The benchmark's own arithmetic: what it compares, what it counts, what it draws.
import { describe, expect, test } from "vitest";
import {
  allowFor,
  compareAnswers,
  compareLengths,
  compareTokens,
  compareUpdates,
  requireAgreement,
} from "../scripts/bench/agreement.ts";
import { operationsOf, productOperations } from "../scripts/bench/arithmetic.ts";
import { growthPicture } from "../scripts/bench/growthPicture.ts";
import { median, type Result, ratios, table } from "../scripts/bench/report.ts";
import { drawBatches, modelConfig, unitsOf, works } from "../scripts/bench/workloads.ts";
import type { ModelConfig } from "../src/model/config.ts";
import { parameterCount } from "../src/model/model.ts";

const workOf = (name: string) => works.find((work) => work.name === name)!;

describe("agreement", () => {
  const reply = { losses: [2, 4], gradNorms: [1, 1] };

  test("losses that differ by 2 in 1,000 do not agree, by 1 in 2,000 they do", () => {
    const near = compareUpdates({ ...reply, losses: [2.001, 4] }, reply);
    expect(() => requireAgreement("sft", near)).not.toThrow();
    const far = compareUpdates({ ...reply, losses: [2, 4.008] }, reply);
    expect(() => requireAgreement("sft", far)).toThrow(/sft: .* losses differ by 0.002/);
  });

  test("with bf16 the sides may be 50 times as far apart, but as little as before where nothing may differ", () => {
    const checks = compareUpdates({ ...reply, losses: [2.08, 4] }, reply);
    expect(() => requireAgreement("sft", allowFor("float32", checks))).toThrow("losses differ");
    expect(() => requireAgreement("sft", allowFor("bf16", checks))).not.toThrow();
    const lengths = compareLengths({ responses: [[1]] }, [2]);
    expect(() => requireAgreement("rollout", allowFor("bf16", [lengths]))).toThrow("lengths");
  });

  test("a number that is not finite, a missing number or a missing token never agrees", () => {
    const checks = [
      ...compareUpdates({ ...reply, losses: [Number.NaN, 4] }, reply),
      ...compareUpdates(reply, { ...reply, gradNorms: [1] }),
      compareTokens("logprobs", { logprobs: [[-1], [-2]] }, { logprobs: [[-1, -2]] }),
    ];
    const failed = checks.filter(({ value, limit }) => !(value <= limit));
    expect(failed.map(({ name }) => name)).toEqual(["losses", "gradNorms", "logprobs"]);
  });

  test("no answer equals no answer, and nothing else", () => {
    const [none, zero] = [{ answers: [null] }, { answers: [0] }];
    expect(compareAnswers("answers", none, none).value).toBe(0);
    expect(compareAnswers("answers", none, zero).value).toBeGreaterThan(1);
  });

  test("a response that ends early is noticed", () => {
    expect(compareLengths({ responses: [[1, 2], [3]] }, [2, 2]).value).toBe(1);
  });
});

describe("workloads", () => {
  test.each([
    ["tiny", 1.07e6],
    ["small", 13.8e6],
    ["medium", 134e6],
  ] as const)("%s has about %d weights", (name, weights) => {
    expect(Math.abs(parameterCount(modelConfig(name)) / weights - 1)).toBeLessThan(0.01);
  });

  test("only the last token of a response is EOS, and none is padding", () => {
    for (const { prompt, response } of drawBatches(workOf("rollout-svamp"), "tiny").flat()) {
      expect(response.at(-1)).toBe(1023);
      for (const token of [...prompt, ...response.slice(0, -1)]) {
        expect(token).toBeGreaterThan(0);
        expect(token).toBeLessThan(1023);
      }
    }
  });

  test("full batches are 32 x (100 + 80), of which 80 carry loss", () => {
    const work = workOf("sft-full");
    const batches = drawBatches(work, "tiny");
    expect(batches.map((batch) => batch.length)).toEqual([32]);
    expect(batches[0]![0]!.prompt).toHaveLength(100);
    expect(unitsOf(work, batches)).toBe(32 * 80);
  });

  test("SFT learns the program's start, a rollout is given it", () => {
    const lengths = (name: string) =>
      drawBatches(workOf(name), "tiny")[0]!.map(({ prompt, response }) => [
        prompt.length,
        response.length,
      ]);
    const [sft, rollout] = [lengths("sft-svamp"), lengths("rollout-svamp")];
    sft.forEach(([prompt, response], i) => {
      expect(rollout[i]![0]).toBeGreaterThan(prompt!);
      expect(rollout[i]![0]! + rollout[i]![1]!).toBe(prompt! + response!);
    });
  });
});

describe("arithmetic", () => {
  const config: ModelConfig = {
    ...modelConfig("tiny"),
    ...{ vocabSize: 7, dim: 4, layers: 2, heads: 2, kvHeads: 1, headDim: 2, ffnDim: 3 },
  };
  const row = { prompt: [1, 1, 1], response: [1, 1] };

  test("a rollout reads 4 tokens, 2 of which predict one of 7", () => {
    const beforeAttention = 4 * 4 + 2 * (4 * 2);
    const afterAttention = 4 * 4 + 3 * (4 * 3);
    const attention = 2 * (1 + 2 + 3 + 4) * 4; // scores and sums, 4 numbers each, per layer
    const products =
      4 * beforeAttention + 4 * afterAttention + (4 * beforeAttention + 2 * afterAttention);
    const expected = 2 * (products + 2 * attention + 2 * 4 * 7);
    expect(operationsOf("rollout", config, [[row]])).toBe(expected);
    expect(operationsOf("sft", config, [[row], [row]])).toBe(2 * 3 * expected);
  });

  test("frozen weights have no gradients: an adapter's step takes two products for three", () => {
    const whole = operationsOf("sft", config, [[row]]);
    expect(operationsOf("sft", config, [[row]], true)).toBe((2 / 3) * whole);
  });

  test("a reranker reads EOS, too, and predicts once, one of 2", () => {
    const [first, last] = [5 * (32 + 52), 5 * 32 + 52];
    const expected = 2 * (first + last + 2 * 2 * 15 * 4 + 4 * 2);
    expect(operationsOf("rerank", config, [[row]])).toBe(3 * expected);
  });

  test("products alone: there and back per layer", () => {
    expect(productOperations(config)).toBe(2 * 2 * 4096 * 4 * 3 * 2);
  });
});

describe("report", () => {
  const figures = { seconds: [1, 2, 4], firstSeconds: 3, peakMegabytes: 60 };
  const peer = { seconds: [3, 3, 4], firstSeconds: 5, peakMegabytes: 100 };

  test("throughput is compared within a round: 3/1, 3/2 and 4/4", () => {
    expect(ratios(figures.seconds, peer.seconds)).toEqual([3, 1.5, 1]);
    expect(median([3, 1.5, 1])).toBe(1.5);
  });

  test("a row has throughput, ratio with its spread, and both goals", () => {
    const result: Result = {
      ...{ work: "sft-full", model: "tiny", date: "2026-01-01", commit: "abc", load: [0, 1] },
      ...{ units: 2560, ours: { ...figures, traces: 4 }, peers: { eager: peer }, checks: [] },
      ...{ gigaOperations: 30, peak: 60 },
    };
    const [, , row] = table([result]).split("\n");
    expect(row!.replace(/ +/g, " ")).toContain(
      "| 1280 | 853 | 1.50 (1.00 to 3.00) | | 1.1 met | 60 | 100 | 0.60 (goal 0.7, met) |",
    );
    expect(row!.replace(/ +/g, " ")).toContain("| 4 | 15.0 | 25 % | 17 % |");
    expect(table([{ ...result, work: "sft-lora" }])).toContain("0.60 (goal 0.6, met)");
  });

  test("a picture has one panel per axis and quantity, on logarithmic scales", () => {
    const at = (x: number, y: number) => ({ at: x, tokensPerSecond: y, peakMegabytes: y });
    const points = [at(1, 100), at(10, 100), at(100, 100)];
    const svg = growthPicture([{ name: "batch", title: "t", xLabel: "x", points }]);
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    const [, line] = /<polyline class="line" points="([^"]+)"/.exec(svg)!;
    expect(line!.split(" ").map((place) => place.split(",")[0])).toEqual(["0", "125", "250"]);
  });
});
