// Supervised fine-tuning: learn to write the given chains of thought. The first stage of ReFT (its warm-up), and the control.
//
// One step is one update on `batchSize` examples. The order of the data is a function of seed and epoch alone, so a checkpoint
// needs to know only how many steps it has seen.
import { join } from "node:path";
import type { SftConfig } from "../config.ts";
import type { Sequence } from "../data/batch.ts";
import { createEpochs } from "../data/epochs.ts";
import { type Example, readExamples } from "../data/examples.ts";
import {
  checkSamplingPrefix,
  completionTokens,
  encodeExample,
  findSamplingFormat,
  formatPrompt,
} from "../data/prompt.ts";
import { choosePrompt } from "../data/promptChoice.ts";
import type { TemplatePrompt } from "../data/templatePrompt.ts";
import { loadTokenizer, type Tokenizer, trainTokenizer } from "../data/tokenizer.ts";
import { withoutGenerationConfig } from "../data/tokenizerFiles.ts";
import { AdamW } from "../engine/optimizer.ts";
import { usePrecision } from "../engine/products.ts";
import { UserError } from "../errors.ts";
import { createAccuracyMeasure, createEvaluator } from "../evaluate/accuracy.ts";
import { checkGold } from "../evaluate/checkGold.ts";
import { prepareQuestions } from "../generate/answer.ts";
import { createResponseBackward } from "../model/backward.ts";
import type { ModelConfig } from "../model/config.ts";
import { plainLlama } from "../model/families.ts";
import { createModel, disposeModel, trainedVariables } from "../model/model.ts";
import {
  chooseReward,
  goldKind,
  loadRewards,
  openReward,
  type TrainOptions,
} from "../reward/openReward.ts";
import { Rng } from "../rng.ts";
import { createSkips } from "../run/alarms.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import type { ForkOptions } from "../run/fork.ts";
import { checkInputs, hashInputs, hashPrompt, type InputHashes } from "../run/inputs.ts";
import { watchInterrupts } from "../run/interrupts.ts";
import { checkRoom, endingTurns, saveModelFolder } from "../run/modelFolder.ts";
import { loadOptimizer, saveOptimizer } from "../run/optimizerFile.ts";
import { percent } from "../run/progress.ts";
import { openRun } from "../run/run.ts";
import { createScheduledUpdate } from "../run/scheduledUpdate.ts";
import { runSteps, tokensPerSecond } from "../run/steps.ts";
import { baseOf, describeSize, openTrained } from "../run/trainedModel.ts";
import { say } from "../terminal.ts";

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
 * @throws UserError for bad settings or data, a loss that is not finite, a full disk; InterruptedError after Ctrl-C
 */
export async function trainSft(
  config: SftConfig,
  folder: string,
  { reward: own, fork }: TrainOptions & ForkOptions = {},
): Promise<number> {
  using run = openRun(folder, config, undefined, fork);
  await using interrupts = watchInterrupts();
  usePrecision(config.precision);
  const { data, optimizer, training, evaluation } = config;

  // 1. data, tokenizer, model
  const choice = chooseReward(config.reward, own);
  const gold = goldKind(data.cotKind, choice);
  const train = readExamples(data.train, gold);
  const rewards = loadRewards(choice);
  const resume = run.resumeFrom;
  const resumed = resume?.state as SftState | undefined;
  const { model: opened, tokenizer } = openModel(config, train, resume?.folder);
  const files = hashInputs({ train: data.train, dev: data.dev, ...baseOf(opened) });
  const prompt = choosePrompt(data.prompt, tokenizer);
  const inputs = { ...files, ...hashPrompt(prompt), ...rewards.hashes };
  checkInputs(resumed?.inputs, inputs);
  const model = endingTurns(opened, tokenizer, prompt);
  const sampling = findSamplingFormat(tokenizer, train, data.programPrefix, prompt);
  checkSamplingPrefix(tokenizer, train, sampling);
  const format = { cotKind: data.cotKind, sampling };
  const sequences = encodeAll(tokenizer, train, config, prompt);
  const devExamples = readExamples(data.dev, gold).slice(0, evaluation.questions ?? undefined);
  const dev = prepareQuestions(tokenizer, devExamples, sampling, data.maxPromptTokens);
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

  const stepsPerEpoch = Math.ceil(sequences.length / training.batchSize);
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
    totalSteps: stepsPerEpoch * training.epochs,
    stepsPerEpoch,
    measuresStart: config.model.init !== undefined,
    measureEverySteps: stepsPerEpoch * evaluation.everyEpochs,
    saveEverySteps: config.checkpoint.everySteps,
  };
  try {
    if (!resumed) await checkGold(data.train, train, judge, { tokensOf, isOwn: rewards.isOwn });
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

/** The checkpoint's model when going on; else the model that the run starts from, or a new one with its own tokenizer. */
function openModel(
  config: SftConfig,
  train: readonly Example[],
  checkpointFolder: string | undefined,
) {
  const { init, scratch } = config.model;
  const training = { ...config.model, ...config };
  if (checkpointFolder) return openTrained(checkpointFolder, training);
  if (init) return openTrained(resolveModelFolder(init), training);
  const { vocabSize, tokenizer: tokenizerFolder, ...shape } = scratch!;
  const tokenizer = scratchTokenizer(scratch!, train);
  if (tokenizer.vocabSize > vocabSize) {
    throw new UserError(
      `model.scratch.vocabSize: expected at least ${tokenizer.vocabSize}, the size of the tokenizer in ` +
        `${tokenizerFolder}, found ${vocabSize}; raise it`,
    );
  }
  // What a text never says is sampled until training has made it unlikely, and decodes to nothing.
  if (2 * tokenizer.vocabSize < vocabSize)
    say(
      `note: the tokenizer has ${tokenizer.vocabSize} tokens, model.scratch.vocabSize is ${vocabSize}: lower it, or the model will ` +
        "at first write tokens that stand for no text",
    );
  const modelConfig: ModelConfig = {
    ...plainLlama,
    ...shape,
    vocabSize,
    headDim: shape.dim / shape.heads,
    ropeScaling: null,
    eosIds: [tokenizer.eosId],
    ...(tokenizer.bosId !== undefined && { bosId: tokenizer.bosId }),
    ...(tokenizer.padId !== undefined && { padId: tokenizer.padId }),
  };
  return { model: createModel(modelConfig, Rng.named(config.seed, "weights")), tokenizer };
}

/** The tokenizer of a new model: that of a folder, or one trained on the training texts. */
export function scratchTokenizer(
  { tokenizer, vocabSize }: NonNullable<SftConfig["model"]["scratch"]>,
  train: readonly Example[],
): Tokenizer {
  if (tokenizer !== undefined) return tokenizerAlone(tokenizer);
  const texts = train.flatMap(({ question, cot }) => [formatPrompt(question), cot ?? ""]);
  return trainTokenizer(texts, vocabSize);
}

/** A folder's tokenizer for a new model, which does not end where the folder's own model does. */
function tokenizerAlone(folder: string): Tokenizer {
  const tokenizer = loadTokenizer(folder);
  return { ...tokenizer, files: withoutGenerationConfig(tokenizer.files) };
}

/** All examples that fit; the others are left out. */
function encodeAll(
  tokenizer: Tokenizer,
  train: readonly Example[],
  { data }: SftConfig,
  prompt: TemplatePrompt | undefined,
): Sequence[] {
  const sequences = train
    .map((example) => encodeExample(tokenizer, example, prompt))
    .map(({ promptTokens, completionTokens }) => ({
      prompt: promptTokens,
      response: completionTokens,
    }))
    .filter(
      ({ prompt, response }) =>
        prompt.length <= data.maxPromptTokens && response.length <= data.maxCompletionTokens,
    );
  if (sequences.length > 0) return sequences;
  throw new UserError(
    `${data.train}: none of the ${train.length} examples has a prompt of at most ${data.maxPromptTokens} tokens and a ` +
      `completion of at most ${data.maxCompletionTokens}; raise data.maxPromptTokens or data.maxCompletionTokens`,
  );
}
