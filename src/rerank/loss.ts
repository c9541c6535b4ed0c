// The loss of the correctness classifier.
import { logProbabilityOf } from "../engine/kernels/kernels.ts";
import type { Tensor } from "../engine/tf.ts";
import { crossEntropy } from "../model/loss.ts";

/**
 * Cross-entropy of the classes.
 *
 * @param logits [predictions, 2]
 * @param classes int32 [predictions] 0 wrong, 1 right
 * @param weights [predictions] 1 / (sequences of the global batch), 0 for padding; so microbatches simply add up
 */
export function classLoss(logits: Tensor, classes: Tensor, weights: Tensor): Tensor {
  return crossEntropy(logProbabilityOf(logits, classes), weights);
}
