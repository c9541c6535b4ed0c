// The losses over the response tokens of one microbatch, which are flat lists: PPO's clipped policy loss, its value loss and GRPO's
// penalty for leaving the reference. Which of them an objective has, objectives/ says. (Self-training minimises the cross-entropy:
// model/backward.ts.)
// Reference: Schulman et al., arXiv 1707.06347; Trung et al., arXiv 2401.08967, section 3.2.
//
// A mean over tokens is a weight per token, 0 for padding (weights.ts); so the losses of microbatches simply add up.
import type { Tensors } from "../engine/compile.ts";
import { gatherRows, sumRows } from "../engine/ops.ts";
import { type Tensor, tf } from "../engine/tf.ts";

export interface Surrogate {
  /** [predictions] under the policy that is trained. */
  readonly logprobs: Tensor;
  /** [predictions] under the policy that sampled. */
  readonly oldLogprobs: Tensor;
  /** [predictions], as the objective gives them: whitened, or compared within a group. */
  readonly advantages: Tensor;
  /** [predictions] */
  readonly weights: Tensor;
  /** Makes one ratio of each response, the same for all of its tokens; without it, each token has its own. */
  readonly responses?: Responses;
}

/** To which response a token belongs. */
export interface Responses {
  /** int32 [predictions] the response's number in the microbatch. */
  readonly index: Tensor;
  /** [predictions] How much of each token's log-ratio counts in its response's; 0 for padding. */
  readonly shares: Tensor;
}

/** Ratios are kept between 1 - below and 1 + above. DAPO (arXiv 2503.14476, section 3.1) gives the upper side more room. */
export interface ClipRange {
  readonly below: number;
  readonly above: number;
}

/** The clipped surrogate, negated to be minimised (eq. 7). */
export function policyLoss(input: Surrogate, { below, above }: ClipRange): Tensor {
  const ratio = tf.exp(logRatios(input));
  const clippedRatio = tf.clipByValue(ratio, 1 - below, 1 + above);
  const surrogate = tf.minimum(
    tf.mul(input.advantages, ratio),
    tf.mul(input.advantages, clippedRatio),
  );
  return tf.neg(tf.sum(tf.mul(surrogate, input.weights)));
}

/** The logarithm of the ratio that each token takes part in: its own, or that of its response. */
function logRatios({ logprobs, oldLogprobs, responses }: Surrogate): Tensor {
  const ofTokens = tf.sub(logprobs, oldLogprobs);
  if (!responses) return ofTokens;
  const { index, shares } = responses;
  return gatherRows(sumRows(tf.mul(ofTokens, shares), index, index.size), index);
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
  /** Of ratio - 1 - log ratio of each token, the k3 estimate of KL(old || new). */
  readonly k3: Tensor;
  readonly ratio: Tensor;
}

/** How far the update has moved the policy. */
export function ratioSums(input: Surrogate, { below, above }: ClipRange): RatioSums {
  const isReal = tf.cast(tf.greater(input.weights, 0), "float32");
  const ratio = tf.exp(logRatios(input));
  const excess = tf.sub(ratio, 1);
  const clipped = tf.logicalOr(tf.greater(excess, above), tf.less(excess, -below));
  const logRatio = tf.sub(input.logprobs, input.oldLogprobs);
  const k3 = tf.sub(tf.expm1(logRatio), logRatio); // exp(d) - 1 would lose the digits of a small d
  const sum = (perToken: Tensor) => tf.sum(tf.mul(perToken, isReal));
  return { clipped: sum(tf.cast(clipped, "float32")), k3: sum(k3), ratio: sum(ratio) };
}
