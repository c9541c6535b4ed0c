// What a step does with its rollout: steps 5 and 6 of the recipe (train.ts), in PPO and in self-training.
import type { Question } from "../generate/answer.ts";
import type { Rng } from "../rng.ts";
import type { Lesson } from "./alarms.ts";
import { notFiniteIn } from "./credit.ts";
import type { Objective } from "./objectives/objective.ts";
import type { Experience } from "./rollout.ts";
import {
  type RightAnswer,
  rightAnswers,
  rightLesson,
  type SelfTrainer,
  type SelfTrainingMetrics,
} from "./selfTraining.ts";
import type { LearningRates, UpdateMetrics, Updater } from "./update.ts";

/** Learns from a step's rollout: by PPO, or in self-training by cross-entropy. */
export interface Learner {
  /** What a rollout must have for something to be learned from it. */
  readonly lesson: Lesson;
  learn(
    experiences: readonly Experience[],
    asked: readonly Question[],
    rates: LearningRates,
    rng: Rng,
  ): UpdateMetrics | SelfTrainingMetrics;
  dispose(): void;
}

export function ppoLearner(objective: Objective, updater: Updater): Learner {
  return {
    lesson: objective.lesson,
    learn(experiences, _, rates, rng) {
      // 5. credit each token with its advantage
      const credited = objective.credit(experiences);

      // 6. optimise the clipped objective for a few passes over that rollout; nothing is learned from one that is not finite
      const broken = notFiniteIn(credited);
      const figures = updater.update(broken ? [] : credited, rates, rng);
      return broken ? { ...figures, skipped: [broken] } : figures;
    },
    dispose: updater.dispose,
  };
}

export function selfTrainingLearner(
  trainer: SelfTrainer,
  goldOf: (asked: readonly Question[]) => readonly RightAnswer[],
): Learner {
  return {
    lesson: rightLesson,
    learn(experiences, asked, rates, rng) {
      // 5. find what is right, sampled or given
      const right = rightAnswers(experiences, goldOf(asked));

      // 6. optimise its cross-entropy
      return trainer.update(right, rates, rng);
    },
    dispose: trainer.dispose,
  };
}
