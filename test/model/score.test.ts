import { afterAll, describe, expect, test } from "vitest";
import { readAndDispose, tf } from "../../src/engine/tf.ts";
import { packSequences } from "../../src/model/batch.ts";
import { disposeModel } from "../../src/model/model.ts";
import { batchTensors, createScorer, predictingStates } from "../../src/model/score.ts";
import { createValueHead, responseValues } from "../../src/model/valueHead.ts";
import { readWeights } from "../../src/model/weights.ts";
import { valueLoss } from "../../src/ppo/loss.ts";
import { largestDifference, relativeDifference } from "../support/golden.ts";
import { golden, responseRows, sequences, startModel } from "../support/valueGolden.ts";

// Expected values: PyTorch and transformers in float64, scripts/golden/ppo_update.py.
describe("a model with a value head", () => {
  const { model, valueHead } = startModel();
  afterAll(() => {
    disposeModel(model);
    for (const variable of valueHead.values()) variable.dispose();
  });

  test.each([10_000, 20, 1])(
    "log-probabilities and values of response tokens equal PyTorch's, %d tokens at once",
    (maxTokens) => {
      const scorer = createScorer(model, valueHead);
      const scores = scorer.score(sequences, maxTokens);
      const [logprobs, values] = [responseRows("logprobs"), responseRows("values")];
      sequences.forEach((_, row) => {
        expect(largestDifference(scores.logprobs[row]!, logprobs[row]!)).toBeLessThan(1e-5);
        expect(largestDifference(scores.values[row]!, values[row]!)).toBeLessThan(1e-5);
      });
      scorer.dispose();
    },
  );

  test("the value loss has PyTorch's gradient, in head and backbone", () => {
    const batch = packSequences(sequences, 10_000);
    const perPrediction = (rows: number[][]) => {
      const padded = new Float32Array(batch.targets.length);
      padded.set(rows.flat());
      return tf.tensor1d(padded);
    };
    const expected = [...golden].filter(([name]) => name.startsWith("valueGrad."));
    const gradients = tf.tidy(() => {
      const weights = readWeights(model, { heads: valueHead });
      const inputs = batchTensors(batch);
      const others = {
        oldValues: perPrediction(responseRows("values")),
        returns: perPrediction(responseRows("returns")),
        weights: perPrediction(
          sequences.map(({ response: { length } }) =>
            new Array(length).fill(1 / (length * sequences.length)),
          ),
        ),
      };
      const loss = () => {
        const values = responseValues(weights, predictingStates(model.config, weights, inputs));
        return valueLoss({ values, ...others }, 0.2);
      };
      const names = expected.map(([name]) => name.slice("valueGrad.".length));
      return tf.engine().gradients(
        loss,
        names.map((name) => weights.tensors.get(name)!),
      ).grads;
    });
    readAndDispose(gradients).forEach((gradient, i) => {
      const [name, { values }] = expected[i]!;
      expect(relativeDifference(gradient, values), name).toBeLessThan(1e-4);
    });
    expect(expected).toHaveLength(model.parameters.size + 1); // head and bias, no output matrix
  });

  test("a fresh value head is 0, and says 0 everywhere", () => {
    const fresh = createValueHead(model.config);
    for (const variable of fresh.values())
      expect([...new Set(variable.values())], variable.name).toEqual([0]);
    const scorer = createScorer(model, fresh);
    const { values } = scorer.score(sequences, 10_000);
    values.forEach((ofResponse, row) => {
      expect(ofResponse).toEqual(new Float32Array(sequences[row]!.response.length));
    });
    scorer.dispose();
    for (const variable of fresh.values()) variable.dispose();
  });

  test("without one there are no values", () => {
    const scorer = createScorer(model);
    expect(scorer.score(sequences, 10_000).values).toEqual(sequences.map(() => new Float32Array()));
    scorer.dispose();
  });
});
