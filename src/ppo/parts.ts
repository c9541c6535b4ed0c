// What reinforced fine-tuning works with: the models, and the parts of a step that share their weights.
import { join } from "node:path";
import type { ReftConfig } from "../config.ts";
import { AdamW } from "../engine/optimizer.ts";
import type { Variable } from "../engine/variable.ts";
import { createEvaluator, type Evaluator } from "../evaluate/accuracy.ts";
import { longestPrompt } from "../generate/answer.ts";
import { createGenerator } from "../generate/generate.ts";
import { checkRoom, endingTurns, endTokens } from "../model/ending.ts";
import { disposeModel, type Model, saveVariables, trainedVariables } from "../model/model.ts";
import { createScorer } from "../model/score.ts";
import { createValueHead } from "../model/valueHead.ts";
import type { Judge } from "../reward/judge.ts";
import type { LoadedRewards } from "../reward/openReward.ts";
import { checkInputs, hashInputs, hashPrompt, type InputHashes } from "../run/inputs.ts";
import { loadOptimizer, restoreVariables } from "../run/optimizerFile.ts";
import { baseOf, openReference, openTrained, type Reference } from "../run/trainedModel.ts";
import { type Learner, ppoLearner, selfTrainingLearner } from "./learner.ts";
import { objectiveOf } from "./objectives/choose.ts";
import type { Objective } from "./objectives/objective.ts";
import type { RolloutParts } from "./rollout.ts";
import { createSelfTrainer, goldAnswers } from "./selfTraining.ts";
import { devFileOf, type ReftStart } from "./start.ts";
import { createUpdater } from "./update.ts";

const valueHeadFile = "value_head.safetensors";

/** @param folder of a checkpoint, with what only resuming needs */
export function saveValueHead(valueHead: ReadonlyMap<string, Variable>, folder: string): void {
  saveVariables(valueHead, join(folder, valueHeadFile));
}

/** The models of a run. Whoever opens them disposes them. */
export interface Models extends Disposable {
  readonly policy: Model;
  /** The warm-up model, frozen; undefined where nothing holds the policy to it. */
  readonly reference: Reference | undefined;
  readonly objective: Objective | undefined;
  /** It says 0 at first; undefined where the advantages come from no values. */
  readonly valueHead: ReadonlyMap<string, Variable> | undefined;
  readonly inputs: InputHashes;
}

/**
 * Opens the models that a run starts from or goes on with.
 *
 * @param checkpoint folder of the one that it goes on from
 * @param before the inputs that it began with then
 * @throws UserError for other inputs than those that the run began with, and a model with too few positions
 */
export function openModels(
  config: ReftConfig,
  { warmupFolder, folder, tokenizer, prompt }: ReftStart,
  rewards: LoadedRewards,
  checkpoint: string | undefined,
  before: InputHashes | undefined,
): Models {
  const { data, ppo } = config;
  const opened = openTrained(tokenizer, folder, { ...config.model, ...config });
  const read = { "model.init": warmupFolder, train: data.train, dev: devFileOf(config) };
  const files = hashInputs({ ...read, ...baseOf(opened) });
  const inputs = { ...files, ...hashPrompt(prompt), ...rewards.hashes };
  checkInputs(before, inputs);
  const policy = endingTurns(opened, tokenizer, prompt);
  const reference = ppo?.klCoefficient === 0 ? undefined : openReference(warmupFolder, policy);
  const objective = ppo && objectiveOf(ppo);
  const valueHead = objective?.needsValueHead ? createValueHead(policy.config) : undefined;
  checkRoom(policy, {
    subject: "data.maxPromptTokens allows",
    promptTokens: data.maxPromptTokens,
    answerTokens: Math.max(config.rollout.maxNewTokens, config.evaluation.maxNewTokens),
    advice: "lower data.maxPromptTokens, rollout.maxNewTokens or evaluation.maxNewTokens",
  });
  if (checkpoint && valueHead)
    restoreVariables(valueHead, join(checkpoint, "training", valueHeadFile));
  return {
    ...{ policy, reference, objective, valueHead, inputs },
    [Symbol.dispose]: () => {
      disposeModel(policy);
      reference?.[Symbol.dispose]();
      for (const variable of valueHead?.values() ?? []) variable.dispose();
    },
  };
}

/** What works on the models. Whoever makes it disposes it. */
export interface Parts extends Disposable {
  readonly adamW: AdamW;
  readonly rollout: RolloutParts;
  /** Tokens that end a response. */
  readonly eosIds: readonly number[];
  readonly learner: Learner;
  readonly evaluator: Evaluator;
}

export function createParts(
  config: ReftConfig,
  { tokenizer, questions, prompt }: ReftStart,
  { policy, reference, objective, valueHead }: Models,
  judge: Judge,
  checkpoint: string | undefined,
): Parts {
  const { data, rollout, ppo, selfTraining, training, evaluation } = config;
  const { slots, maxNewTokens, kvCacheDtype } = rollout;
  const groups = [trainedVariables(policy), ...(valueHead ? [valueHead] : [])];
  const adamW = new AdamW(
    groups.map((group) => ({ variables: [...group.values()] })),
    { ...config.optimizer, shard: training.shardOptimizer },
  );
  if (checkpoint) loadOptimizer(adamW, join(checkpoint, "training"));
  const generator = createGenerator(policy, {
    slots,
    maxTokens: longestPrompt(questions) + maxNewTokens,
    temperature: 1,
    kvCacheDtype,
  });
  const policyScorer = createScorer(policy, valueHead);
  const referenceScorer = reference && createScorer(reference.model);
  const { microBatchTokens, recompute } = training;
  const options = { microBatchTokens, recompute, maxNewTokens };
  const learner = objective
    ? ppoLearner(
        objective,
        createUpdater(policy, valueHead, adamW, objective, { ...ppo!, ...options }),
      )
    : selfTrainingLearner(
        createSelfTrainer(policy, adamW, { ...selfTraining!, ...options }),
        (asked) => goldAnswers(tokenizer, asked, maxNewTokens, prompt),
      );
  const evaluator = createEvaluator(policy, tokenizer, judge, data.maxPromptTokens, evaluation);
  return {
    ...{ adamW, learner, evaluator },
    eosIds: endTokens(policy, tokenizer),
    rollout: { generator, judge, tokenizer, policyScorer, referenceScorer },
    [Symbol.dispose]: () => {
      for (const part of [generator, policyScorer, referenceScorer, learner, evaluator, adamW])
        part?.dispose();
    },
  };
}
