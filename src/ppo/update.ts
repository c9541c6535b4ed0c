// Optimises the policy, and the value head if there is one, on one credited rollout: a few passes of minibatches, each cut into
// microbatches.
import type { PpoConfig } from "../config.ts";
import { joinPredictions, packSequences, type Sequence, splitByTokens } from "../data/batch.ts";
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
import type { CreditedExperience } from "./credit.ts";
import { klLoss, policyLoss, ratioSums, valueLoss } from "./loss.ts";
import { groupByQuestion } from "./rollout.ts";
import { explainedVariance } from "./summary.ts";

type UpdateOptions = PpoConfig & { readonly microBatchTokens: number };

/** Means over the rollout's updates. */
export interface UpdateMetrics {
  /** With the advantages "gae"; of the values at the time of sampling. */
  readonly explainedVariance?: number;
  readonly policyLoss: number;
  /** With the advantages "gae". */
  readonly valueLoss?: number;
  /** With the advantages "grpo". */
  readonly klLoss?: number;
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
  /** null where there is none. */
  readonly valueHead: number | null;
}

export interface Updater {
  update(experiences: readonly CreditedExperience[], rates: LearningRates, rng: Rng): UpdateMetrics;
  dispose(): void;
}

/**
 * @param valueHead with the advantages "gae", and only then
 * @param optimizer of one or two groups: the policy's variables, then the value head's
 */
export function createUpdater(
  policy: Model,
  valueHead: ReadonlyMap<string, Variable> | undefined,
  optimizer: AdamW,
  options: UpdateOptions,
): Updater {
  const { clipRange, ppoEpochs, miniBatchSize } = options;

  /** Loss and gradients of one microbatch; the gradients go to the optimizer. */
  const backward = (trainsPolicy: boolean) =>
    compile(trainsPolicy ? "ppo" : "value_warmup", (...inputs) => {
      const [, , , , targets, tokenWeights, oldLogprobs, advantages, ...others] =
        inputs as Tensor[];
      const weights = readWeights(new Map([...policy.parameters, ...(valueHead ?? [])]));
      let parts: Tensor[] = [];
      const loss = () => {
        const states = predictingStates(policy.config, weights, inputs);
        const logprobs = responseLogprobs(policy.config, weights, states, targets!);
        const surrogate = {
          logprobs,
          oldLogprobs: oldLogprobs!,
          advantages: advantages!,
          weights: tokenWeights!,
        };
        const ofPolicy = policyLoss(surrogate, clipRange);
        let beside: Tensor | undefined; // what the loss has beside the surrogate
        let coefficient = 0;
        if (options.advantages === "gae") {
          const values = responseValues(weights, states);
          const [oldValues, returns] = others as [Tensor, Tensor];
          const fit = { values, oldValues, returns, weights: tokenWeights! };
          beside = valueLoss(fit, options.valueClipRange);
          coefficient = options.valueCoefficient;
        } else if (options.advantages === "grpo") {
          beside = klLoss(logprobs, others[0]!, tokenWeights!);
          coefficient = options.klCoefficient;
        }
        const losses = tf.stack([ofPolicy, ...(beside ? [beside] : [])]);
        parts = [losses, ratioSums(surrogate, clipRange)].map((part) => tf.keep(part));
        if (!beside) return ofPolicy;
        const weighted = tf.mul(beside, coefficient);
        return trainsPolicy ? tf.add(ofPolicy, weighted) : weighted;
      };
      const names = [...(trainsPolicy ? weights : valueHead!).keys()];
      const { value, grads } = tf.engine().gradients(
        loss,
        names.map((name) => weights.get(name)!),
      );
      optimizer.accumulate(new Map(names.map((name, i) => [name, grads[i]!])));
      return [value, ...parts];
    });
  const ppo = backward(true);
  const valueWarmup = backward(false);
  const besideName = { gae: "valueLoss", grpo: "klLoss", rloo: undefined }[options.advantages];

  return {
    update(experiences, rates, rng) {
      const sums = {
        policyLoss: 0,
        besideLoss: 0,
        gradNorm: 0,
        clipped: 0,
        k3: 0,
        ratio: 0,
        tokens: 0,
      };
      let updates = 0;
      let firstClipFraction = 0;
      for (const miniBatch of miniBatches(experiences, ppoEpochs, miniBatchSize, rng)) {
        for (const part of splitByTokens(miniBatch, options.microBatchTokens)) {
          const inputs = microBatchTensors(part, options);
          const [, losses, ratios] = take((rates.policy === null ? valueWarmup : ppo)(...inputs));
          tf.dispose(inputs);
          sums.policyLoss += losses![0]!;
          sums.besideLoss += losses![1] ?? 0;
          sums.clipped += ratios![0]!;
          sums.k3 += ratios![1]!;
          sums.ratio += ratios![2]!;
          sums.tokens += countTokens(part);
        }
        if (updates === 0) firstClipFraction = sums.clipped / sums.tokens;
        sums.gradNorm += optimizer.update([rates.policy, rates.valueHead]);
        updates++;
      }
      return {
        ...(valueHead && { explainedVariance: explainedVariance(experiences) }),
        policyLoss: sums.policyLoss / updates,
        ...(besideName && { [besideName]: sums.besideLoss / updates }),
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

/** Minibatches of a few passes. For each pass the questions are shuffled anew; what belongs to one stays together and shares its prompt. */
export function* miniBatches<S extends Sequence>(
  sequences: readonly S[],
  passes: number,
  miniBatchSize: number,
  rng: Rng,
): Generator<S[]> {
  for (let pass = 0; pass < passes; pass++) {
    const order = rng.shuffled(groupByQuestion(sequences)).flat();
    for (let begin = 0; begin < order.length; begin += miniBatchSize)
      yield order.slice(begin, begin + miniBatchSize);
  }
}

/** Response tokens of sequences. */
export function countTokens(sequences: readonly Sequence[]): number {
  return sequences.reduce((total, { response }) => total + response.length, 0);
}

/**
 * A microbatch as the compiled step takes it. Weights: mean over a response's tokens, then over the minibatch. RLOO takes a
 * response as one action, whose log-probability is the sum over its tokens: there the tokens are summed. A last minibatch that lacks
 * responses, because the sandbox failed to run some, counts for that much less.
 */
function microBatchTensors(
  part: readonly CreditedExperience[],
  { advantages, miniBatchSize, microBatchTokens }: UpdateOptions,
): Tensor[] {
  const batch = packSequences(part, microBatchTokens);
  const perToken = (of: (experience: CreditedExperience) => Float32Array) =>
    tf.tensor1d(joinPredictions(batch, part.map(of)));
  const weightOf = ({ length }: readonly number[]) =>
    1 / ((advantages === "rloo" ? 1 : length) * miniBatchSize);
  const others = {
    gae: () => [perToken(({ values }) => values), perToken(({ returns }) => returns)],
    grpo: () => [perToken(({ referenceLogprobs }) => referenceLogprobs)],
    rloo: () => [],
  };
  return [
    ...batchTensors(batch),
    perToken(({ response }) => new Float32Array(response.length).fill(weightOf(response))),
    perToken(({ logprobs }) => logprobs),
    perToken(({ advantages }) => advantages),
    ...others[advantages](),
  ];
}
