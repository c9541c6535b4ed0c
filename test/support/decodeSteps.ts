// `decodeSteps.ts PRECISION`: prompts read and tokens sampled by our own op for the CPU and by TensorFlow's ops, in a process of
// its own, because a process keeps to one instruction set. Prints, for models and temperatures, how many of the sequences differ,
// how far the log-probabilities of the equal ones are apart, whether weights held as bf16 give what they give widened, and the first
// log-probability of each sequence by our own op.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { precision } from "../../src/config.ts";
import { compile } from "../../src/engine/compile.ts";
import { usePrecision } from "../../src/engine/products.ts";
import { tf } from "../../src/engine/tf.ts";
import {
  batchedDecode,
  batchedPrefill,
  type Cache,
  createCache,
  decodeStep,
  prefillStep,
} from "../../src/generate/steps.ts";
import { createAdapter } from "../../src/model/adapter.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { plainLlama } from "../../src/model/families.ts";
import {
  createModel,
  loadVariables,
  type Model,
  parameterShapes,
  saveWeights,
} from "../../src/model/model.ts";
import { Rng } from "../../src/rng.ts";
import { largestDifference } from "./golden.ts";

// Sizes: multiples of all blocks and enough work for several threads, multiples of none, and heads that take several vectors.
const common = {
  ...plainLlama,
  ...{ normEpsilon: 1e-5, ropeTheta: 10_000, ropeScaling: null, maxPositions: 64 },
  ...{ initializerStd: 0.2, eosIds: [] },
};
const configs: Record<string, ModelConfig> = {
  even: {
    ...{ vocabSize: 4096, dim: 64, layers: 2, heads: 4, kvHeads: 4, headDim: 32, ffnDim: 128 },
    ...{ tieEmbeddings: false, ...common },
  },
  odd: {
    ...{ vocabSize: 131, dim: 27, layers: 3, heads: 6, kvHeads: 2, headDim: 10, ffnDim: 45 },
    ...{ tieEmbeddings: true, ...common },
  },
  wide: {
    ...{ vocabSize: 70, dim: 48, layers: 1, heads: 2, kvHeads: 1, headDim: 80, ffnDim: 100 },
    ...{ tieEmbeddings: false, ...common },
  },
  biased: {
    ...{ vocabSize: 131, dim: 27, layers: 2, heads: 6, kvHeads: 2, headDim: 10, ffnDim: 45 },
    ...{ tieEmbeddings: true, ...common, qkvBias: true },
  },
  normed: {
    ...{ vocabSize: 90, dim: 32, layers: 2, heads: 4, kvHeads: 2, headDim: 20, ffnDim: 48 },
    ...{ tieEmbeddings: false, ...common, qkNorm: true },
  },
  windowed: {
    ...{ vocabSize: 131, dim: 27, layers: 3, heads: 6, kvHeads: 2, headDim: 10, ffnDim: 45 },
    ...{
      tieEmbeddings: true,
      ...common,
      slidingWindow: { size: 19, layers: [0, 2] },
      noRopeLayers: [1, 2],
    },
  },
};

usePrecision(precision.parse(process.argv[2]));
const slots = 41; // more than one panel of lanes, the last one not full
const capacity = 64;
const rng = Rng.named(1, "tokens");
/** Of some slots, prompts of 1 to 31 tokens; the other slots have no sequence. */
const prompts = Array.from({ length: slots }, (_, slot) =>
  slot % 5 === 3 ? [] : Array.from({ length: 1 + ((slot * 7) % 31) }, () => rng.integer(70)),
);
const steps = 3;
const uniforms = Float32Array.from({ length: 4 * steps * slots }, () => rng.uniform());

/** Per slot with a sequence, the tokens and log-probabilities of four calls. */
function run(model: Model, cache: Cache, temperature: number, isOwn: boolean) {
  const prefill = compile("prefill", (...inputs) =>
    (isOwn ? prefillStep : batchedPrefill)(model, cache, inputs),
  );
  const decode = compile("decode", (...inputs) =>
    (isOwn ? decodeStep : batchedDecode)(model, cache, temperature, inputs),
  );
  const used = prompts.flatMap(({ length }, slot) => (length > 0 ? [slot] : []));
  const rows = used.map((slot) => [...prompts[slot]!, ...new Array(32).fill(-1)].slice(0, 32));
  tf.dispose(prefill(tf.tensor2d(rows, undefined, "int32"), tf.tensor1d(used, "int32")));
  const sequences = used.map((slot) => ({
    slot,
    tokens: [] as number[],
    logprobs: [] as number[],
  }));
  const last = new Int32Array(slots).fill(-1);
  for (const slot of used) last[slot] = prompts[slot]!.at(-1)!;
  for (let call = 0; call < 4; call++) {
    const positions = prompts.map(({ length }) => Math.max(0, length - 1) + call * steps);
    const part = uniforms.subarray(call * steps * slots, (call + 1) * steps * slots);
    const outputs = decode(
      tf.tensor1d(last, "int32"),
      tf.tensor1d(positions, "int32"),
      tf.tensor2d(part, [steps, slots]),
    );
    const [sampled, scores] = outputs.map((tensor) => tensor.dataSync());
    for (const { slot, tokens, logprobs } of sequences) {
      for (let step = 0; step < steps; step++) {
        tokens.push(sampled![step * slots + slot]!);
        logprobs.push(scores![step * slots + slot]!);
      }
      last[slot] = tokens.at(-1)!;
    }
  }
  return sequences;
}

/** A uniform number can fall on the border between two tokens, from where on all differs. */
function isSameUpToABorder(a: readonly number[], b: readonly number[]): boolean {
  const first = a.findIndex((token, i) => token !== b[i]);
  return first === -1 || Math.abs(a[first]! - b[first]!) === 1;
}

/** The model with weights of bf16, held as such and as float32. */
function roundedModels({ parameters, ...others }: Model): Model[] {
  const folder = mkdtempSync(join(tmpdir(), "decode-steps-"));
  const format = { dtype: "BF16", maxShardBytes: Number.POSITIVE_INFINITY } as const;
  saveWeights(parameters, folder, format);
  const shapes = new Map([...parameters].map(([name, { shape }]) => [name, shape]));
  const models = (["float32", "bf16"] as const).map((heldAs) => ({
    ...others,
    parameters: loadVariables(folder, shapes, heldAs),
  }));
  rmSync(folder, { recursive: true });
  return models;
}

/** A model as after some training: of a fresh one norms are 1 and biases 0. */
function randomModel(config: ModelConfig, rng: Rng): Model {
  const model = createModel(config, rng);
  const vectors = [...model.parameters.values()].filter(({ shape }) => shape.length === 1);
  for (const vector of vectors)
    vector.load(vector.values().map((value) => value + 0.2 * rng.normal()));
  return model;
}

/** With adapters that change what the model says. */
function adapted(model: Model): Model {
  const settings = {
    rank: 5,
    alpha: 10,
    targets: ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"] as const,
  };
  const rng = Rng.named(4, "adapter");
  const adapter = createAdapter(parameterShapes(model.config), settings, "/", rng);
  for (const variable of adapter.variables.values())
    variable.load(Float32Array.from({ length: variable.size }, () => rng.normal() * 0.1));
  return { ...model, adapter };
}

const models = Object.entries(configs).flatMap(([name, config]) => {
  const model = randomModel(config, Rng.named(2, name));
  return [[name, model] as const, [`${name} with adapters`, adapted(model)] as const];
});
const results = models.flatMap(([name, model]) => {
  const { config } = model;
  const rounded = roundedModels(model);
  // Temperature enters after the model, so one model is enough for it.
  return (name === "even" ? [0, 0.7, 1] : [0]).map((temperature) => {
    const own = run(model, createCache(config, slots, capacity), temperature, true);
    const batched = run(
      model,
      createCache(config, slots, capacity, "float32", 1),
      temperature,
      false,
    );
    const same = own.filter(({ tokens }, i) => tokens.join() === batched[i]!.tokens.join());
    const differences = same.map(({ slot, logprobs }) =>
      largestDifference(logprobs, batched.find((other) => other.slot === slot)!.logprobs),
    );
    return {
      name,
      temperature,
      apart: own.length - same.length,
      others: own.filter(({ tokens }, i) => !isSameUpToABorder(tokens, batched[i]!.tokens)).length,
      difference: Math.max(...differences),
      isSameAsBf16: isDeepStrictEqual(
        ...(rounded.map((variant) =>
          run(variant, createCache(config, slots, capacity), temperature, true),
        ) as [unknown, unknown]),
      ),
      first: own.map(({ logprobs }) => logprobs[0]!),
    };
  });
});
process.stdout.write(JSON.stringify(results));
