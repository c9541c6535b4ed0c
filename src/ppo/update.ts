// Optimises the policy, and the value head if there is one, on one credited rollout: a few passes of minibatches, each cut into
// microbatches.
import type { PpoConfig } from "../config.ts";
import { compileNamed, type Tensors } from "../engine/compile.ts";
import { logProbabilityOf } from "../engine/kernels/kernels.ts";
import { entropyOf } from "../engine/ops.ts";
import { type AdamW, type GuardedUpdate, updateIfFinite } from "../engine/optimizer.ts";
import { readAndDispose, type Tensor, tf } from "../engine/tf.ts";
import type { Variable } from "../engine/variable.ts";
import type { BackwardOptions } from "../model/backward.ts";
import {
  inputLength,
  joinPredictions,
  type PackedBatch,
  packSequences,
  type Sequence,
  splitByTokens,
} from "../model/batch.ts";
import { type Model, trainedVariables } from "../model/model.ts";
import { type BatchTensors, batchTensors, predictingStates } from "../model/score.ts";
import { logits } from "../model/transformer.ts";
import { responseValues } from "../model/valueHead.ts";
import { readWeights, type Weights } from "../model/weights.ts";
import { gather, shareOf } from "../ranks.ts";
import type { Rng } from "../rng.ts";
import type { CreditedExperience } from "./credit.ts";
import { type ClipRange, policyLoss, ratioSums } from "./loss.ts";
import type { Objective, Predicted } from "./objectives/objective.ts";
import { groupByQuestion } from "./rollout.ts";
import { explainedVariance } from "./summary.ts";
import { type LossSizes, tokenWeight } from "./weights.ts";

type UpdateOptions = Pick<
  PpoConfig,
  | "clipRange"
  | "upperClipRange"
  | "entropyCoefficient"
  | "maskTruncated"
  | "ppoEpochs"
  | "miniBatchSize"
> & { readonly maxNewTokens: number } & BackwardOptions;

/** Means over the rollout's updates; 0 when there was none, because all of it is masked or skipped. */
export interface UpdateMetrics extends Pick<GuardedUpdate, "skipped"> {
  /** With the advantages "gae"; of the values at the time of sampling. */
  readonly explainedVariance?: number;
  readonly policyLoss: number;
  /** With the advantages "gae". */
  readonly valueLoss?: number;
  /** With the advantages "grpo". */
  readonly klLoss?: number;
  /** With an entropy coefficient: mean entropy per token. */
  readonly entropy?: number;
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
  const isLearned = ({ answer }: CreditedExperience) =>
    !(options.maskTruncated && answer.response.isTruncated);

  return {
    update(experiences, rates, rng) {
      let sums = nothing;
      let [updates, tokens, firstClipFraction] = [0, 0, 0];
      const skipped: UpdateMetrics["skipped"][number][] = [];
      const step = rates.policy === null ? valueWarmup : ppo;
      const rolloutTokens = countTokens(experiences.filter(isLearned));
      for (const miniBatch of miniBatches(experiences, ppoEpochs, miniBatchSize, rng)) {
        const learned = miniBatch.filter(isLearned);
        if (learned.length === 0) continue;
        const sizes = {
          ...{ miniBatchSize, maxNewTokens: options.maxNewTokens },
          miniBatchTokens: countTokens(learned),
          rolloutTokensPerMiniBatch: (rolloutTokens * miniBatchSize) / experiences.length,
        };
        const own = splitByTokens(shareOf(learned, inputLength), microBatchTokens);
        const figures = own.map((part) => {
          const inputs = microBatchTensors(part, objective, options, sizes);
          const ofPart = read(step(inputs));
          tf.dispose(Object.values(inputs));
          return ofPart;
        });
        const after = gather(figures).reduce<Sums>(plus, sums);
        const made = updateIfFinite(optimizer, [rates.policy, rates.valueHead], after);
        skipped.push(...made.skipped);
        if (made.skipped.length > 0) continue;
        sums = plus(after, { gradNorm: made.gradNorm });
        tokens += sizes.miniBatchTokens;
        if (updates === 0) firstClipFraction = sums.clipped / tokens;
        updates++;
      }
      return {
        ...(valueHead &&
          experiences.length > 0 && { explainedVariance: explainedVariance(experiences) }),
        ...meansOf(sums, updates, tokens, objective, options),
        firstClipFraction,
        skipped,
      };
    },
    dispose() {
      ppo.dispose();
      valueWarmup.dispose();
    },
  };
}

/** Figures of a rollout's updates, added up over its microbatches; `gradNorm` over its updates. */
type Sums = Readonly<Record<keyof typeof nothing, number>>;

const nothing = {
  ...{ policyLoss: 0, termLoss: 0, entropy: 0, gradNorm: 0 },
  ...{ clipped: 0, k3: 0, ratio: 0 },
};

function plus(sums: Sums, figures: Partial<Sums>): Sums {
  const added = Object.entries(figures).map(([name, figure]) => [
    name,
    sums[name as keyof Sums] + figure,
  ]);
  return { ...sums, ...Object.fromEntries(added) };
}

function meansOf(
  sums: Sums,
  updates: number,
  tokens: number,
  { term }: Objective,
  { entropyCoefficient }: UpdateOptions,
) {
  const perUpdate = (sum: number) => sum / Math.max(1, updates);
  const perToken = (sum: number) => sum / Math.max(1, tokens);
  return {
    policyLoss: perUpdate(sums.policyLoss),
    ...(term && { [term.name]: perUpdate(sums.termLoss) }),
    ...(entropyCoefficient && { entropy: perUpdate(sums.entropy) }),
    gradNorm: perUpdate(sums.gradNorm),
    clipFraction: perToken(sums.clipped),
    approxKl: perToken(sums.k3),
    meanRatio: perToken(sums.ratio),
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
  options: UpdateOptions,
  trainsPolicy: boolean,
) {
  return compileNamed(trainsPolicy ? "ppo" : "value_warmup", (inputs: MicroBatch) => {
    const weights = readWeights(policy, { heads: valueHead, recompute: options.recompute });
    const ofPolicy = trainsPolicy ? trainedVariables(policy).keys() : [];
    const names = [...ofPolicy, ...(valueHead?.keys() ?? [])];
    let figures: Tensors = {};
    const { grads } = tf.engine().gradients(
      () => {
        const predicted = predict(policy, valueHead, weights, inputs);
        const losses = lossesOf(predicted, inputs, objective, options);
        figures = losses.figures;
        for (const figure of Object.values(figures)) tf.keep(figure); // outlive the tape
        return trainsPolicy ? losses.loss : losses.ofTerm!;
      },
      names.map((name) => weights.tensors.get(name)!),
    );
    optimizer.accumulate(new Map(names.map((name, i) => [name, grads[i]!])));
    return figures;
  });
}

/** What the weights say about the tokens of a microbatch: [predictions, vocabSize] logits, [predictions] the others. */
interface Prediction extends Predicted {
  readonly logits: Tensor;
}

function predict(
  { config }: Model,
  valueHead: Trained["valueHead"],
  weights: Weights,
  inputs: MicroBatch,
): Prediction {
  const states = predictingStates(config, weights, inputs);
  const scores = logits(config, weights, states);
  return {
    logits: scores,
    logprobs: logProbabilityOf(scores, inputs.targets),
    ...(valueHead && { values: responseValues(weights, states) }),
  };
}

/** The loss of a microbatch: the clipped surrogate, the objective's own term, less the entropy. */
function lossesOf(
  predicted: Prediction,
  inputs: MicroBatch,
  { term }: Objective,
  { clipRange, upperClipRange, entropyCoefficient }: UpdateOptions,
): { loss: Tensor; ofTerm?: Tensor; figures: Tensors } {
  const { tokenWeights: weights, oldLogprobs, advantages, responseIndex, responseShares } = inputs;
  const surrogate = {
    ...{ logprobs: predicted.logprobs, oldLogprobs, advantages, weights },
    ...(responseIndex && { responses: { index: responseIndex, shares: responseShares! } }),
  };
  const range: ClipRange = { below: clipRange, above: upperClipRange ?? clipRange };
  const ofPolicy = policyLoss(surrogate, range);
  const termLoss = term?.loss(predicted, inputs, weights);
  const ofTerm = termLoss && tf.mul(termLoss, term!.coefficient);
  const entropy =
    inputs.entropyWeights && tf.sum(tf.mul(entropyOf(predicted.logits), inputs.entropyWeights));
  const withTerm = ofTerm ? tf.add(ofPolicy, ofTerm) : ofPolicy;
  return {
    loss: entropy ? tf.sub(withTerm, tf.mul(entropy, entropyCoefficient!)) : withTerm,
    ...(ofTerm && { ofTerm }),
    figures: {
      policyLoss: ofPolicy,
      ...(termLoss && { termLoss }),
      ...(entropy && { entropy }),
      ...ratioSums(surrogate, range),
    },
  };
}

/** Reads scalars back and disposes them. */
function read(figures: Tensors): Record<string, number> {
  const values = readAndDispose(Object.values(figures));
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

/**
 * What the compiled step takes: a packed batch, and [predictions] numbers per token. Some are there only where they are needed: those
 * of the objective's term; `responseIndex` and `responseShares` for a ratio of whole responses; `entropyWeights`.
 */
interface MicroBatch extends BatchTensors {
  readonly tokenWeights: Tensor;
  readonly oldLogprobs: Tensor;
  readonly advantages: Tensor;
}

function microBatchTensors(
  part: readonly CreditedExperience[],
  { term, lossMean, ratio }: Objective,
  options: UpdateOptions,
  sizes: LossSizes,
): MicroBatch {
  const batch = packSequences(part, options.microBatchTokens);
  const perToken = (of: (experience: CreditedExperience) => Float32Array) =>
    tf.tensor1d(joinPredictions(batch, part.map(of)));
  /** The same number for all tokens of a response. */
  const perResponse = (of: (length: number) => number) =>
    perToken(({ response: { length } }) => new Float32Array(length).fill(of(length)));
  const termInputs = term ? Object.keys(term.inputs(part[0]!)) : [];
  return {
    ...batchTensors(batch),
    tokenWeights: perResponse((length) => tokenWeight(lossMean, length, sizes)),
    oldLogprobs: perToken(({ logprobs }) => logprobs),
    advantages: perToken(({ advantages }) => advantages),
    ...Object.fromEntries(
      termInputs.map((name) => [name, perToken((experience) => term!.inputs(experience)[name]!)]),
    ),
    ...(ratio !== "token" && {
      responseIndex: responseIndex(batch, part),
      responseShares: perResponse((length) => (ratio === "responseMean" ? 1 / length : 1)),
    }),
    ...(options.entropyCoefficient && {
      entropyWeights: perResponse(() => 1 / sizes.miniBatchTokens),
    }),
  };
}

/** The number of the response that each predicted token belongs to; padding counts to the first one, with a share of 0. */
function responseIndex(batch: PackedBatch, part: readonly Sequence[]): Tensor {
  const numbers = part.map(({ response }, i) => new Float32Array(response.length).fill(i));
  return tf.tensor1d(joinPredictions(batch, numbers), "int32");
}
