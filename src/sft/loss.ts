// The loss of supervised fine-tuning.
import { type Tensor, tf } from "../engine/tf.ts";

/**
 * Cross-entropy over the completion tokens, EOS included: -sum(weight · logprob).
 *
 * @param logprobs [predictions] of the completion tokens
 * @param weights [predictions] 1 / (completion tokens of the global batch), 0 for padding; so microbatches simply add up
 */
export function crossEntropy(logprobs: Tensor, weights: Tensor): Tensor {
  return tf.neg(tf.sum(tf.mul(logprobs, weights)));
}
