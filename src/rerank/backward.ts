// Loss and gradients of one global batch, microbatch by microbatch.
import { packClasses, splitByTokens, withClass } from "../data/batch.ts";
import { compile } from "../engine/compile.ts";
import type { AdamW } from "../engine/optimizer.ts";
import { take, tf } from "../engine/tf.ts";
import { type Classifier, classifierParameters, classLogits } from "../model/classifier.ts";
import { batchTensors } from "../model/score.ts";
import { readWeights } from "../model/transformer.ts";
import type { LabelledSequence } from "./input.ts";
import { classLoss } from "./loss.ts";

export interface Backward {
  /**
   * Adds the batch's gradients to what the optimizer has gathered.
   *
   * @returns the mean loss over all sequences of the batch
   */
  (batch: readonly LabelledSequence[]): number;
  dispose(): void;
}

export function createBackward(
  classifier: Classifier,
  optimizer: AdamW,
  { microBatchTokens }: { readonly microBatchTokens: number },
): Backward {
  const { config } = classifier.model;
  const parameters = classifierParameters(classifier);
  const backward = compile("rerank", (...inputs) => {
    const weights = readWeights(parameters);
    const loss = () => classLoss(classLogits(config, weights, inputs), inputs[4]!, inputs[5]!);
    const names = [...weights.keys()];
    const { value, grads } = tf.engine().gradients(loss, [...weights.values()]);
    optimizer.accumulate(new Map(names.map((name, i) => [name, grads[i]!])));
    return [value];
  });

  const run = (batch: readonly LabelledSequence[]): number => {
    const classified = batch.map((sequence) => withClass(sequence, Number(sequence.correct)));
    let loss = 0;
    for (const part of splitByTokens(classified, microBatchTokens)) {
      const packed = packClasses(part, microBatchTokens);
      const weights = new Float32Array(packed.targets.length);
      weights.fill(1 / batch.length, 0, packed.predictions);
      const inputs = [...batchTensors(packed), tf.tensor1d(weights)];
      loss += take(backward(...inputs))[0]![0]!;
      tf.dispose(inputs);
    }
    return loss;
  };
  return Object.assign(run, { dispose: () => backward.dispose() });
}
