// Loss and gradients of the classifier for one global batch.
import type { AdamW } from "../engine/optimizer.ts";
import { type BackwardOptions, createBackward } from "../model/backward.ts";
import { packClasses, withClass } from "../model/batch.ts";
import { type Classifier, classLogits, headsOf } from "../model/classifier.ts";
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

export function createClassifierBackward(
  classifier: Classifier,
  optimizer: AdamW,
  options: BackwardOptions,
): Backward {
  const backward = createBackward(
    "rerank",
    classifier.model,
    headsOf(classifier),
    optimizer,
    options,
    packClasses,
    (weights, inputs) =>
      classLoss(
        classLogits(classifier.model.config, weights, inputs),
        inputs.targets,
        inputs.predictionWeights,
      ),
  );
  const run = (batch: readonly LabelledSequence[]) =>
    backward(batch.map((sequence) => withClass(sequence, Number(sequence.correct))));
  return Object.assign(run, { dispose: backward.dispose });
}
