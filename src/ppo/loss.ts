// The losses over the response tokens of one microbatch, which are flat lists: PPO's clipped policy loss, its value loss and GRPO's
// penalty for leaving the reference. Which of them an objective has, objectives/ says. (Self-training minimises the cross-entropy:
// model/backward.ts.)
// Reference: Schulman et al., arXiv 1707.06347; Trung et al., arXiv 2401.08967, section 3.2.
//
// A mean over tokens is a weight per token, 0 for padding (weights.ts); so the losses of microbatches simply add up.
import type { Tensors } from "../engine/compile.ts";
import { type Tensor, tf } from "../engine/tf.ts";

export interface PolicyLossInput {
  /** [predictions] under the policy that is trained. */
  readonly logprobs: Tensor;
  /** [predictions] under the policy that sampled. */
  readonly oldLogprobs: Tensor;
  /** [predictions], as the objective gives them: whitened, or compared within a group. */
  readonly advantages: Tensor;
  /** [predictions] */
  readonly weights: Tensor;
}

/** The clipped surrogate, negated to be minimised (eq. 7). */
export function policyLoss(input: PolicyLossInput, clipRange: number): Tensor {
  const ratio = tf.exp(tf.sub(input.logprobs, input.oldLogprobs));
  const clippedRatio = tf.clipByValue(ratio, 1 - clipRange, 1 + clipRange);
  const surrogate = tf.minimum(
    tf.mul(input.advantages, ratio),
    tf.mul(input.advantages, clippedRatio),
  );
  return tf.neg(tf.sum(tf.mul(surrogate, input.weights)));
}

export interface ValueLossInput {
  /** [predictions] from the value head that is trained. */
  readonly values: Tensor;
  /** [predictions] from the value head at the time of sampling. */
  readonly oldValues: Tensor;
  /** [predictions] */
  readonly returns: Tensor;
  /** [predictions] */
  readonly weights: Tensor;
}

/** Half the squared error, the larger of the plain and the clipped one. */
export function valueLoss(input: ValueLossInput, clipRange: number): Tensor {
  const { values, oldValues, returns } = input;
  const clipped = tf.add(
    oldValues,
    tf.clipByValue(tf.sub(values, oldValues), -clipRange, clipRange),
  );
  const error = tf.maximum(tf.square(tf.sub(values, returns)), tf.square(tf.sub(clipped, returns)));
  return tf.mul(tf.sum(tf.mul(error, input.weights)), 0.5);
}

/**
 * GRPO's penalty for leaving the reference, which stands in the loss: the k3 estimate exp(-d) - 1 + d for d = logprob - reference's.
 * Its gradient is 1 - exp(-d) per token. Reference: Shao et al., DeepSeekMath, arXiv 2402.03300, eq. 4.
 *
 * @param logprobs [predictions] under the policy that is trained
 * @param referenceLogprobs [predictions]
 * @param weights [predictions]
 */
export function klLoss(logprobs: Tensor, referenceLogprobs: Tensor, weights: Tensor): Tensor {
  const drift = tf.sub(logprobs, referenceLogprobs);
  return tf.sum(tf.mul(tf.add(tf.expm1(tf.neg(drift)), drift), weights));
}

/** Scalars, summed over tokens so that microbatches add up. */
export interface RatioSums extends Tensors {
  /** Tokens whose ratio left the clip range. */
  readonly clipped: Tensor;
  /** Of ratio - 1 - log ratio, the k3 estimate of KL(old || new). */
  readonly k3: Tensor;
  readonly ratio: Tensor;
}

/** How far the update has moved the policy. */
export function ratioSums(
  { logprobs, oldLogprobs, weights }: PolicyLossInput,
  clipRange: number,
): RatioSums {
  const isReal = tf.cast(tf.greater(weights, 0), "float32");
  const logRatio = tf.sub(logprobs, oldLogprobs);
  const ratio = tf.exp(logRatio);
  const clipped = tf.cast(tf.greater(tf.abs(tf.sub(ratio, 1)), clipRange), "float32");
  const k3 = tf.sub(tf.sub(ratio, 1), logRatio);
  const sum = (perToken: Tensor) => tf.sum(tf.mul(perToken, isReal));
  return { clipped: sum(clipped), k3: sum(k3), ratio: sum(ratio) };
}
