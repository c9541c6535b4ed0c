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
import type { Variable } from "../engine/variable.ts";
import { rerankAtK } from "../evaluate/atK.ts";
import { type Pool, poolsOf } from "../evaluate/pools.ts";
import { type Candidate, createVote } from "../evaluate/vote.ts";
import {
  type Classifier,
  type ClassifierScorer,
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
import { readFileOf, writeAbout } from "../run/about.ts";
import { createSkips, notFinite, type Skips } from "../run/alarms.ts";
import type { ForkOptions } from "../run/fork.ts";
import { checkInputs, hashInputs, type InputHashes } from "../run/inputs.ts";
import { watchInterrupts } from "../run/interrupts.ts";
import { watchMemory } from "../run/memoryWatch.ts";
import { writeCalibration, writeSamples } from "../run/metrics.ts";
import { loadOptimizer, saveOptimizer } from "../run/optimizerFile.ts";
import { openRun, type Run } from "../run/run.ts";
import { createScheduledUpdate } from "../run/scheduledUpdate.ts";
import { type Figures, type Measurement, runSteps } from "../run/steps.ts";
import { baseOf, openTrained } from "../run/trainedModel.ts";
import { say } from "../terminal.ts";
import { type Backward, createClassifierBackward } from "./backward.ts";
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

  // 1. samples, each text once, and what of memory they will ask for
  const resume = run.resumeFrom;
  const resumed = resume?.state as RerankState | undefined;
  const start = readRerankStart(config, resume?.folder);
  const { tokenizer, train, dev, devGroups } = start;
  const memory = watchMemory(forecastRerank(config, start));

  // 2. the model whose answers it will judge, with a fresh head
  using opened = openClassifier(config, start, resume?.folder, resumed?.inputs);
  const { classifier, inputs } = opened;
  const parameters = trainedIn(classifier);
  const weights = parameters.reduce((sum, { size }) => sum + size, 0);
  say(
    `Rerank: ${describeSamples(train)}; dev: ${describeSamples(dev)}, ${devGroups.length} questions; ` +
      `${(weights / 1e6).toFixed(2)} M weights, in ${folder}`,
  );

  writeAbout(run, [
    readFileOf("data.samples", train.tooLong, train.sequences),
    readFileOf("data.devSamples", dev.tooLong, dev.sequences),
  ]);

  // 3. the parts of a step and of a measurement
  using parts = createParts(config, classifier, parameters, resume?.folder);
  const skips = createSkips(run, config.alarms?.maxSkippedSteps, resumed?.skippedSteps);
  const judgement = createMeasure(run, config, start, parts.scorer, resumed?.best ?? null);

  const { perEpoch: stepsPerEpoch, total: totalSteps } = rerankSteps(config, start);
  const plan = {
    label: "Rerank",
    totalSteps,
    stepsPerEpoch,
    measuresStart: false,
    measureEverySteps: stepsPerEpoch * config.evaluation.everyEpochs,
    saveEverySteps: config.checkpoint.everySteps,
    ...{ memory, trialSteps },
  };
  await runSteps(run, interrupts, plan, {
    trained: parts.adamW,
    step: createStep(config, start, parts, skips),
    measure: judgement.measure,
    save: (target, trainingFolder) => {
      saveClassifier(classifier, target);
      saveTokenizer(tokenizer, target);
      saveOptimizer(parts.adamW, trainingFolder);
    },
    state: () => {
      const skippedSteps = skips.inARow();
      return { best: judgement.best(), skippedSteps, inputs } satisfies RerankState;
    },
    shown: (figures) => {
      const best = judgement.best();
      return {
        loss: figures["rerank/loss"]!.toFixed(3),
        ...(best && { dev: percent(best.accuracy) }),
      };
    },
  });
  return judgement.best()?.accuracy ?? -1;
}

/** One step: one update. */
function createStep(
  config: RerankConfig,
  start: RerankStart,
  { adamW, backward }: Parts,
  skips: Skips,
): (step: number) => Figures {
  const { training, optimizer } = config;
  const { perEpoch } = rerankSteps(config, start);
  const { sequences } = start.train;
  const batchOf = createEpochs(sequences, training.batchSize, perEpoch, config.seed);
  const update = createScheduledUpdate(adamW, optimizer, perEpoch * training.scheduleEpochs);
  return (step) => {
    // 4. the mean loss over the samples of the global batch
    const batch = batchOf(step);
    const loss = backward(batch);

    // 5. one update by its gradients
    const { learningRate, gradNorm, skipped } = update(step, loss);
    return {
      "rerank/loss": loss,
      "rerank/learningRate": learningRate,
      "rerank/gradNorm": gradNorm,
      "rerank/correctFraction": correctFraction(batch),
      ...skips.after(step + 1, skipped),
    };
  };
}

/** Measures the classifier's current weights on the dev samples, writes its probabilities down, and knows the best so far. */
interface Measure {
  measure(step: number): Measurement;
  best(): RerankState["best"];
}

function createMeasure(
  run: Run,
  { training }: RerankConfig,
  { dev, devGroups }: RerankStart,
  scorer: ClassifierScorer,
  before: RerankState["best"],
): Measure {
  const { sequences } = dev;
  let best = before;
  return {
    measure(step) {
      const logits = scorer.logits(sequences, training.microBatchTokens);
      const probabilities = probabilitiesOf(logits);
      const predictions = sequences.map(({ id, sample, correct }, i) => ({
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
      const pools = poolsOf(devGroups, spreadProbabilities(devGroups, sequences, probabilities));
      const choices = measureChoices(pools);
      const now = { accuracy: choices.rerankingAccuracy, loss };
      const isBest = best === null || isBetter(now, best);
      if (isBest) best = now;
      const measured = {
        loss,
        ...summarisePredictions(predictions),
        calibrationError: expectedCalibrationError(table),
        ...choices,
      };
      const figures = Object.entries(measured).map(([name, value]) => [`eval/${name}`, value]);
      return { isBest, figures: Object.fromEntries(figures) as Record<string, number> };
    },
    best: () => best,
  };
}

type Best = NonNullable<RerankState["best"]>;

function isBetter(a: Best, b: Best): boolean {
  return a.accuracy > b.accuracy || (a.accuracy === b.accuracy && a.loss < b.loss);
}

/** The classifier of a run. Whoever opens it disposes it. */
interface Opened extends Disposable {
  readonly classifier: Classifier;
  readonly inputs: InputHashes;
}

/**
 * Opens the checkpoint's classifier when going on; else the model that the run starts from, with a fresh head.
 *
 * @param checkpoint folder of the one that the run goes on from
 * @param before the inputs that it began with then
 * @throws UserError for other inputs than those
 */
function openClassifier(
  config: RerankConfig,
  { folder, tokenizer }: RerankStart,
  checkpoint: string | undefined,
  before: InputHashes | undefined,
): Opened {
  const { data, seed } = config;
  const open = () => {
    if (checkpoint) return loadClassifier(checkpoint, config.model.weights);
    const model = openTrained(tokenizer, folder, { ...config.model, ...config });
    // What is read ends in the tokenizer's EOS, whatever the model's own list says.
    const eosIds = endTokens(model, tokenizer);
    return createClassifier({ ...model, config: { ...model.config, eosIds } }, seed);
  };
  const classifier = open();
  const read = { samples: data.samples, devSamples: data.devSamples };
  const inputs = hashInputs({ ...read, ...baseOf(classifier.model) });
  checkInputs(before, inputs);
  return { classifier, inputs, [Symbol.dispose]: () => disposeClassifier(classifier) };
}

/** What training changes. */
function trainedIn(classifier: Classifier): Variable[] {
  return [...trainedVariables(classifier.model).values(), ...headsOf(classifier).values()];
}

/** What works on the classifier. Whoever makes it disposes it. */
interface Parts extends Disposable {
  readonly adamW: AdamW;
  readonly backward: Backward;
  readonly scorer: ClassifierScorer;
}

/** @param checkpoint folder of the one that the run goes on from */
function createParts(
  { optimizer, training }: RerankConfig,
  classifier: Classifier,
  variables: readonly Variable[],
  checkpoint: string | undefined,
): Parts {
  const adamW = new AdamW([{ variables }], { ...optimizer, shard: training.shardOptimizer });
  if (checkpoint) loadOptimizer(adamW, join(checkpoint, "training"));
  const backward = createClassifierBackward(classifier, adamW, training);
  const scorer = createClassifierScorer(classifier);
  return {
    ...{ adamW, backward, scorer },
    [Symbol.dispose]: () => {
      for (const part of [scorer, backward, adamW]) part.dispose();
    },
  };
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
