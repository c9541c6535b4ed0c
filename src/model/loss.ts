// The loss of every stage that learns by cross-entropy.
import { type Tensor, tf } from "../engine/tf.ts";

/**
 * Cross-entropy: -sum(weight · logprob).
 *
 * @param logprobs [predictions] of what should have been predicted
 * @param weights [predictions] 1 / (predictions of the global batch), 0 for padding; so microbatches simply add up
 */
export function crossEntropy(logprobs: Tensor, weights: Tensor): Tensor {
  return tf.neg(tf.sum(tf.mul(logprobs, weights)));
}
