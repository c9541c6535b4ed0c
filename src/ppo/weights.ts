// What one token counts in the loss of a minibatch. Each weight is a number that is known before the minibatch is cut, so the losses
// of microbatches simply add up.
import type { TokenMean } from "../config.ts";

export interface LossSizes {
  readonly miniBatchSize: number;
  readonly maxNewTokens: number;
  /** Tokens in the loss of this minibatch. */
  readonly miniBatchTokens: number;
  /** Tokens in the loss of the whole rollout, for each of its minibatches. */
  readonly rolloutTokensPerMiniBatch: number;
}

/**
 * - response: the mean over a response's tokens, then over the responses of the minibatch
 * - miniBatchTokens: the mean over all tokens of the minibatch
 * - rolloutTokens: the sum over the minibatch's tokens, divided by how many tokens the rollout has per minibatch
 * - maxNewTokens: the sum over a response's tokens, divided by the most that it may have; then the mean over the responses
 *
 * Except with miniBatchTokens, a last minibatch that lacks responses, because the sandbox failed to run some, counts for that much
 * less. Responses that are masked still count as responses, their tokens not as tokens: both as in TRL.
 *
 * @param length of the token's response, in tokens
 */
export function tokenWeight(mean: TokenMean, length: number, sizes: LossSizes): number {
  switch (mean) {
    case "response":
      return 1 / (length * sizes.miniBatchSize);
    case "miniBatchTokens":
      return 1 / sizes.miniBatchTokens;
    case "rolloutTokens":
      return 1 / sizes.rolloutTokensPerMiniBatch;
    case "maxNewTokens":
      return 1 / (sizes.maxNewTokens * sizes.miniBatchSize);
  }
}
