// The library: what the commands do, as functions. They print nothing and listen to no signal of the process; messages, progress and
// a signal to stop are arguments. What a user can repair is thrown as a UserError, a stop as an InterruptedError.
import {
  type ConfigOf,
  type Override,
  type PromptSetting,
  parseConfig,
  type ReftConfig,
  type RerankConfig,
  type SftConfig,
  type Stage,
} from "./config.ts";
import type { JsonValue } from "./data/json.ts";
import type { ProgramPrefix } from "./data/prompt.ts";
import { UserError } from "./errors.ts";
import type { ExportReport } from "./models/export.ts";
import type { GgufExportReport } from "./models/exportGguf.ts";
import { type Observer, observed } from "./observer.ts";
import * as reft from "./ppo/train.ts";
import * as rerank from "./rerank/train.ts";
import type { RewardChoice, TrainOptions } from "./reward/openReward.ts";
import type { Outcome } from "./reward/outcome.ts";
import type { SamplesSummary } from "./reward/samples.ts";
import type { SandboxOptions } from "./reward/sandbox/sandbox.ts";
import type { AnswerForm } from "./rewardConfig.ts";
import type { ForkOptions } from "./run/fork.ts";
import * as sft from "./sft/train.ts";
import * as asking from "./tasks/ask.ts";
import { type AskingArguments, askingDefaults } from "./tasks/asking.ts";
import type { CheckDataArguments } from "./tasks/checkData.ts";
import * as checking from "./tasks/checkData.ts";
import type { PrepareDataArguments } from "./tasks/datasetDraft.ts";
import * as evaluation from "./tasks/evaluate.ts";
import * as preparation from "./tasks/prepareData.ts";
import * as recipe from "./tasks/runRecipe.ts";
import * as sampling from "./tasks/sample.ts";

export { loadConfig } from "./config.ts";
export type { Observer, ProgressReport } from "./observer.ts";
export { answersEqual } from "./reward/compare.ts";
export {
  defineReward,
  type Reward,
  type RewardInput,
  type RewardResult,
} from "./reward/reward.ts";
export { InterruptedError } from "./run/interrupts.ts";
export type { AskArguments } from "./tasks/ask.ts";
export { type ComparedMetric, type Comparison, compare } from "./tasks/compare.ts";
export type { EvaluateArguments, EvaluateResults } from "./tasks/evaluate.ts";
export {
  type ExportArguments,
  exportCheckpoint as exportModel,
  exportCheckpointAsGguf as exportGguf,
  type GgufArguments,
} from "./tasks/exportModel.ts";
export { type GeneratedResponse, type GenerateOptions, generate } from "./tasks/generate.ts";
export { importModel } from "./tasks/importModel.ts";
export { type LoadedModel, loadModel } from "./tasks/loadModel.ts";
export { type ReportArguments, type ReportSummary, report } from "./tasks/report.ts";
export type { SampleArguments } from "./tasks/sample.ts";
export type {
  AnswerForm,
  AskingArguments,
  CheckDataArguments,
  ConfigOf,
  ExportReport,
  ForkOptions,
  GgufExportReport,
  JsonValue,
  Outcome,
  Override,
  PrepareDataArguments,
  ProgramPrefix,
  PromptSetting,
  ReftConfig,
  RerankConfig,
  RewardChoice,
  SamplesSummary,
  SandboxOptions,
  SftConfig,
  Stage,
  TrainOptions,
};
export { parseConfig, UserError };

/**
 * Arguments of which these may be left out: `slots` (32), `precision` (float32) and `sandbox` (10 s of processor time for a
 * program, 2 workers, 512 MB).
 */
export type WithDefaults<A extends AskingArguments> = Omit<A, keyof typeof askingDefaults> &
  Partial<Pick<A, keyof typeof askingDefaults>>;

/**
 * Runs, or goes on with, supervised fine-tuning in a run's folder.
 *
 * @param config of parseConfig or loadConfig; it is checked again, since a program may have changed it
 * @param folder of the run: checkpoints, metrics, samples
 * @param by hears of the run, and may give its reward and where it begins
 * @returns the best accuracy on the dev questions, in 0..1
 * @throws UserError for bad settings or data, too many steps in a row that are not finite, a full disk; InterruptedError after the signal
 */
export function trainSft(
  config: SftConfig,
  folder: string,
  by: Observer & TrainOptions & ForkOptions = {},
): Promise<number> {
  return training("sft", config, folder, by, sft.trainSft);
}

/** Runs, or goes on with, reinforced fine-tuning in a run's folder; arguments, result and errors as those of trainSft. */
export function trainReft(
  config: ReftConfig,
  folder: string,
  by: Observer & TrainOptions & ForkOptions = {},
): Promise<number> {
  return training("reft", config, folder, by, reft.trainReft);
}

/**
 * Trains, or goes on with, a classifier of right and wrong answers in a run's folder; arguments and errors as those of trainSft.
 *
 * @returns the best accuracy on dev of its choice among all samples, in 0..1
 */
export function trainRerank(
  config: RerankConfig,
  folder: string,
  by: Observer & ForkOptions = {},
): Promise<number> {
  return training("rerank", config, folder, by, rerank.trainRerank);
}

/**
 * Asks every question of a data set once, greedily, and samples answers if told to; writes results into a folder. The same call
 * goes on with samples that were stopped.
 *
 * @param by hears of it
 * @throws UserError for a model or data that cannot be read, and a folder that holds other results; InterruptedError after the signal
 */
export function evaluate(
  args: WithDefaults<evaluation.EvaluateArguments>,
  by: Observer = {},
): Promise<evaluation.EvaluateResults> {
  return observed(by, () => evaluation.evaluate({ ...askingDefaults, ...args }));
}

/**
 * Samples many answers to each question of a data set at temperature 1 into a file of JSON lines, or goes on with it.
 *
 * @param by hears of it
 * @returns counts of what the file holds
 * @throws UserError for a model or data that cannot be read, and a file of other samples; InterruptedError after the signal
 */
export function sample(
  args: WithDefaults<sampling.SampleArguments>,
  by: Observer = {},
): Promise<SamplesSummary> {
  return observed(by, () => sampling.sample({ ...askingDefaults, ...args }));
}

/**
 * Asks a trained model one question, greedily.
 *
 * @param by hears of it
 * @returns the program, or the text that was written, and what came of it
 * @throws UserError for a model that cannot be asked, or is without the positions for question and answer
 */
export function ask(args: asking.AskArguments, by: Observer = {}): ReturnType<typeof asking.ask> {
  return observed(by, () => asking.ask(args));
}

/**
 * Brings a data set into the project's form, and runs its gold programs.
 *
 * @param by hears of it
 * @returns lines that say what was written and what was left out
 * @throws UserError that lists what is wrong with the files, before anything is written
 */
export function prepareData(args: PrepareDataArguments, by: Observer = {}): Promise<string> {
  return observed(by, () => preparation.prepareData(args));
}

/**
 * Checks training data before anything is trained.
 *
 * @param by hears of it
 * @returns the page that the command prints
 * @throws UserError for data that no training would take, and for settings or a model that cannot be read
 */
export function checkData(args: CheckDataArguments, by: Observer = {}): Promise<string> {
  return observed(by, () => checking.checkData(args));
}

/**
 * Runs what is not done yet of a whole recipe.
 *
 * @param file of the recipe, YAML
 * @param folder of all stages; what is done there stays
 * @param by hears of it, and may have `overrides` of the file's settings
 * @returns the table of all models, as Markdown
 * @throws UserError that lists the mistakes of the recipe and of all stages, before anything runs; InterruptedError after the signal
 */
export function runRecipe(
  file: string,
  folder: string,
  { overrides = [], ...by }: Observer & { readonly overrides?: readonly Override[] } = {},
): Promise<string> {
  return observed(by, () => recipe.runRecipe(file, overrides, folder));
}

/** A training of settings that are right. */
async function training<S extends Stage, By extends Observer>(
  stage: S,
  config: ConfigOf<S>,
  folder: string,
  by: By,
  train: (config: ConfigOf<S>, folder: string, by: By) => Promise<number>,
): Promise<number> {
  const checked = parseConfig(stage, config);
  if (folder === "") throw new UserError('folder: expected the path of a run, found ""; give one');
  return observed(by, () => train(checked, folder, by));
}
