// Optimises policy and value head on one credited rollout: a few passes of minibatches, each cut into microbatches.
import { joinPredictions, packSequences, splitByTokens } from "../data/batch.ts";
import { compile } from "../engine/compile.ts";
import type { AdamW } from "../engine/optimizer.ts";
import { type Tensor, take, tf } from "../engine/tf.ts";
import type { Variable } from "../engine/variable.ts";
import type { Model } from "../model/model.ts";
import {
  batchTensors,
  predictingStates,
  responseLogprobs,
  responseValues,
} from "../model/score.ts";
import { readWeights } from "../model/transformer.ts";
import type { Rng } from "../rng.ts";
import { policyLoss, ratioSums, valueLoss } from "./loss.ts";
import type { CreditedExperience } from "./rollout.ts";

export interface UpdateOptions {
  readonly ppoEpochs: number;
  /** Responses per update. */
  readonly miniBatchSize: number;
  readonly clipRange: number;
  readonly valueClipRange: number;
  readonly valueCoefficient: number;
  readonly microBatchTokens: number;
}

/** Means over the rollout's updates. */
export interface UpdateMetrics {
  readonly policyLoss: number;
  readonly valueLoss: number;
  readonly gradNorm: number;
  /** Share of tokens whose ratio left the clip range. */
  readonly clipFraction: number;
  /** KL(policy before || policy after), per token. */
  readonly approxKl: number;
  readonly meanRatio: number;
  /** Share of tokens clipped in the very first minibatch: 0, because nothing has moved yet. */
  readonly firstClipFraction: number;
}

/** Learning rates of one rollout's updates; `policy` null trains the value head alone. */
export interface LearningRates {
  readonly policy: number | null;
  readonly valueHead: number;
}

export interface Updater {
  update(experiences: readonly CreditedExperience[], rates: LearningRates, rng: Rng): UpdateMetrics;
  dispose(): void;
}

/** @param optimizer of two groups: the policy's variables, then the value head's */
export function createUpdater(
  policy: Model,
  valueHead: ReadonlyMap<string, Variable>,
  optimizer: AdamW,
  options: UpdateOptions,
): Updater {
  const { clipRange, valueClipRange, valueCoefficient } = options;

  /** Loss and gradients of one microbatch; the gradients go to the optimizer. */
  const backward = (trainsPolicy: boolean) =>
    compile(trainsPolicy ? "ppo" : "value_warmup", (...inputs) => {
      const [, , , , targets, oldLogprobs, advantages, oldValues, returns, tokenWeights] =
        inputs as Tensor[];
      const weights = readWeights(new Map([...policy.parameters, ...valueHead]));
      let parts: Tensor[] = [];
      const loss = () => {
        const states = predictingStates(policy.config, weights, inputs);
        const logprobs = responseLogprobs(policy.config, weights, states, targets!);
        const values = responseValues(weights, states);
        const surrogate = {
          logprobs,
          oldLogprobs: oldLogprobs!,
          advantages: advantages!,
          weights: tokenWeights!,
        };
        const fit = { values, oldValues: oldValues!, returns: returns!, weights: tokenWeights! };
        const [ofPolicy, ofValue] = [
          policyLoss(surrogate, clipRange),
          valueLoss(fit, valueClipRange),
        ];
        parts = [tf.stack([ofPolicy, ofValue]), ratioSums(surrogate, clipRange)].map((part) =>
          tf.keep(part),
        );
        const weighted = tf.mul(ofValue, valueCoefficient);
        return trainsPolicy ? tf.add(ofPolicy, weighted) : weighted;
      };
      const names = trainsPolicy ? [...weights.keys()] : [...valueHead.keys()];
      const { value, grads } = tf.engine().gradients(
        loss,
        names.map((name) => weights.get(name)!),
      );
      optimizer.accumulate(new Map(names.map((name, i) => [name, grads[i]!])));
      return [value, ...parts];
    });
  const ppo = backward(true);
  const valueWarmup = backward(false);

  return {
    update(experiences, rates, rng) {
      const sums = {
        policyLoss: 0,
        valueLoss: 0,
        gradNorm: 0,
        clipped: 0,
        k3: 0,
        ratio: 0,
        tokens: 0,
      };
      let updates = 0;
      let firstClipFraction = 0;
      for (let pass = 0; pass < options.ppoEpochs; pass++) {
        // Responses to one question stay together, so that they share their prompt.
        const order = rng.shuffled(groupByQuestion(experiences)).flat();
        for (let begin = 0; begin < order.length; begin += options.miniBatchSize) {
          const miniBatch = order.slice(begin, begin + options.miniBatchSize);
          for (const part of splitByTokens(miniBatch, options.microBatchTokens)) {
            const inputs = microBatchTensors(part, options);
            const [, losses, ratios] = take((rates.policy === null ? valueWarmup : ppo)(...inputs));
            tf.dispose(inputs);
            sums.policyLoss += losses![0]!;
            sums.valueLoss += losses![1]!;
            sums.clipped += ratios![0]!;
            sums.k3 += ratios![1]!;
            sums.ratio += ratios![2]!;
            sums.tokens += part.reduce((total, { response }) => total + response.length, 0);
          }
          if (updates === 0) firstClipFraction = sums.clipped / sums.tokens;
          sums.gradNorm += optimizer.update([rates.policy, rates.valueHead]);
          updates++;
        }
      }
      return {
        policyLoss: sums.policyLoss / updates,
        valueLoss: sums.valueLoss / updates,
        gradNorm: sums.gradNorm / updates,
        clipFraction: sums.clipped / sums.tokens,
        approxKl: sums.k3 / sums.tokens,
        meanRatio: sums.ratio / sums.tokens,
        firstClipFraction,
      };
    },
    dispose() {
      ppo.dispose();
      valueWarmup.dispose();
    },
  };
}

function groupByQuestion(experiences: readonly CreditedExperience[]): CreditedExperience[][] {
  const groups = new Map<readonly number[], CreditedExperience[]>();
  for (const experience of experiences) {
    const group = groups.get(experience.prompt);
    if (group) group.push(experience);
    else groups.set(experience.prompt, [experience]);
  }
  return [...groups.values()];
}

/**
 * A microbatch as the compiled step takes it. Weights: mean over a response's tokens, then over the minibatch. A last minibatch
 * that lacks responses, because the sandbox failed to run some, counts for that much less.
 */
function microBatchTensors(
  part: readonly CreditedExperience[],
  { miniBatchSize, microBatchTokens }: UpdateOptions,
): Tensor[] {
  const batch = packSequences(part, microBatchTokens);
  const perToken = (of: (experience: CreditedExperience) => Float32Array) =>
    tf.tensor1d(joinPredictions(batch, part.map(of)));
  return [
    ...batchTensors(batch),
    perToken(({ logprobs }) => logprobs),
    perToken(({ advantages }) => advantages),
    perToken(({ values }) => values),
    perToken(({ returns }) => returns),
    perToken(({ response }) =>
      new Float32Array(response.length).fill(1 / (response.length * miniBatchSize)),
    ),
  ];
}
