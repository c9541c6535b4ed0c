// The computations of a language model that native ops do on a CPU and TensorFlow's ops on a GPU.
import type { Tensor } from "../tf.ts";

/** Where the tokens stand that attend to each other, laid out as rows of equal length. */
export interface AttentionPlaces {
  /** int32 [rows * rowLength], which a sliding window counts. */
  readonly positions: Tensor;
  /** int32 [rows, rowLength]; the tokens of one stand next to each other, -1 marks empty places. */
  readonly segments: Tensor;
  /** int32 [rows, rowLength] an earlier segment of the row that a token sees beside its own, or its own. */
  readonly contexts: Tensor;
}

/**
 * Causal attention within rows of packed segments.
 *
 * @param queries [rows * rowLength, heads, headDim]
 * @param keys [rows * rowLength, kvHeads, headDim]
 * @param values [rows * rowLength, kvHeads, headDim]
 * @param window how many tokens one sees, itself included, as if its context stood right before its own segment; null: all
 * @returns [rows * rowLength, heads, headDim]; nothing reads empty places
 */
export type Attention = (
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  window: number | null,
) => Tensor;

/** Each with its gradient. */
export interface Kernels {
  /**
   * x / sqrt(mean(x²) + epsilon) · weight. Reference: Zhang and Sennrich, arXiv 1910.07467.
   *
   * @param x [rows, dim]
   * @param weight [dim]
   */
  rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor;

  /**
   * Rotary position embedding over halves, as Hugging Face's LLaMA: x·cos + rotateHalf(x)·sin.
   * Reference: Su et al., arXiv 2104.09864.
   *
   * @param x [tokens, heads, headDim]
   * @param cos [tokens, 1, headDim]
   * @param signedSin like cos, with the first half of the last axis negated, so that no op is spent on the sign
   */
  rotate(x: Tensor, cos: Tensor, signedSin: Tensor): Tensor;

  /**
   * silu(gate) · up. Reference: Shazeer, arXiv 2002.05202.
   *
   * @param gate [rows, ffnDim]
   * @param up [rows, ffnDim]
   */
  swiGlu(gate: Tensor, up: Tensor): Tensor;

  /**
   * The natural log-probability of one class per row, with one pass over the logits for value and gradient.
   *
   * @param logits [rows, classes]
   * @param classes int32 [rows]
   * @returns [rows]
   */
  logProbabilityOf(logits: Tensor, classes: Tensor): Tensor;

  /**
   * Causal attention among these tokens, for all layers.
   *
   * @param windows of all layers
   * @param groups heads of queries per head of keys
   */
  packedAttention(
    places: AttentionPlaces,
    windows: readonly (number | null)[],
    groups: number,
  ): Attention;
}
