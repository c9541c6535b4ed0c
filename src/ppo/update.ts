// Optimises the policy, and the value head if there is one, on one credited rollout: a few passes of minibatches, each cut into
// microbatches.
import type { PpoConfig } from "../config.ts";
import { joinPredictions, packSequences, type Sequence, splitByTokens } from "../data/batch.ts";
import { compileNamed, type Tensors } from "../engine/compile.ts";
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
import { readWeights, type Weights } from "../model/transformer.ts";
import type { Rng } from "../rng.ts";
import type { CreditedExperience } from "./credit.ts";
import { policyLoss, ratioSums } from "./loss.ts";
import type { Objective } from "./objectives/objective.ts";
import { groupByQuestion } from "./rollout.ts";
import { explainedVariance } from "./summary.ts";
import { tokenWeight } from "./weights.ts";

type UpdateOptions = Pick<PpoConfig, "clipRange" | "ppoEpochs" | "miniBatchSize"> & {
  readonly microBatchTokens: number;
};

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

/** What is trained: the policy and, where the objective needs one, a value head on its hidden states. */
interface Trained {
  readonly policy: Model;
  readonly valueHead: ReadonlyMap<string, Variable> | undefined;
}

/**
 * Makes the updates of rollouts.
 *
 * @param valueHead where the objective needs one, and only then
 * @param optimizer of one or two groups: the policy's variables, then the value head's
 */
export function createUpdater(
  policy: Model,
  valueHead: ReadonlyMap<string, Variable> | undefined,
  optimizer: AdamW,
  objective: Objective,
  options: UpdateOptions,
): Updater {
  const { ppoEpochs, miniBatchSize, microBatchTokens } = options;
  const trained = { policy, valueHead };
  const ppo = createStep(trained, optimizer, objective, options, true);
  const valueWarmup = createStep(trained, optimizer, objective, options, false);

  return {
    update(experiences, rates, rng) {
      const sums = { policyLoss: 0, termLoss: 0, gradNorm: 0, clipped: 0, k3: 0, ratio: 0 };
      let [updates, tokens, firstClipFraction] = [0, 0, 0];
      const step = rates.policy === null ? valueWarmup : ppo;
      for (const miniBatch of miniBatches(experiences, ppoEpochs, miniBatchSize, rng)) {
        for (const part of splitByTokens(miniBatch, microBatchTokens)) {
          const inputs = microBatchTensors(part, objective, options);
          const figures = read(step(inputs));
          tf.dispose(Object.values(inputs));
          for (const [name, figure] of Object.entries(figures))
            sums[name as keyof typeof sums] += figure;
          tokens += countTokens(part);
        }
        if (updates === 0) firstClipFraction = sums.clipped / tokens;
        sums.gradNorm += optimizer.update([rates.policy, rates.valueHead]);
        updates++;
      }
      return {
        ...(valueHead && { explainedVariance: explainedVariance(experiences) }),
        policyLoss: sums.policyLoss / updates,
        ...(objective.term && { [objective.term.name]: sums.termLoss / updates }),
        gradNorm: sums.gradNorm / updates,
        clipFraction: sums.clipped / tokens,
        approxKl: sums.k3 / tokens,
        meanRatio: sums.ratio / tokens,
        firstClipFraction,
      };
    },
    dispose() {
      ppo.dispose();
      valueWarmup.dispose();
    },
  };
}

/**
 * Compiles loss and gradients of one microbatch; the gradients go to the optimizer.
 *
 * @param trainsPolicy false: the term of the value head alone
 */
function createStep(
  { policy, valueHead }: Trained,
  optimizer: AdamW,
  objective: Objective,
  { clipRange }: UpdateOptions,
  trainsPolicy: boolean,
) {
  const { term } = objective;
  const losses = (weights: Weights, inputs: MicroBatch) => {
    const { targets, tokenWeights, oldLogprobs, advantages } = inputs;
    const places = [inputs.tokens, inputs.positions, inputs.visible, inputs.places];
    const states = predictingStates(policy.config, weights, places);
    const logprobs = responseLogprobs(policy.config, weights, states, targets);
    const surrogate = { logprobs, oldLogprobs, advantages, weights: tokenWeights };
    const ofPolicy = policyLoss(surrogate, clipRange);
    const figures = { policyLoss: ofPolicy, ...ratioSums(surrogate, clipRange) };
    if (!term) return { loss: ofPolicy, figures };
    const values = valueHead && responseValues(weights, states);
    const termLoss = term.loss({ logprobs, ...(values && { values }) }, inputs, tokenWeights);
    const weighted = tf.mul(termLoss, term.coefficient);
    const loss = trainsPolicy ? tf.add(ofPolicy, weighted) : weighted;
    return { loss, figures: { ...figures, termLoss } };
  };
  return compileNamed(trainsPolicy ? "ppo" : "value_warmup", (inputs: MicroBatch) => {
    const weights = readWeights(new Map([...policy.parameters, ...(valueHead ?? [])]));
    const names = [...(trainsPolicy ? weights : valueHead!).keys()];
    let figures: Tensors = {};
    const { grads } = tf.engine().gradients(
      () => {
        const made = losses(weights, inputs);
        figures = made.figures;
        for (const figure of Object.values(figures)) tf.keep(figure); // outlive the tape
        return made.loss;
      },
      names.map((name) => weights.get(name)!),
    );
    optimizer.accumulate(new Map(names.map((name, i) => [name, grads[i]!])));
    return figures;
  });
}

/** Reads scalars back and disposes them. */
function read(figures: Tensors): Record<string, number> {
  const values = take(Object.values(figures));
  return Object.fromEntries(Object.keys(figures).map((name, i) => [name, values[i]![0]!]));
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

/** What the compiled step takes: a packed batch, and [predictions] of each number per token; also what the objective's term needs. */
interface MicroBatch extends Tensors {
  readonly tokens: Tensor;
  readonly positions: Tensor;
  readonly visible: Tensor;
  readonly places: Tensor;
  readonly targets: Tensor;
  readonly tokenWeights: Tensor;
  readonly oldLogprobs: Tensor;
  readonly advantages: Tensor;
}

function microBatchTensors(
  part: readonly CreditedExperience[],
  { term, lossMean }: Objective,
  options: UpdateOptions,
): MicroBatch {
  const batch = packSequences(part, options.microBatchTokens);
  const perToken = (of: (experience: CreditedExperience) => Float32Array) =>
    tf.tensor1d(joinPredictions(batch, part.map(of)));
  const [tokens, positions, visible, places, targets] = batchTensors(batch);
  const termInputs = term ? Object.keys(term.inputs(part[0]!)) : [];
  return {
    ...{ tokens, positions, visible, places, targets },
    tokenWeights: perToken(({ response: { length } }) =>
      new Float32Array(length).fill(tokenWeight(lossMean, length, options)),
    ),
    oldLogprobs: perToken(({ logprobs }) => logprobs),
    advantages: perToken(({ advantages }) => advantages),
    ...Object.fromEntries(
      termInputs.map((name) => [name, perToken((experience) => term!.inputs(experience)[name]!)]),
    ),
  };
}
