// The recipes with an adapter beside frozen weights, held as bf16 or as float32 of the same values.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { parse, stringify } from "yaml";
import { main } from "../../src/cli.ts";
import type { AdapterConfig, ReftConfig, RerankConfig, SftConfig } from "../../src/config.ts";
import { exportModel } from "../../src/models/export.ts";
import { trainReft } from "../../src/ppo/train.ts";
import { trainRerank } from "../../src/rerank/train.ts";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";
import { InterruptedError } from "../../src/run/interrupts.ts";
import { trainSft } from "../../src/sft/train.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { testEqualRuns } from "../support/equalRuns.ts";
import { fakeJudge, fakeSandbox, shareOf } from "../support/fakeSandbox.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import {
  contentOf,
  interruptAfter,
  metricsOf,
  tinyReft,
  tinyRerank,
  tinySft,
  weightsIn,
  writeTinyData,
  writeTinyModel,
  writeTinySamples,
} from "../support/tiny.ts";

vi.mock("../../src/reward/judge.ts", () => ({
  createJudge: () => fakeJudge((text) => shareOf(text) < 0.4),
}));
vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () => fakeSandbox(() => ({ kind: "answer", value: 0 })),
}));
vi.mock("../../src/evaluate/checkGold.ts", () => ({ checkGold: async () => {} }));

const home = temporaryFolder();
captureOutput();
const folderOf = (name: string) => join(home, name);
const problems = writeTinyData(home);
writeTinySamples(home, problems);
writeTinyModel(folderOf("drawn"), problems, { layers: 2, tieEmbeddings: false });
// The same values in both types.
const options = { maxShardBytes: 1e9, valueHead: false } as const;
exportModel(folderOf("drawn"), folderOf("bf16"), { ...options, dtype: "BF16" });
exportModel(folderOf("bf16"), folderOf("float32"), { ...options, dtype: "F32" });

type HeldAs = "bf16" | "float32";
const adapter: AdapterConfig = { rank: 2, alpha: 8, targets: "all" };

function sft(weights: HeldAs): SftConfig {
  return { ...tinySft(home), model: { init: folderOf(weights), weights }, adapter };
}

function gae(weights: HeldAs): ReftConfig {
  const base = tinyReft(home, folderOf(`sft-${weights}`));
  return {
    ...{ ...base, model: { ...base.model, weights }, adapter },
    training: { ...base.training, maxSteps: 3 },
  };
}

function grpo(weights: HeldAs): ReftConfig {
  const { ppo: _, ...rest } = gae(weights);
  const { valueHeadLearningRate: __, ...optimizer } = tinyReft(home, "").optimizer;
  return {
    ...{ ...rest, optimizer },
    ppo: {
      ...{ advantages: "grpo", ppoEpochs: 2, miniBatchSize: 4, clipRange: 0.2 },
      ...{ klCoefficient: 0.1, partialReward: 0.1 },
    },
  };
}

function rerank(weights: HeldAs): RerankConfig {
  return { ...tinyRerank(home, folderOf(`sft-${weights}`)), adapter };
}

const train = {
  sft: (weights: HeldAs, folder: string) => trainSft(sft(weights), folder),
  gae: (weights: HeldAs, folder: string) => trainReft(gae(weights), folder),
  grpo: (weights: HeldAs, folder: string) => trainReft(grpo(weights), folder),
  rerank: (weights: HeldAs, folder: string) => trainRerank(rerank(weights), folder),
};
const stages = ["sft", "gae", "grpo", "rerank"] as const;

const lastOf = (name: string) => loadCheckpoint(folderOf(name), "last")!.folder;
const adapterOf = (name: string) => join(lastOf(name), "adapter_model.safetensors");

beforeAll(async () => {
  for (const stage of stages)
    for (const weights of ["bf16", "float32"] as const)
      await train[stage](weights, folderOf(`${stage}-${weights}`));
});

describe.each(stages)("%s", (stage) => {
  testEqualRuns("goes on after Ctrl-C as if never stopped, bit for bit", async () => {
    const folder = folderOf(`${stage}-interrupted`);
    interruptAfter(folder, 1);
    await expect(train[stage]("bf16", folder)).rejects.toThrow(InterruptedError);
    await train[stage]("bf16", folder);
    expect(contentOf(folder)).toEqual(contentOf(folderOf(`${stage}-bf16`)));
  });

  testEqualRuns("is the same beside weights held as bf16 and as float32, bit for bit", () => {
    const [bf16, float32] = ["bf16", "float32"].map((weights) => `${stage}-${weights}`);
    const figures = (run: string) =>
      metricsOf(folderOf(run)).map((line) => ({ ...line, "memory/forecastMegabytes": 0 }));
    expect(figures(bf16!)).toEqual(figures(float32!)); // but for the memory that they take
    for (const file of ["adapter_model.safetensors", "training/optimizer.safetensors"]) {
      const [a, b] = [bf16!, float32!].map((run) => readFileSync(join(lastOf(run), file)));
      expect(a!.equals(b!), file).toBe(true);
    }
  });

  test("saves the adapter and what stands on the model, and nothing of the base", () => {
    const files = readdirSync(lastOf(`${stage}-bf16`), { recursive: true, encoding: "utf8" });
    const weights = files.filter((file) => file.endsWith(".safetensors"));
    const head = stage === "gae" ? ["training/value_head.safetensors"] : [];
    expect(weights.toSorted()).toEqual(
      ["adapter_model.safetensors", "training/optimizer.safetensors", ...head].toSorted(),
    );
    const names = Object.keys(weightsIn(adapterOf(`${stage}-bf16`)));
    const heads = stage === "rerank" ? 1 : 0;
    expect(names).toHaveLength(2 * 7 * 2 + heads); // A and B, seven matrices, two layers
    expect(names.includes("base_model.model.score.weight")).toBe(stage === "rerank");
  });
});

test.each(["gae", "grpo"] as const)(
  "%s holds the policy to the warm-up's own adapter: KL is 0 until it moves",
  (stage) => {
    // It has learned something: adapters off would be another model.
    const raised = Object.entries(weightsIn(adapterOf("sft-bf16"))).filter(([name]) =>
      name.endsWith("lora_B.weight"),
    );
    for (const [, values] of raised) expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(0);
    const kl = metricsOf(folderOf(`${stage}-bf16`)).flatMap((line) => line["kl/referenceK3"] ?? []);
    expect(kl).toHaveLength(3);
    expect(Math.abs(kl[0]!)).toBeLessThan(1e-9);
    expect(kl.at(-1)).toBeGreaterThan(1e-6);
  },
);

test("--init leaves how the weights are held", async () => {
  const file = join(home, "flags.yaml");
  writeFileSync(file, stringify({ ...sft("bf16"), model: { init: "nowhere", weights: "bf16" } }));
  const output = folderOf("flags");
  const flags = ["--config", file, "--output", output, "--init", folderOf("bf16"), "--epochs", "1"];
  expect(await main(["train-sft", ...flags])).toBe(0);
  const { model } = parse(readFileSync(join(output, "config.yaml"), "utf8"));
  expect(model).toEqual({ init: folderOf("bf16"), weights: "bf16" });
});

describe("a run does not go on", () => {
  const more = (config: SftConfig): SftConfig => ({
    ...config,
    training: { ...config.training, epochs: 1 },
  });

  test("beside another base than it began with", async () => {
    const base = folderOf("changing");
    writeTinyModel(base, problems);
    const config = { ...sft("float32"), model: { init: base } };
    await trainSft(more(config), folderOf("follower"));
    writeTinyModel(base, problems, { normEpsilon: 1e-6 });
    expect(await userErrorOf(() => trainSft(config, folderOf("follower")))).toBe(
      "this run began with other contents of model.base/config.json: give it the same files again, or another output",
    );
  });

  test("with another adapter", async () => {
    const other = { ...sft("bf16"), adapter: { ...adapter, rank: 3 } };
    expect(await userErrorOf(() => trainSft(other, folderOf("sft-bf16")))).toContain(
      "adapter.rank: was 2, is now 3",
    );
  });
});
