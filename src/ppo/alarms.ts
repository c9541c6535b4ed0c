// What goes silently wrong in reinforcement learning, said aloud.
import type { ReftConfig } from "../config.ts";
import { createStreaks } from "./streaks.ts";

/** What the alarms look at, one per step. */
export interface StepSigns {
  /** Did all responses of the step score the same? */
  readonly isScoreConstant: boolean;
  /** Mean over all responses. */
  readonly score: number;
  /** Share of questions whose responses all scored the same. */
  readonly groupsWithoutSpread: number;
  readonly correctFraction: number;
  /** Mean k1 per token; undefined without a reference. */
  readonly klReference: number | undefined;
  /** Nats per token; undefined without anything to learn from. */
  readonly entropy: number | undefined;
  readonly extractedFraction: number;
  readonly truncatedFraction: number;
  /** Share of programs that ran into `sandbox.timeoutSeconds`. */
  readonly timeoutFraction: number;
  /** With dynamic sampling: were there as many questions to learn from as a step wants? */
  readonly isFull: boolean;
}

/** Programs that do what they should take a thousandth of the usual limit. */
const maxTimeoutFraction = 0.05;

/** A setting as it was written: 100 * 0.29 is 28.999999999999996. */
const percent = (share: number) => `${Number((100 * share).toPrecision(15))} %`;

/** What a step must have for something to be learned from it. */
export interface Lesson {
  isMissing(signs: StepSigns): boolean;
  /** What the step is like then. */
  readonly text: string;
}

/** What is watched: whether a step has a sign, and what is said when so many steps in a row have it. */
interface Watch {
  readonly name: string;
  readonly steps: number;
  readonly holds: (signs: StepSigns) => boolean;
  /** What the sign is seen by, as metrics.jsonl names it. */
  readonly figures: (signs: StepSigns) => Readonly<Record<string, number>>;
  readonly text: string;
}

export interface Alarms {
  /** The warnings after a step: each is given when it begins, not at every step. */
  after(
    signs: StepSigns,
  ): { name: string; figures: Readonly<Record<string, number>>; message: string }[];
  /** Steps in a row that had each sign up to now, by its name. */
  counts(): Record<string, number>;
}

/**
 * Warnings about a run, from its steps so far.
 *
 * @param hasKlPenalty whether ppo.klCoefficient can be raised
 * @param before counts of a run that goes on
 */
export function createAlarms(
  limits: ReftConfig["alarms"],
  lesson: Lesson,
  hasKlPenalty: boolean,
  before: Readonly<Record<string, number>> = {},
): Alarms {
  const watches: readonly Watch[] = [
    {
      name: "constantScore",
      figures: ({ score, groupsWithoutSpread }) => ({
        "reward/score": score,
        "rollout/groupsWithoutSpread": groupsWithoutSpread,
      }),
      steps: limits.constantScoreSteps,
      holds: lesson.isMissing,
      text: `${lesson.text}, so there is nothing to learn from: look at samples/ and the outcomes`,
    },
    {
      name: "noneRight",
      figures: ({ correctFraction, extractedFraction }) => ({
        "reward/correctFraction": correctFraction,
        "reward/extractedFraction": extractedFraction,
      }),
      steps: limits.constantScoreSteps,
      holds: ({ correctFraction, extractedFraction }) =>
        correctFraction === 0 && extractedFraction >= limits.minExtractedFraction,
      text: "no response is right although answers come out: compare them with the gold answers in samples/. If they say the same, gold answers have a form that no answer can equal, or the reward calls nothing correct; if not, warm up longer",
    },
    {
      name: "negativeKl",
      figures: ({ klReference }) => ({ "kl/reference": klReference! }),
      steps: limits.negativeKlSteps,
      holds: ({ klReference }) => klReference !== undefined && klReference < 0,
      text: "the mean KL to the reference is negative, which sampling from the policy itself cannot give for long: the log-probabilities do not belong to the samples",
    },
    {
      name: "fewAnswers",
      figures: (signs) => ({ "reward/extractedFraction": signs.extractedFraction }),
      steps: 1,
      holds: (signs) => signs.extractedFraction < limits.minExtractedFraction,
      text: `fewer than ${percent(limits.minExtractedFraction)} of the responses give an answer: warm up longer if it was so from the start, else the policy collapses: lower the learning rate${hasKlPenalty ? " or raise ppo.klCoefficient" : ""}`,
    },
    {
      name: "manyTruncated",
      figures: (signs) => ({ "response/truncatedFraction": signs.truncatedFraction }),
      steps: 1,
      holds: (signs) => signs.truncatedFraction > limits.maxTruncatedFraction,
      text: `more than ${percent(limits.maxTruncatedFraction)} of the responses end without EOS: raise rollout.maxNewTokens, or the policy has forgotten how to stop`,
    },
    {
      name: "manyTimeouts",
      figures: (signs) => ({ timeoutFraction: signs.timeoutFraction }),
      steps: 1,
      holds: (signs) => signs.timeoutFraction > maxTimeoutFraction,
      text: `more than ${percent(maxTimeoutFraction)} of the programs run into sandbox.timeoutSeconds: look at samples/ whether they loop; if not, raise it`,
    },
    {
      name: "fewQuestions",
      figures: (signs) => ({ "rollout/groupsWithoutSpread": signs.groupsWithoutSpread }),
      steps: 1,
      holds: (signs) => !signs.isFull,
      text: "ppo.dynamicSampling.maxRounds is reached, or all questions are asked, before enough of them have responses that score differently; the updates learn from those that have: raise it or rollout.samplesPerQuestion, or take other questions",
    },
  ];
  const streaks = createStreaks(
    watches.map(({ name }) => name),
    before,
  );
  return {
    after: (signs) =>
      watches.flatMap(({ name, steps, holds, figures, text }) => {
        if (streaks.count(name, holds(signs)) !== steps) return [];
        const message = steps > 1 ? `for ${steps} steps, ${text}` : text;
        return [{ name, figures: figures(signs), message }];
      }),
    counts: streaks.counts,
  };
}
