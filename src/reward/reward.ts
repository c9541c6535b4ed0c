// A reward of one's own: what it gets and what it gives.
import type { JsonValue } from "../data/json.ts";
import type { Outcome } from "./outcome.ts";

/** One answer to be scored. */
export interface RewardInput {
  /** The row's `id`. */
  readonly id: string;
  /** The row's `question`. */
  readonly question: string;
  /** The row's `answer`. */
  readonly gold: JsonValue;
  /** The whole row of the data set, with all of its columns. */
  readonly row: Readonly<Record<string, JsonValue>>;
  /** What the model wrote, its given beginning included. */
  readonly text: string;
  /** The tokens that the model wrote, the one that ends the answer included. */
  readonly tokens: readonly number[];
  /** What came out of the answer: of its program, or found in its text, as `data.cotKind` says. */
  readonly outcome: Outcome;
}

/** A score, or a score with more. A score is any finite number; 1 is usual for a right answer, and true is 1. */
export type RewardResult =
  | number
  | boolean
  | {
      /** Any finite number. */
      readonly score: number;
      /** Decides accuracies, pass@k, and what self-training learns. Without it: is the score at least 1? */
      readonly correct?: boolean;
      /** Answers with the same one are the same in votes; null: it does not vote. Without it the outcome's answer votes. */
      readonly vote?: string | number | null;
      /** Figures whose means become metrics, `reward/<name>`; true is 1. */
      readonly logs?: Readonly<Record<string, number | boolean>>;
    };

/** Scores one answer. What it throws ends the run, with the row's id. */
export type Reward = (input: RewardInput) => RewardResult | Promise<RewardResult>;

/** Gives a reward its types: `export default defineReward(({ text, gold }) => ...)`. */
export function defineReward(reward: Reward): Reward {
  return reward;
}
