// What one token counts in the loss of a minibatch. Each weight is a number that is known before the minibatch is cut, so the losses
// of microbatches simply add up.

/**
 * - response: the mean over a response's tokens, then over the responses of the minibatch
 * - sum: the sum over a response's tokens, then the mean over the responses
 *
 * A last minibatch that lacks responses, because the sandbox failed to run some, counts for that much less.
 */
export type LossMean = "response" | "sum";

/** @param length of the token's response, in tokens */
export function tokenWeight(
  mean: LossMean,
  length: number,
  { miniBatchSize }: { readonly miniBatchSize: number },
): number {
  switch (mean) {
    case "response":
      return 1 / (length * miniBatchSize);
    case "sum":
      return 1 / miniBatchSize;
  }
}
