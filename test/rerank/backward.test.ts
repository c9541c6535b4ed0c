import { expect, test } from "vitest";
import { AdamW } from "../../src/engine/optimizer.ts";
import {
  classifierParameters,
  createClassifier,
  disposeClassifier,
} from "../../src/model/classifier.ts";
import { loadModel } from "../../src/model/model.ts";
import { createClassifierBackward } from "../../src/rerank/backward.ts";
import { goldenPath, readGolden, rowOf } from "../support/golden.ts";

// Expected values: transformers, scripts/golden/classifier.py.
const golden = readGolden("classifier", "grouped-query.safetensors");

test.each([10_000, 40, 1])(
  "loss and gradient's norm of a batch are those of transformers, %d tokens at once",
  (microBatchTokens) => {
    const classifier = createClassifier(loadModel(goldenPath("models", "grouped-query")), 1);
    classifier.head.load(Float32Array.from(golden.get("head")!.values));
    const batch = [...golden.get("labels")!.values].map((label, row) => {
      const tokens = rowOf(golden.get("tokens")!, row, golden.get("lengths")!.values[row]!);
      const promptLength = golden.get("promptLengths")!.values[row]!;
      const sequence = {
        prompt: tokens.slice(0, promptLength),
        response: tokens.slice(promptLength),
      };
      return { ...sequence, correct: label === 1 };
    });
    const adamW = new AdamW([{ variables: [...classifierParameters(classifier).values()] }], {
      ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 },
    });
    const backward = createClassifierBackward(classifier, adamW, { microBatchTokens });
    expect(backward(batch)).toBeCloseTo(golden.get("loss")!.values[0]!, 5);
    const gradients = [...golden].filter(([name]) => name.startsWith("grad."));
    const squares = gradients.flatMap(([, { values }]) => [...values].map((x) => x * x));
    const norm = Math.sqrt(squares.reduce((sum, x) => sum + x, 0));
    expect(adamW.update([1e-3])).toBeCloseTo(norm, 3);
    backward.dispose();
    adamW.dispose();
    disposeClassifier(classifier);
  },
);
