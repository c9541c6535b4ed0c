// What goes silently wrong in reinforcement learning, said aloud.
import type { ReftConfig } from "../config.ts";

/** What the alarms look at, one per step. */
export interface StepSigns {
  /** Did all responses of the step score the same? */
  readonly isScoreConstant: boolean;
  /** Share of questions whose responses all scored the same. */
  readonly groupsWithoutSpread: number;
  readonly correctFraction: number;
  /** Mean k1 per token; undefined without a reference. */
  readonly klReference: number | undefined;
  readonly extractedFraction: number;
  readonly truncatedFraction: number;
  /** Share of programs that ran into `sandbox.timeoutSeconds`. */
  readonly timeoutFraction: number;
  /** With dynamic sampling: were there as many questions to learn from as a step wants? */
  readonly isFull: boolean;
}

/** Programs that do what they should take a thousandth of the usual limit. */
const maxTimeoutFraction = 0.05;

/** What a step must have for something to be learned from it. */
export interface Lesson {
  isMissing(signs: StepSigns): boolean;
  /** What the step is like then. */
  readonly text: string;
}

/**
 * Warnings about a run, from its steps so far; each is given when it begins, not at every step.
 *
 * @param hasKlPenalty whether ppo.klCoefficient can be raised
 */
export function createAlarms(
  limits: ReftConfig["alarms"],
  lesson: Lesson,
  hasKlPenalty: boolean,
): (signs: StepSigns) => string[] {
  const watches = [
    {
      steps: limits.constantScoreSteps,
      holds: lesson.isMissing,
      text: `${lesson.text}, so there is nothing to learn from: look at samples/ and the outcomes`,
    },
    {
      steps: limits.negativeKlSteps,
      holds: ({ klReference }: StepSigns) => klReference !== undefined && klReference < 0,
      text: "the mean KL to the reference is negative, which sampling from the policy itself cannot give for long: the log-probabilities do not belong to the samples",
    },
    {
      steps: 1,
      holds: (signs: StepSigns) => signs.extractedFraction < limits.minExtractedFraction,
      text: `fewer than ${100 * limits.minExtractedFraction} % of the responses give an answer: warm up longer if it was so from the start, else the policy collapses: lower the learning rate${hasKlPenalty ? " or raise ppo.klCoefficient" : ""}`,
    },
    {
      steps: 1,
      holds: (signs: StepSigns) => signs.truncatedFraction > limits.maxTruncatedFraction,
      text: `more than ${100 * limits.maxTruncatedFraction} % of the responses end without EOS: raise rollout.maxNewTokens, or the policy has forgotten how to stop`,
    },
    {
      steps: 1,
      holds: (signs: StepSigns) => signs.timeoutFraction > maxTimeoutFraction,
      text: `more than ${100 * maxTimeoutFraction} % of the programs run into sandbox.timeoutSeconds: look at samples/ whether they loop; if not, raise it`,
    },
    {
      steps: 1,
      holds: (signs: StepSigns) => !signs.isFull,
      text: "ppo.dynamicSampling.maxRounds is reached, or all questions are asked, before enough of them have responses that score differently; the updates learn from those that have: raise it or rollout.samplesPerQuestion, or take other questions",
    },
  ];
  const running = watches.map(() => 0);
  return (signs) =>
    watches.flatMap(({ steps, holds, text }, i) => {
      running[i] = holds(signs) ? running[i]! + 1 : 0;
      return running[i] === steps ? [steps > 1 ? `for ${steps} steps, ${text}` : text] : [];
    });
}
