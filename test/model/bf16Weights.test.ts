// A model whose files are bf16, held as such, against the same model widened when it is read: nothing that it computes differs.
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compileNamed } from "../../src/engine/compile.ts";
import { BFLOAT16, backend, FLOAT, liveTensors, readAndDispose, tf } from "../../src/engine/tf.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { createGenerator } from "../../src/generate/generate.ts";
import { packSequences } from "../../src/model/batch.ts";
import {
  disposeModel,
  type HeldAs,
  loadModel,
  saveModel,
  saveWeights,
} from "../../src/model/model.ts";
import {
  type BatchTensors,
  batchTensors,
  createScorer,
  predictingStates,
  responseLogprobs,
} from "../../src/model/score.ts";
import { readWeights } from "../../src/model/weights.ts";
import { Rng } from "../../src/rng.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { goldenPath } from "../support/golden.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const said = captureOutput();

/** A golden model's folder, its weights of bf16. */
function bf16Folder(name: string): string {
  const folder = temporaryFolder();
  const model = loadModel(goldenPath("models", name));
  saveModel(model, folder);
  saveWeights(model.parameters, folder, {
    dtype: "BF16",
    maxShardBytes: Number.POSITIVE_INFINITY,
  });
  disposeModel(model);
  return folder;
}

const rng = Rng.named(1, "tokens");
const tokens = (count: number) => Array.from({ length: count }, () => rng.integer(60));
const shared = tokens(7);
const sequences = [
  { prompt: shared, response: tokens(9) },
  { prompt: shared, response: tokens(4) },
  { prompt: tokens(3), response: tokens(12) },
];

/** Log-probabilities, gradients of the norms, and greedy and sampled answers, by a model held in one of the two ways. */
async function everything(folder: string, heldAs: HeldAs) {
  const model = loadModel(folder, heldAs);
  const { config, parameters } = model;
  const scorer = createScorer(model);
  const { logprobs } = scorer.score(sequences, 10_000);
  const norms = [...parameters.keys()].filter((name) => name.includes("norm"));
  const backward = compileNamed("gradients", (inputs: BatchTensors) => {
    const weights = readWeights({ parameters });
    const loss = () => {
      const states = predictingStates(config, weights, inputs);
      return tf.sum(responseLogprobs(config, weights, states, inputs.targets));
    };
    const { grads } = tf.engine().gradients(
      loss,
      norms.map((name) => weights.tensors.get(name)!),
    );
    return Object.fromEntries(norms.map((name, i) => [name, grads[i]!]));
  });
  const inputs = batchTensors(packSequences(sequences, 10_000));
  const gradients = readAndDispose(Object.values(backward(inputs)));
  tf.dispose(Object.values(inputs));
  const answers = [];
  for (const temperature of [0, 1]) {
    const generator = createGenerator(model, { slots: 2, maxTokens: 40, temperature });
    const prompts = sequences.map(({ prompt }, i) => ({ tokens: prompt, rng: Rng.named(i, "x") }));
    answers.push(await generator.generate(prompts, { maxNewTokens: 20, eosIds: [] }));
    generator.dispose();
  }
  const types = [...parameters.values()].map(({ type, shape }) => [type, shape.length]);
  for (const part of [scorer, backward]) part.dispose();
  disposeModel(model);
  return { types, results: { logprobs, gradients, answers } };
}

describe.each(["multi-head", "grouped-query", "llama3-rope", "wide-heads"])("%s", (name) => {
  test.skipIf(backend.isUsingGpuDevice)(
    "held as bf16, everything is as of float32, bit for bit",
    async () => {
      const folder = bf16Folder(name);
      const live = liveTensors();
      const [wide, narrow] = [
        await everything(folder, "float32"),
        await everything(folder, "stored"),
      ];
      expect(wide.types.every(([type]) => type === FLOAT)).toBe(true);
      for (const [type, rank] of narrow.types) expect(type).toBe(rank === 2 ? BFLOAT16 : FLOAT);
      expect(narrow.results).toEqual(wide.results);
      expect(liveTensors()).toBe(live);
      expect(said.error).toBe("");
    },
  );
});

test("files of other types are held as float32; bf16 is refused for them", async () => {
  const folder = goldenPath("models", "sharded-f16");
  const stored = loadModel(folder, "stored");
  expect(stored.parameters.get("model.layers.0.mlp.up_proj.weight")!.type).toBe(FLOAT);
  disposeModel(stored);
  const live = liveTensors();
  expect(await userErrorOf(() => loadModel(folder, "bf16"))).toMatch(
    /expected float32.*reft export/,
  );
  expect(liveTensors()).toBe(live);
});

describe("a damaged file of bf16", () => {
  const matrix = "model.layers.1.mlp.up_proj.weight";
  const damaged = (damage: (path: string) => void): string => {
    const folder = bf16Folder("grouped-query");
    damage(join(folder, "model.safetensors"));
    return folder;
  };
  test("with a number that is not finite is refused by its place", async () => {
    const folder = damaged((path) => {
      using file = openSafetensors(path);
      const { begin } = file.placeOf(matrix);
      const bytes = readFileSync(path);
      bytes.writeUInt16LE(0x7fc0, begin + 2 * 70);
      writeFileSync(path, bytes);
    });
    const live = liveTensors();
    const message = await userErrorOf(() => loadModel(folder, "stored"));
    expect(message).toMatch(/mlp\.up_proj\.weight holds NaN at \[\d+, \d+\]/);
    expect(liveTensors()).toBe(live);
  });

  test("that ends early is refused before anything is read", async () => {
    const folder = damaged((path) => truncateSync(path, readFileSync(path).length - 10));
    expect(await userErrorOf(() => loadModel(folder, "stored"))).toMatch(/truncated|ends|bytes/);
  });
});
