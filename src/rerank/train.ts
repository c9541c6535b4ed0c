// The reranker: a classifier learns to tell right answers from wrong ones, on samples that were run and judged. At test time the
// answer that it likes best is taken. Reference: Trung et al., arXiv 2401.08967, section 4.2.
//
// One step is one update on `batchSize` samples. The order of the data is a function of seed and epoch alone, so a checkpoint
// needs to know only how many steps it has seen.
import { join } from "node:path";
import type { RerankConfig } from "../config.ts";
import { createEpochs } from "../data/epochs.ts";
import { saveTokenizer } from "../data/tokenizer.ts";
import { AdamW } from "../engine/optimizer.ts";
import { usePrecision } from "../engine/products.ts";
import { rerankAtK } from "../evaluate/atK.ts";
import { type Pool, poolsOf } from "../evaluate/pools.ts";
import { type Candidate, createVote } from "../evaluate/vote.ts";
import {
  type Classifier,
  createClassifier,
  createClassifierScorer,
  disposeClassifier,
  headsOf,
  loadClassifier,
  probabilitiesOf,
  saveClassifier,
} from "../model/classifier.ts";
import { endTokens } from "../model/ending.ts";
import { trainedVariables } from "../model/model.ts";
import { percent } from "../progress.ts";
import type { TrainOptions } from "../reward/openReward.ts";
import { createSkips, notFinite } from "../run/alarms.ts";
import type { ForkOptions } from "../run/fork.ts";
import { checkInputs, hashInputs, type InputHashes } from "../run/inputs.ts";
import { watchInterrupts } from "../run/interrupts.ts";
import { watchMemory } from "../run/memoryWatch.ts";
import { writeCalibration, writeSamples } from "../run/metrics.ts";
import { loadOptimizer, saveOptimizer } from "../run/optimizerFile.ts";
import { openRun } from "../run/run.ts";
import { createScheduledUpdate } from "../run/scheduledUpdate.ts";
import { runSteps } from "../run/steps.ts";
import { baseOf, openTrained } from "../run/trainedModel.ts";
import { say } from "../terminal.ts";
import { createClassifierBackward } from "./backward.ts";
import {
  expectedCalibrationError,
  meanLoss,
  reliabilityTable,
  summarisePredictions,
} from "./calibration.ts";
import { type LabelledSamples, spreadProbabilities } from "./input.ts";
import {
  correctFraction,
  forecastRerank,
  type RerankStart,
  readRerankStart,
  rerankSteps,
} from "./start.ts";

/** What the recipe remembers between checkpoints. */
interface RerankState {
  /** null before the first measurement. */
  readonly best: { readonly accuracy: number; readonly loss: number } | null;
  /** Steps in a row; absent in checkpoints from before there were such steps. */
  readonly skippedSteps?: number;
  readonly inputs: InputHashes;
}

/**
 * Trains, or goes on training, a correctness classifier in a run's folder.
 *
 * @returns the best accuracy on the dev questions, when of all samples the one that the classifier likes best is taken
 * @throws UserError for bad settings or data, too many steps in a row that are not finite, a full disk; InterruptedError after Ctrl-C
 */
export async function trainRerank(
  config: RerankConfig,
  folder: string,
  { trialSteps, fork }: TrainOptions & ForkOptions = {},
): Promise<number> {
  using run = openRun(folder, config, undefined, fork);
  await using interrupts = watchInterrupts();
  usePrecision(config.precision);
  const { data, optimizer, training, evaluation } = config;

  // 1. the model whose answers it will judge, with a fresh head; samples, each text once
  const resume = run.resumeFrom;
  const resumed = resume?.state as RerankState | undefined;
  const start = readRerankStart(config, resume?.folder);
  const { tokenizer, train, dev, devGroups } = start;
  const memory = watchMemory(forecastRerank(config, start));
  const classifier = openClassifier(config, start, resume?.folder);
  const read = { samples: data.samples, devSamples: data.devSamples };
  const inputs = hashInputs({ ...read, ...baseOf(classifier.model) });
  checkInputs(resumed?.inputs, inputs);
  const parameters = [
    ...trainedVariables(classifier.model).values(),
    ...headsOf(classifier).values(),
  ];
  const weights = parameters.reduce((sum, { size }) => sum + size, 0);
  say(
    `Rerank: ${describeSamples(train)}; dev: ${describeSamples(dev)}, ${devGroups.length} questions; ` +
      `${(weights / 1e6).toFixed(2)} M weights, in ${folder}`,
  );

  // 2. optimizer and compiled steps
  const adamW = new AdamW([{ variables: parameters }], optimizer);
  if (resume) loadOptimizer(adamW, join(resume.folder, "training"));
  const backward = createClassifierBackward(classifier, adamW, training);
  const scorer = createClassifierScorer(classifier);

  const { perEpoch: stepsPerEpoch, total: totalSteps } = rerankSteps(config, start);
  const batchOf = createEpochs(train.sequences, training.batchSize, stepsPerEpoch, config.seed);
  const horizon = stepsPerEpoch * training.scheduleEpochs;
  const update = createScheduledUpdate(adamW, optimizer, horizon);
  const skips = createSkips(run, config.alarms?.maxSkippedSteps, resumed?.skippedSteps);
  let best = resumed?.best ?? null;

  const measure = (step: number) => {
    const logits = scorer.logits(dev.sequences, training.microBatchTokens);
    const probabilities = probabilitiesOf(logits);
    const predictions = dev.sequences.map(({ id, sample, correct }, i) => ({
      ...{ id, sample, correct },
      probability: probabilities[i]!,
    }));
    const table = reliabilityTable(predictions);
    const loss = meanLoss(
      logits,
      predictions.map(({ correct }) => correct),
    );
    if (!Number.isFinite(loss)) throw notFinite(run, step, { "eval/loss": loss });
    writeSamples(run, step, predictions);
    writeCalibration(run, step, table);
    const choices = measureChoices(
      poolsOf(devGroups, spreadProbabilities(devGroups, dev.sequences, probabilities)),
    );
    const accuracy = choices.rerankingAccuracy;
    const isBest =
      best === null || accuracy > best.accuracy || (accuracy === best.accuracy && loss < best.loss);
    if (isBest) best = { accuracy, loss };
    const measured = {
      loss,
      ...summarisePredictions(predictions),
      calibrationError: expectedCalibrationError(table),
      ...choices,
    };
    const figures = Object.entries(measured).map(([name, value]) => [`eval/${name}`, value]);
    return { isBest, figures: Object.fromEntries(figures) as Record<string, number> };
  };

  // 3. one update: the mean loss over the samples of the global batch
  const takeStep = (step: number) => {
    const batch = batchOf(step);
    const loss = backward(batch);
    const { learningRate, gradNorm, skipped } = update(step, loss);
    return {
      "rerank/loss": loss,
      "rerank/learningRate": learningRate,
      "rerank/gradNorm": gradNorm,
      "rerank/correctFraction": correctFraction(batch),
      ...skips.after(step + 1, skipped),
    };
  };

  const plan = {
    label: "Rerank",
    totalSteps,
    stepsPerEpoch,
    measuresStart: false,
    measureEverySteps: stepsPerEpoch * evaluation.everyEpochs,
    saveEverySteps: config.checkpoint.everySteps,
    ...{ memory, trialSteps },
  };
  try {
    await runSteps(run, interrupts, plan, {
      step: takeStep,
      measure,
      save: (target, trainingFolder) => {
        saveClassifier(classifier, target);
        saveTokenizer(tokenizer, target);
        saveOptimizer(adamW, trainingFolder);
      },
      state: () => ({ best, skippedSteps: skips.inARow(), inputs }) satisfies RerankState,
      shown: (figures) => ({
        loss: figures["rerank/loss"]!.toFixed(3),
        ...(best && { dev: percent(best.accuracy) }),
      }),
    });
  } finally {
    scorer.dispose();
    backward.dispose();
    adamW.dispose();
    disposeClassifier(classifier);
  }
  return best?.accuracy ?? -1;
}

/** The checkpoint's classifier when going on; else the model that the run starts from, with a fresh head. */
function openClassifier(
  config: RerankConfig,
  { folder, tokenizer }: RerankStart,
  checkpointFolder: string | undefined,
): Classifier {
  if (checkpointFolder) return loadClassifier(checkpointFolder, config.model.weights);
  const model = openTrained(tokenizer, folder, { ...config.model, ...config });
  // What is read ends in the tokenizer's EOS, whatever the model's own list says.
  const eosIds = endTokens(model, tokenizer);
  const ending = { ...model, config: { ...model.config, eosIds } };
  return createClassifier(ending, config.seed);
}

function describeSamples(samples: LabelledSamples): string {
  const { sequences, duplicates, infrastructureFailures, tooLong } = samples;
  return (
    `${sequences.length} samples, ${percent(correctFraction(sequences))} right ` +
    `(left out: ${duplicates} duplicates, ${infrastructureFailures} that the sandbox could not run, ${tooLong} too long)`
  );
}

/** Shares of the questions answered right when one answer is chosen from all samples; at best, by who knows the gold answer. */
function measureChoices(pools: readonly Pool[]) {
  const share = (isRight: (pool: readonly Candidate[]) => boolean) =>
    pools.filter(({ candidates }) => isRight(candidates)).length / pools.length;
  const isVoteRight = (pool: readonly Candidate[], weightOf: (candidate: Candidate) => number) =>
    createVote(pool)([...pool.keys()], weightOf)?.correct ?? false;
  return {
    votingAccuracy: share((pool) => isVoteRight(pool, () => 1)),
    weightedVotingAccuracy: share((pool) => isVoteRight(pool, ({ probability }) => probability!)),
    rerankingAccuracy: share((pool) => rerankAtK(pool, pool.length) === 1),
    upperBound: share((pool) => pool.some(({ correct }) => correct)),
  };
}
