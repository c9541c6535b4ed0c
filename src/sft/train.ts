// Supervised fine-tuning: learn to write the given chains of thought. The first stage of ReFT (its warm-up), and the control.
//
// One step is one update on `batchSize` examples. The order of the data is a function of seed and epoch alone, so a checkpoint
// needs to know only how many steps it has seen.
import { join } from "node:path";
import type { SftConfig } from "../config.ts";
import { createEpochs } from "../data/epochs.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { AdamW } from "../engine/optimizer.ts";
import { usePrecision } from "../engine/products.ts";
import { createAccuracyMeasure, createEvaluator, type Evaluator } from "../evaluate/accuracy.ts";
import { checkGold } from "../evaluate/checkGold.ts";
import { goldOptions } from "../evaluate/goldOptions.ts";
import { type Backward, createResponseBackward } from "../model/backward.ts";
import { checkRoom, endingTurns } from "../model/ending.ts";
import { createModel, disposeModel, type Model, trainedVariables } from "../model/model.ts";
import { saveModelFolder } from "../models/modelFolder.ts";
import { percent } from "../progress.ts";
import type { Judge } from "../reward/judge.ts";
import {
  chooseReward,
  type LoadedRewards,
  loadRewards,
  openReward,
  type TrainOptions,
} from "../reward/openReward.ts";
import { Rng } from "../rng.ts";
import { questionsFile, readFileOf, writeAbout } from "../run/about.ts";
import { createSkips, type Skips } from "../run/alarms.ts";
import type { ForkOptions } from "../run/fork.ts";
import { checkInputs, hashInputs, hashPrompt, type InputHashes } from "../run/inputs.ts";
import { watchInterrupts } from "../run/interrupts.ts";
import { watchMemory } from "../run/memoryWatch.ts";
import { loadOptimizer, saveOptimizer } from "../run/optimizerFile.ts";
import { openRun } from "../run/run.ts";
import { createScheduledUpdate } from "../run/scheduledUpdate.ts";
import { type Figures, runSteps, tokensPerSecond } from "../run/steps.ts";
import { baseOf, describeSize, openTrained } from "../run/trainedModel.ts";
import { say } from "../terminal.ts";
import { forecastSft, readSftStart, type SftStart, sftSteps } from "./start.ts";

/** What the recipe remembers between checkpoints. */
interface SftState {
  readonly bestAccuracy: number;
  /** Steps in a row; absent in checkpoints from before there were such steps. */
  readonly skippedSteps?: number;
  readonly inputs: InputHashes;
}

/**
 * Runs, or goes on with, supervised fine-tuning in a run's folder.
 *
 * @returns the best accuracy on the dev questions
 * @throws UserError for bad settings or data, too many steps in a row that are not finite, a full disk; InterruptedError after Ctrl-C
 */
export async function trainSft(
  config: SftConfig,
  folder: string,
  { reward: own, trialSteps, fork }: TrainOptions & ForkOptions = {},
): Promise<number> {
  using run = openRun(folder, config, undefined, fork);
  await using interrupts = watchInterrupts();
  usePrecision(config.precision);
  const { data, evaluation } = config;

  // 1. examples, and what of memory they will ask for
  const choice = chooseReward(config.reward, own);
  const rewards = loadRewards(choice);
  const resume = run.resumeFrom;
  const resumed = resume?.state as SftState | undefined;
  const start = readSftStart(config, choice, resume?.folder);
  const { tokenizer, prompt, sampling, train, sequences, dev } = start;
  const memory = watchMemory(forecastSft(config, start));

  // 2. the model
  using opened = openModel(config, start, rewards, resumed?.inputs);
  const { model, inputs } = opened;
  const format = { cotKind: data.cotKind, sampling };
  say(
    `SFT: ${sequences.length} examples (${train.length - sequences.length} too long), ${dev.questions.length} dev ` +
      `questions (${dev.tooLong} too long), ${describeSize(model)}, in ${folder}`,
  );

  writeAbout(run, [
    readFileOf("data.train", train.length - sequences.length, sequences),
    questionsFile("data.dev", dev),
  ]);

  // 3. the parts of a step, and evaluation by running programs
  await using reward = await openReward({ ...data, sandbox: config.sandbox, rewards });
  const { judge } = reward;
  using parts = createParts(config, tokenizer, model, judge, resume?.folder);
  const skips = createSkips(run, config.alarms?.maxSkippedSteps, resumed?.skippedSteps);
  const { evaluator, adamW } = parts;
  const accuracy = createAccuracyMeasure(run, evaluator, dev.questions, resumed?.bestAccuracy);

  const { perEpoch: stepsPerEpoch, total: totalSteps } = sftSteps(config, start);
  const plan = {
    label: "SFT",
    totalSteps,
    stepsPerEpoch,
    measuresStart: config.model.init !== undefined,
    measureEverySteps: stepsPerEpoch * evaluation.everyEpochs,
    saveEverySteps: config.checkpoint.everySteps,
    ...{ memory, trialSteps },
  };
  if (!resumed && trialSteps === undefined)
    await checkGold(data.train, train, judge, goldOptions(tokenizer, prompt, rewards));
  await runSteps(run, interrupts, plan, {
    trained: adamW,
    step: createStep(config, start, parts, skips),
    measure: accuracy.measure,
    save: (target, trainingFolder) => {
      saveModelFolder(target, model, tokenizer, format);
      saveOptimizer(adamW, trainingFolder);
    },
    state: () => {
      const skippedSteps = skips.inARow();
      return { bestAccuracy: accuracy.best(), skippedSteps, inputs } satisfies SftState;
    },
    shown: (figures) => ({
      loss: figures["sft/loss"]!.toFixed(3),
      ...(accuracy.best() >= 0 && { dev: percent(accuracy.best()) }),
      ...tokensPerSecond(figures["sft/lossTokens"]!, figures),
    }),
  });
  return accuracy.best();
}

/** One step: one update. */
function createStep(
  config: SftConfig,
  start: SftStart,
  { adamW, backward }: Parts,
  skips: Skips,
): (step: number) => Figures {
  const { training, optimizer } = config;
  const { perEpoch } = sftSteps(config, start);
  const batchOf = createEpochs(start.sequences, training.batchSize, perEpoch, config.seed);
  const update = createScheduledUpdate(adamW, optimizer, perEpoch * training.scheduleEpochs);
  return (step) => {
    // 4. the mean loss over all completion tokens of the global batch
    const batch = batchOf(step);
    const loss = backward(batch);

    // 5. one update by its gradients
    const { learningRate, gradNorm, skipped } = update(step, loss);
    return {
      "sft/loss": loss,
      "sft/learningRate": learningRate,
      "sft/gradNorm": gradNorm,
      "sft/lossTokens": batch.reduce((sum, { response }) => sum + response.length, 0),
      ...skips.after(step + 1, skipped),
    };
  };
}

/** The model of a run. Whoever opens it disposes it. */
interface Opened extends Disposable {
  readonly model: Model;
  readonly inputs: InputHashes;
}

/**
 * Opens the model that the run goes on with or starts from, or makes a new one.
 *
 * @param before the inputs that a run which goes on began with
 * @throws UserError for other inputs than those, and a model with too few positions
 */
function openModel(
  config: SftConfig,
  { folder, model: shape, tokenizer, prompt }: SftStart,
  rewards: LoadedRewards,
  before: InputHashes | undefined,
): Opened {
  const { data, evaluation } = config;
  const opened =
    folder === undefined
      ? createModel(shape, Rng.named(config.seed, "weights"))
      : openTrained(tokenizer, folder, { ...config.model, ...config });
  const files = hashInputs({ train: data.train, dev: data.dev, ...baseOf(opened) });
  const inputs = { ...files, ...hashPrompt(prompt), ...rewards.hashes };
  checkInputs(before, inputs);
  const model = endingTurns(opened, tokenizer, prompt);
  checkRoom(model, {
    subject: "data.maxPromptTokens allows",
    promptTokens: data.maxPromptTokens,
    answerTokens: Math.max(data.maxCompletionTokens, evaluation.maxNewTokens),
    advice: "lower data.maxPromptTokens, data.maxCompletionTokens or evaluation.maxNewTokens",
  });
  return { model, inputs, [Symbol.dispose]: () => disposeModel(model) };
}

/** What works on the model. Whoever makes it disposes it. */
interface Parts extends Disposable {
  readonly adamW: AdamW;
  readonly backward: Backward;
  readonly evaluator: Evaluator;
}

/** @param checkpoint folder of the one that the run goes on from */
function createParts(
  { data, optimizer, training, evaluation }: SftConfig,
  tokenizer: Tokenizer,
  model: Model,
  judge: Judge,
  checkpoint: string | undefined,
): Parts {
  const adamW = new AdamW([{ variables: [...trainedVariables(model).values()] }], {
    ...optimizer,
    shard: training.shardOptimizer,
  });
  if (checkpoint) loadOptimizer(adamW, join(checkpoint, "training"));
  const backward = createResponseBackward("sft", model, adamW, training);
  const evaluator = createEvaluator(model, tokenizer, judge, data.maxPromptTokens, evaluation);
  return {
    ...{ adamW, backward, evaluator },
    [Symbol.dispose]: () => {
      for (const part of [evaluator, backward, adamW]) part.dispose();
    },
  };
}
