import { afterAll, describe, expect, test } from "vitest";
import { compile, compileNamed } from "../../src/engine/compile.ts";
import { readAndDispose, tf } from "../../src/engine/tf.ts";
import type { WeightedBatch } from "../../src/model/backward.ts";
import { packSequences, type Sequence } from "../../src/model/batch.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import {
  batchTensors,
  createScorer,
  predictingStates,
  responseLogprobs,
} from "../../src/model/score.ts";
import { causalAttention, hiddenStates, logits } from "../../src/model/transformer.ts";
import { readWeights } from "../../src/model/weights.ts";
import {
  type GoldenTensor,
  goldenPath,
  largestDifference,
  modelVariants,
  readGolden,
  relativeDifference,
  rowOf,
} from "../support/golden.ts";

/** The golden rows as sequences: everything after the first token is the response. */
function goldenSequences(golden: ReadonlyMap<string, GoldenTensor>): Sequence[] {
  return [...golden.get("lengths")!.values].map((length, row) => {
    const tokens = rowOf(golden.get("tokens")!, row, length);
    return { prompt: tokens.slice(0, 1), response: tokens.slice(1) };
  });
}

describe.each(modelVariants)("%s", (name) => {
  const golden = readGolden("models", name, "golden.safetensors");
  const model = loadModel(goldenPath("models", name));
  const sequences = goldenSequences(golden);
  const expected = sequences.map((s, row) =>
    rowOf(golden.get("logprobs")!, row, s.response.length),
  );
  afterAll(() => disposeModel(model));

  test("logits equal transformers', padded rows at once", () => {
    const [rows, rowLength] = golden.get("tokens")!.shape as [number, number];
    const lengths = golden.get("lengths")!.values;
    const place = Array.from({ length: rows * rowLength }, (_, i) => i % rowLength);
    const [actual] = readAndDispose(
      compile("logits", (tokens, positions, segments) => {
        const weights = readWeights(model);
        const attention = causalAttention(model.config, positions!, segments!);
        return [
          logits(
            model.config,
            weights,
            hiddenStates(model.config, weights, tokens!, positions!, () => attention),
          ),
        ];
      })(
        tf.tensor1d(golden.get("tokens")!.values, "int32"),
        tf.tensor1d(place, "int32"),
        tf.tensor2d(
          place.map((p, i) => (p < lengths[Math.floor(i / rowLength)]! ? 0 : -1)),
          [rows, rowLength],
          "int32",
        ),
      ),
    );
    const vocab = model.config.vocabSize;
    for (let row = 0; row < rows; row++) {
      const real = [row * rowLength * vocab, (row * rowLength + lengths[row]!) * vocab] as const;
      const difference = largestDifference(
        actual!.subarray(...real),
        golden.get("logits")!.values.subarray(...real),
      );
      expect(difference).toBeLessThan(1e-4);
    }
  });

  test("packed log-probabilities equal transformers', and those of each sequence alone", () => {
    const scorer = createScorer(model);
    const packed = scorer.score(sequences, 10_000).logprobs;
    sequences.forEach((sequence, i) => {
      const alone = scorer.score([sequence], 10_000).logprobs[0]!;
      expect(largestDifference(packed[i]!, expected[i]!)).toBeLessThan(1e-4);
      expect(largestDifference(packed[i]!, alone)).toBeLessThan(1e-5);
    });
    scorer.dispose();
  });

  test("every gradient equals PyTorch's, compiled and eager alike", () => {
    const batch = packSequences(sequences, 10_000);
    const upstream = new Float32Array(batch.targets.length);
    let next = 0;
    sequences.forEach((s, row) => {
      const weights = rowOf(golden.get("weights")!, row, s.response.length);
      upstream.set(weights, next);
      next += weights.length;
    });
    const names = [...model.parameters.keys()];
    const step = (inputs: WeightedBatch) => {
      const weights = readWeights(model);
      const loss = () => {
        const states = predictingStates(model.config, weights, inputs);
        const logprobs = responseLogprobs(model.config, weights, states, inputs.targets);
        return tf.sum(tf.mul(logprobs, inputs.predictionWeights));
      };
      const { value, grads } = tf.engine().gradients(
        loss,
        names.map((n) => weights.tensors.get(n)!),
      );
      return { value, ...Object.fromEntries(grads.map((grad, i) => [`grad${i}`, grad])) };
    };
    const inputs = { ...batchTensors(batch), predictionWeights: tf.tensor1d(upstream) };
    const [value, ...compiled] = readAndDispose(
      Object.values(compileNamed("gradients", step)(inputs)),
    );
    const [, ...eager] = readAndDispose(Object.values(tf.tidy(() => step(inputs))));
    expect(value![0]).toBeCloseTo(golden.get("weightedSum")!.values[0]!, 3);
    names.forEach((n, i) => {
      expect(relativeDifference(compiled[i]!, golden.get(`grad.${n}`)!.values), n).toBeLessThan(
        1e-4,
      );
      // Not bit for bit: TensorFlow fuses ops in a function only.
      expect(relativeDifference(compiled[i]!, eager[i]!), n).toBeLessThan(1e-5);
    });
  });
});

test.each([
  "grouped-query",
  "mistral", // whose window leaves out the start of the prompts
  "qwen2-window",
  "smollm3-window",
])("responses of %s that share a prompt have the log-probabilities that each has alone", (name) => {
  const model = loadModel(goldenPath("models", name));
  const scorer = createScorer(model);
  const prompts = [
    [5, 6, 9, 11, 8, 4],
    [12, 3],
  ];
  const responses = [[7, 8, 9, 10], [20], [7, 30, 31], [33, 7]];
  const shared = prompts.flatMap((prompt) => responses.map((response) => ({ prompt, response })));
  const together = scorer.score(shared, 10_000).logprobs;
  shared.forEach((sequence, i) => {
    const alone = scorer.score([{ ...sequence, prompt: [...sequence.prompt] }], 10_000)
      .logprobs[0]!;
    expect(largestDifference(together[i]!, alone)).toBeLessThan(1e-5);
  });
  scorer.dispose();
  disposeModel(model);
});

test("a later token changes nothing before it", () => {
  const model = loadModel(goldenPath("models", "grouped-query"));
  const scorer = createScorer(model);
  const [a, b] = [10, 70].map(
    (last) => scorer.score([{ prompt: [5, 6], response: [7, 8, 9, last] }], 10_000).logprobs[0],
  );
  expect(a!.subarray(0, 3)).toEqual(b!.subarray(0, 3)); // bit for bit
  expect(a![3]).not.toBe(b![3]);
  scorer.dispose();
  disposeModel(model);
});
