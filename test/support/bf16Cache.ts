// `bf16Cache.ts PRECISION`: responses made with keys and values kept as bf16, in a process of its own, because a process keeps to one
// instruction set. Prints for some models whether what the first layer keeps is what it keeps as float32, rounded, whether responses
// depend on their neighbours, and how far their log-probabilities are, token by token, from those that are computed of rounded keys
// and values of all tokens at once, and from those of keys and values as they are.
import { isDeepStrictEqual } from "node:util";
import { type KvCacheDtype, precision } from "../../src/config.ts";
import { logProbabilityOf } from "../../src/engine/kernels/kernels.ts";
import { usePrecision } from "../../src/engine/products.ts";
import { readAndDispose, type Tensor, tf } from "../../src/engine/tf.ts";
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../src/formats/halfFloats.ts";
import { createGenerator } from "../../src/generate/generate.ts";
import { createCache, prefillStep } from "../../src/generate/steps.ts";
import { disposeModel, loadModel, type Model } from "../../src/model/model.ts";
import { causalAttention, hiddenStates, logits } from "../../src/model/transformer.ts";
import { readWeights } from "../../src/model/weights.ts";
import { Rng } from "../../src/rng.ts";
import { goldenPath } from "./golden.ts";

usePrecision(precision.parse(process.argv[2]));

/** Three samples of a prompt, which share its keys and values, and one of another. */
const shared = [5, 6, 7, 8, 9, 10, 11, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
const prompts = [shared, [20, 21, 22], shared, shared].map((tokens, i) => ({
  tokens,
  rng: Rng.named(1, `sample ${i}`),
}));

async function respond(model: Model, slots: number) {
  const options = { slots, maxTokens: 64, temperature: 1, kvCacheDtype: "bf16" } as const;
  const generator = createGenerator(model, options);
  const wanted = prompts.map(({ tokens }, i) => ({ tokens, rng: Rng.named(1, `sample ${i}`) }));
  const responses = await generator.generate(wanted, { maxNewTokens: 40, eosIds: [] });
  generator.dispose();
  return responses;
}

function rounded(x: Tensor): Tensor {
  const values = new Float32Array(x.size);
  bfloat16ToFloat32(float32ToBfloat16(x.dataSync() as Float32Array), values);
  return tf.tensor(values, x.shape);
}

/** Log-probabilities of a response, of keys and values that are changed in each layer. */
function scored(
  model: Model,
  prompt: readonly number[],
  response: readonly number[],
  change: (x: Tensor) => Tensor,
): Float32Array {
  const { config } = model;
  const tokens = [...prompt, ...response];
  const logprobs = tf.tidy(() => {
    const weights = readWeights(model);
    const positions = tf.range(0, tokens.length, 1, "int32");
    const causal = causalAttention(config, positions, tf.zeros([1, tokens.length], "int32"));
    const hidden = hiddenStates(
      config,
      weights,
      tf.tensor1d(tokens, "int32"),
      positions,
      () => (queries, keys, values, layer) => causal(queries, change(keys), change(values), layer),
      tf.range(prompt.length - 1, tokens.length - 1, 1, "int32"),
    );
    const targets = tf.tensor1d([...response], "int32");
    return logProbabilityOf(logits(config, weights, hidden), targets);
  });
  return readAndDispose([logprobs])[0]!;
}

/** What the first layer keeps of some tokens, as bits of 16 or 32. */
function kept(model: Model, dtype: KvCacheDtype): Float32Array[] {
  const cache = createCache(model.config, 3, 32, dtype);
  const tokens = tf.tensor2d([shared, shared.toReversed()], undefined, "int32");
  prefillStep(model, cache, [tokens, tf.tensor1d([2, 0], "int32")]);
  const values = [cache.keys[0]!, cache.values[0]!].map((variable) => variable.values());
  for (const variable of [...cache.keys, ...cache.values]) variable.dispose();
  return values;
}

const folders = {
  "grouped-query": goldenPath("models", "grouped-query"),
  "a window, biases": goldenPath("models", "qwen2-window"),
  "wide heads": goldenPath("models", "wide-heads"),
  adapters: goldenPath("adapter", "all-matrices"),
};
const results = [];
for (const [name, folder] of Object.entries(folders)) {
  const model = loadModel(folder);
  const responses = await respond(model, 3);
  const isSame = isDeepStrictEqual(await respond(model, 1), responses);
  const wide = kept(model, "float32");
  const isRounded = kept(model, "bf16").every(({ buffer }, i) =>
    isDeepStrictEqual(new Uint16Array(buffer), float32ToBfloat16(wide[i]!)),
  );
  const distances = (change: (x: Tensor) => Tensor) =>
    responses
      .flatMap(({ tokens, logprobs }, i) => {
        const expected = scored(model, prompts[i]!.tokens, tokens, change);
        return [...logprobs].map((logprob, j) => Math.abs(logprob - expected[j]!));
      })
      .toSorted((a, b) => a - b);
  const toRounded = distances(rounded);
  const toExact = distances((x) => x);
  results.push({ name, isRounded, isSame, toRounded, toExact });
  disposeModel(model);
}
process.stdout.write(JSON.stringify(results));
