// Online self-training, the paper's Online-ST: learn the responses that are right as supervised fine-tuning would.
// Reference: Trung et al., arXiv 2401.08967, section 4.2. No clipping, no advantages, nothing that holds the policy to the reference.
import type { SelfTrainingConfig } from "../config.ts";
import { encodeExample } from "../data/prompt.ts";
import type { TemplatePrompt } from "../data/templatePrompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { type AdamW, type GuardedUpdate, updateIfFinite } from "../engine/optimizer.ts";
import type { Question } from "../generate/answer.ts";
import { type BackwardOptions, createResponseBackward } from "../model/backward.ts";
import type { Sequence } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import type { Rng } from "../rng.ts";
import type { Lesson } from "./alarms.ts";
import { type Experience, groupByQuestion } from "./rollout.ts";
import { type LearningRates, miniBatches } from "./update.ts";

/** A right answer to a question: a response that the policy sampled, or the chain of thought that the data has. */
export interface RightAnswer extends Sequence {
  /** The given beginning included. */
  readonly text: string;
  readonly isGold: boolean;
}

/**
 * The chains of thought that the data has for questions, as what follows their prompts. Those longer than a response may be are
 * left out.
 */
export function goldAnswers(
  tokenizer: Tokenizer,
  questions: readonly Question[],
  maxNewTokens: number,
  prompt?: TemplatePrompt,
): RightAnswer[] {
  return questions.flatMap(({ example, prompt: { tokens, prefixTokens } }) => {
    if (example.cot === undefined) return [];
    const { completionTokens } = encodeExample(tokenizer, example, prompt);
    const response = completionTokens.slice(prefixTokens.length);
    if (response.length > maxNewTokens) return [];
    return [{ prompt: tokens, response, text: example.cot, isGold: true }];
  });
}

/** What a step learns: gold answers, and the responses of the rollout that are right; each text once per question. */
export function rightAnswers(
  experiences: readonly Experience[],
  gold: readonly RightAnswer[],
): RightAnswer[] {
  const sampled = experiences
    .filter(({ answer }) => answer.verdict.correct)
    .map(({ prompt, response, answer: { text } }) => ({ prompt, response, text, isGold: false }));
  return groupByQuestion([...gold, ...sampled]).flatMap((group) =>
    group.filter(({ text }, i) => group.findIndex((other) => other.text === text) === i),
  );
}

export const rightLesson: Lesson = {
  isMissing: ({ correctFraction }) => correctFraction === 0,
  text: "no response of a step is right",
};

/** Means over the updates of one rollout; 0 when no update was made. */
export interface SelfTrainingMetrics extends Pick<GuardedUpdate, "skipped"> {
  /** Distinct responses of the rollout that were learned. */
  readonly keptResponses: number;
  readonly goldAnswers: number;
  /** Cross-entropy per token. */
  readonly loss: number;
  readonly gradNorm: number;
}

export interface SelfTrainer {
  update(answers: readonly RightAnswer[], rates: LearningRates, rng: Rng): SelfTrainingMetrics;
  dispose(): void;
}

/** @param optimizer of one group: the policy's variables */
export function createSelfTrainer(
  policy: Model,
  optimizer: AdamW,
  options: SelfTrainingConfig & BackwardOptions,
): SelfTrainer {
  const backward = createResponseBackward("self_training", policy, optimizer, options);
  return {
    update(answers, rates, rng) {
      // As few updates as miniBatchSize allows, all about as large: a small last one would weigh its answers more.
      const updates = Math.ceil(answers.length / options.miniBatchSize);
      const size = Math.ceil(answers.length / updates);
      let [loss, gradNorm, count] = [0, 0, 0];
      const skipped: SelfTrainingMetrics["skipped"][number][] = [];
      for (const miniBatch of miniBatches(answers, options.epochs, size, rng)) {
        const ofBatch = backward(miniBatch);
        const made = updateIfFinite(optimizer, [rates.policy], { loss: ofBatch });
        skipped.push(...made.skipped);
        if (made.skipped.length > 0) continue;
        loss += ofBatch;
        gradNorm += made.gradNorm;
        count++;
      }
      const gold = answers.filter(({ isGold }) => isGold).length;
      return {
        keptResponses: answers.length - gold,
        goldAnswers: gold,
        loss: loss / Math.max(1, count),
        gradNorm: gradNorm / Math.max(1, count),
        skipped,
      };
    },
    dispose: () => backward.dispose(),
  };
}
