// The reranker: a classifier learns to tell right answers from wrong ones, on samples that were run and judged. At test time the
// answer that it likes best is taken. Reference: Trung et al., arXiv 2401.08967, section 4.2.
//
// One step is one update on `batchSize` samples. The order of the data is a function of seed and epoch alone, so a checkpoint
// needs to know only how many steps it has seen.
import { join } from "node:path";
import type { RerankConfig } from "../config.ts";
import { createEpochs } from "../data/epochs.ts";
import { loadTokenizer, saveTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { AdamW } from "../engine/optimizer.ts";
import { usePrecision } from "../engine/products.ts";
import { UserError } from "../errors.ts";
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
import { trainedVariables } from "../model/model.ts";
import { readSampleGroups } from "../reward/samples.ts";
import { createSkips, notFinite } from "../run/alarms.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import type { ForkOptions } from "../run/fork.ts";
import { checkInputs, hashInputs, type InputHashes } from "../run/inputs.ts";
import { watchInterrupts } from "../run/interrupts.ts";
import { writeCalibration, writeSamples } from "../run/metrics.ts";
import { endTokens } from "../run/modelFolder.ts";
import { loadOptimizer, saveOptimizer } from "../run/optimizerFile.ts";
import { percent } from "../run/progress.ts";
import { openRun } from "../run/run.ts";
import { createScheduledUpdate } from "../run/scheduledUpdate.ts";
import { runSteps } from "../run/steps.ts";
import { baseOf, openTrained } from "../run/trainedModel.ts";
import { say } from "../terminal.ts";
import { createBackward } from "./backward.ts";
import {
  expectedCalibrationError,
  meanLoss,
  reliabilityTable,
  summarisePredictions,
} from "./calibration.ts";
import { type LabelledSamples, labelSamples, spreadProbabilities } from "./input.ts";

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
 * @throws UserError for bad settings or data, a loss that is not finite, a full disk; InterruptedError after Ctrl-C
 */
export async function trainRerank(
  config: RerankConfig,
  folder: string,
  { fork }: ForkOptions = {},
): Promise<number> {
  using run = openRun(folder, config, undefined, fork);
  await using interrupts = watchInterrupts();
  usePrecision(config.precision);
  const { data, optimizer, training, evaluation } = config;

  // 1. the model whose answers it will judge, with a fresh head; samples, each text once
  const resume = run.resumeFrom;
  const resumed = resume?.state as RerankState | undefined;
  const { classifier, tokenizer } = openClassifier(config, resume?.folder);
  const read = { samples: data.samples, devSamples: data.devSamples };
  const inputs = hashInputs({ ...read, ...baseOf(classifier.model) });
  checkInputs(resumed?.inputs, inputs);
  const { maxPositions } = classifier.model.config;
  if (data.maxTokens > maxPositions) {
    throw new UserError(
      `the settings allow ${data.maxTokens} tokens of prompt and answer, but the model has ${maxPositions} positions; ` +
        "lower data.maxTokens",
    );
  }
  const train = labelSamples(tokenizer, readSampleGroups(data.samples), data.maxTokens);
  const devGroups = readSampleGroups(data.devSamples);
  const dev = labelSamples(tokenizer, devGroups, data.maxTokens);
  checkNotEmpty(data.samples, train, data.maxTokens);
  checkNotEmpty(data.devSamples, dev, data.maxTokens);
  checkBothLabels(data.samples, train);
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
  const backward = createBackward(classifier, adamW, training);
  const scorer = createClassifierScorer(classifier);

  const stepsPerEpoch = Math.ceil(train.sequences.length / training.batchSize);
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
    totalSteps: stepsPerEpoch * training.epochs,
    stepsPerEpoch,
    measuresStart: false,
    measureEverySteps: stepsPerEpoch * evaluation.everyEpochs,
    saveEverySteps: config.checkpoint.everySteps,
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
  return best!.accuracy;
}

/** The checkpoint's classifier when going on; else the model that the run starts from, with a fresh head. */
function openClassifier(
  config: RerankConfig,
  checkpointFolder: string | undefined,
): { classifier: Classifier; tokenizer: Tokenizer } {
  if (checkpointFolder) {
    const tokenizer = loadTokenizer(checkpointFolder);
    return { classifier: loadClassifier(checkpointFolder, config.model.weights), tokenizer };
  }
  const { init } = config.model;
  const { model, tokenizer } = openTrained(resolveModelFolder(init), {
    ...config.model,
    ...config,
  });
  // What is read ends in the tokenizer's EOS, whatever the model's own list says.
  const eosIds = endTokens(model, tokenizer);
  const ending = { ...model, config: { ...model.config, eosIds } };
  return { classifier: createClassifier(ending, config.seed), tokenizer };
}

function correctFraction(sequences: readonly { readonly correct: boolean }[]): number {
  return sequences.filter(({ correct }) => correct).length / sequences.length;
}

function describeSamples(samples: LabelledSamples): string {
  const { sequences, duplicates, infrastructureFailures, tooLong } = samples;
  return (
    `${sequences.length} samples, ${percent(correctFraction(sequences))} right ` +
    `(left out: ${duplicates} duplicates, ${infrastructureFailures} that the sandbox could not run, ${tooLong} too long)`
  );
}

/** @throws UserError when no sample is left */
function checkNotEmpty(path: string, samples: LabelledSamples, maxTokens: number): void {
  if (samples.sequences.length > 0) return;
  const { tooLong, infrastructureFailures } = samples;
  throw new UserError(
    `${path}: expected samples that the sandbox could run, with at most ${maxTokens} tokens of question and answer, ` +
      `found none: ${tooLong} are longer, ${infrastructureFailures} could not be run; ` +
      (tooLong > 0 ? "raise data.maxTokens" : "sample again"),
  );
}

/** @throws UserError when there is nothing to tell apart */
function checkBothLabels(path: string, { sequences }: LabelledSamples): void {
  const share = correctFraction(sequences);
  if (share > 0 && share < 1) return;
  throw new UserError(
    `${path}: expected right and wrong samples to tell apart, found ${sequences.length} that are all ` +
      (share === 1
        ? "right: sample answers to harder questions"
        : "wrong: sample more answers, to easier questions, or from a model that was trained for longer"),
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
