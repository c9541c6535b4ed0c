// What the objectives of PPO differ in. Each is one file beside this one; a new one is one more file and one line in choose.ts.
// All of them have the clipped surrogate (../loss.ts) in common, and the update around it (../update.ts).
import type { TokenMean } from "../../config.ts";
import type { Tensors } from "../../engine/compile.ts";
import type { Tensor } from "../../engine/tf.ts";
import type { Lesson } from "../alarms.ts";
import type { CreditedExperience } from "../credit.ts";
import type { Experience } from "../rollout.ts";

export interface Objective {
  readonly needsValueHead: boolean;
  /** Gives each token of a rollout its advantage. */
  credit(experiences: readonly Experience[]): CreditedExperience[];
  /** What has one ratio, which gets clipped. */
  readonly ratio: Ratio;
  /** How the losses of tokens become that of a minibatch. */
  readonly lossMean: TokenMean;
  /** What the loss has besides the clipped surrogate, if anything. */
  readonly term?: LossTerm;
  /** What a rollout must have for this objective to learn from it. */
  readonly lesson: Lesson;
}

/**
 * - token: each token has its own
 * - response: of a whole response, the product over its tokens
 * - responseMean: their geometric mean
 */
export type Ratio = "token" | "response" | "responseMean";

/** A term of the loss besides the clipped surrogate. */
export interface LossTerm {
  /** Its name among the figures of an update. */
  readonly name: "valueLoss" | "klLoss";
  readonly coefficient: number;
  /** What it needs from the rollout: one number per response token, by name. */
  inputs(experience: CreditedExperience): Readonly<Record<string, Float32Array>>;
  /**
   * The loss before it is multiplied by the coefficient.
   *
   * @param predicted by the weights that are trained
   * @param inputs [predictions] each, by the names that `inputs` gives
   * @param weights [predictions]
   */
  loss(predicted: Predicted, inputs: Tensors, weights: Tensor): Tensor;
}

/** [predictions] each. */
export interface Predicted {
  readonly logprobs: Tensor;
  /** Of the value head, if there is one. */
  readonly values?: Tensor;
}
