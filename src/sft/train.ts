// Supervised fine-tuning: learn to write the given chains of thought. The first stage of ReFT (its warm-up), and the control.
//
// One step is one update on `batchSize` examples. The order of the data is a function of seed and epoch alone, so a checkpoint
// needs to know only how many steps it has seen.
import { join } from "node:path";
import type { SftConfig } from "../config.ts";
import { createEpochs } from "../data/epochs.ts";
import type { Example } from "../data/examples.ts";
import { completionTokens } from "../data/prompt.ts";
import { AdamW } from "../engine/optimizer.ts";
import { usePrecision } from "../engine/products.ts";
import { createAccuracyMeasure, createEvaluator } from "../evaluate/accuracy.ts";
import { checkGold } from "../evaluate/checkGold.ts";
import { createResponseBackward } from "../model/backward.ts";
import { checkRoom, endingTurns } from "../model/ending.ts";
import { createModel, disposeModel, type Model, trainedVariables } from "../model/model.ts";
import { saveModelFolder } from "../models/modelFolder.ts";
import { percent } from "../progress.ts";
import { chooseReward, loadRewards, openReward, type TrainOptions } from "../reward/openReward.ts";
import { Rng } from "../rng.ts";
import { createSkips } from "../run/alarms.ts";
import type { ForkOptions } from "../run/fork.ts";
import { checkInputs, hashInputs, hashPrompt, type InputHashes } from "../run/inputs.ts";
import { watchInterrupts } from "../run/interrupts.ts";
import { watchMemory } from "../run/memoryWatch.ts";
import { loadOptimizer, saveOptimizer } from "../run/optimizerFile.ts";
import { openRun } from "../run/run.ts";
import { createScheduledUpdate } from "../run/scheduledUpdate.ts";
import { runSteps, tokensPerSecond } from "../run/steps.ts";
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
  const { data, optimizer, training, evaluation } = config;

  // 1. data, tokenizer, model
  const choice = chooseReward(config.reward, own);
  const rewards = loadRewards(choice);
  const resume = run.resumeFrom;
  const resumed = resume?.state as SftState | undefined;
  const start = readSftStart(config, choice, resume?.folder);
  const { tokenizer, prompt, sampling, train, sequences, dev } = start;
  const memory = watchMemory(forecastSft(config, start));
  const opened = openModel(config, start);
  const files = hashInputs({ train: data.train, dev: data.dev, ...baseOf(opened) });
  const inputs = { ...files, ...hashPrompt(prompt), ...rewards.hashes };
  checkInputs(resumed?.inputs, inputs);
  const model = endingTurns(opened, tokenizer, prompt);
  const format = { cotKind: data.cotKind, sampling };
  checkRoom(model, {
    subject: "data.maxPromptTokens allows",
    promptTokens: data.maxPromptTokens,
    answerTokens: Math.max(data.maxCompletionTokens, evaluation.maxNewTokens),
    advice: "lower data.maxPromptTokens, data.maxCompletionTokens or evaluation.maxNewTokens",
  });
  say(
    `SFT: ${sequences.length} examples (${train.length - sequences.length} too long), ${dev.questions.length} dev ` +
      `questions (${dev.tooLong} too long), ${describeSize(model)}, in ${folder}`,
  );

  // 2. optimizer and compiled step
  const adamW = new AdamW([{ variables: [...trainedVariables(model).values()] }], optimizer);
  if (resume) loadOptimizer(adamW, join(resume.folder, "training"));
  const backward = createResponseBackward("sft", model, adamW, training);

  // 3. evaluation by running programs
  await using reward = await openReward({ ...data, sandbox: config.sandbox, rewards });
  const { judge } = reward;
  const evaluator = createEvaluator(model, tokenizer, judge, data.maxPromptTokens, evaluation);

  const { perEpoch: stepsPerEpoch, total: totalSteps } = sftSteps(config, start);
  const batchOf = createEpochs(sequences, training.batchSize, stepsPerEpoch, config.seed);
  const horizon = stepsPerEpoch * training.scheduleEpochs;
  const update = createScheduledUpdate(adamW, optimizer, horizon);
  const skips = createSkips(run, config.alarms?.maxSkippedSteps, resumed?.skippedSteps);
  const accuracy = createAccuracyMeasure(run, evaluator, dev.questions, resumed?.bestAccuracy);

  const tokensOf =
    rewards.parts && ((row: Example) => completionTokens(tokenizer, row, row.cot!, prompt));

  // 4. one update: the mean loss over all completion tokens of the global batch
  const takeStep = (step: number) => {
    const batch = batchOf(step);
    const lossTokens = batch.reduce((sum, { response }) => sum + response.length, 0);
    const loss = backward(batch);
    const { learningRate, gradNorm, skipped } = update(step, loss);
    return {
      "sft/loss": loss,
      "sft/learningRate": learningRate,
      "sft/gradNorm": gradNorm,
      "sft/lossTokens": lossTokens,
      ...skips.after(step + 1, skipped),
    };
  };

  const plan = {
    label: "SFT",
    totalSteps,
    stepsPerEpoch,
    measuresStart: config.model.init !== undefined,
    measureEverySteps: stepsPerEpoch * evaluation.everyEpochs,
    saveEverySteps: config.checkpoint.everySteps,
    ...{ memory, trialSteps },
  };
  try {
    if (!resumed && trialSteps === undefined)
      await checkGold(data.train, train, judge, { tokensOf, isOwn: rewards.isOwn });
    await runSteps(run, interrupts, plan, {
      step: takeStep,
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
  } finally {
    evaluator.dispose();
    backward.dispose();
    adamW.dispose();
    disposeModel(model);
  }
  return accuracy.best();
}

/** The model that the run goes on with or starts from, or a new one. */
function openModel(config: SftConfig, { folder, model, tokenizer }: SftStart): Model {
  if (folder === undefined) return createModel(model, Rng.named(config.seed, "weights"));
  return openTrained(tokenizer, folder, { ...config.model, ...config });
}
