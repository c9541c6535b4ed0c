// Reinforced fine-tuning: PPO on questions whose answers are known, with rewards from running what the policy writes.
// Reference: Trung et al., arXiv 2401.08967, section 3.2 and algorithm 1; differences are listed in docs/recipe.md.
// Beside the paper's advantages there are those of GRPO and RLOO, and the paper's online self-training in place of PPO.
//
// One step is one rollout and its updates. Every random choice is a function of the seed and the step alone, so a run that was
// stopped goes on exactly as if it had not been.
import { join } from "node:path";
import type { ReftConfig } from "../config.ts";
import { createEpochs } from "../data/epochs.ts";
import type { Example } from "../data/examples.ts";
import { groupBy } from "../data/groupBy.ts";
import { checkSamplingPrefix, completionTokens } from "../data/prompt.ts";
import { AdamW } from "../engine/optimizer.ts";
import { usePrecision } from "../engine/products.ts";
import { constantSchedule } from "../engine/schedule.ts";
import { createAccuracyMeasure, createEvaluator } from "../evaluate/accuracy.ts";
import { checkGold } from "../evaluate/checkGold.ts";
import { type Answer, answerRecord, longestPrompt, type Question } from "../generate/answer.ts";
import { createGenerator } from "../generate/generate.ts";
import { checkRoom, endingTurns, endTokens } from "../model/ending.ts";
import { disposeModel, saveVariables, trainedVariables } from "../model/model.ts";
import { createScorer } from "../model/score.ts";
import { createValueHead } from "../model/valueHead.ts";
import { saveModelFolder } from "../models/modelFolder.ts";
import { percent } from "../progress.ts";
import { chooseReward, loadRewards, openReward, type TrainOptions } from "../reward/openReward.ts";
import { Rng } from "../rng.ts";
import { createSkips, raiseAlarm, stopsRun } from "../run/alarms.ts";
import type { ForkOptions } from "../run/fork.ts";
import { checkInputs, hashInputs, hashPrompt, type InputHashes } from "../run/inputs.ts";
import { watchInterrupts } from "../run/interrupts.ts";
import { watchMemory } from "../run/memoryWatch.ts";
import { writeRollouts } from "../run/metrics.ts";
import { loadOptimizer, restoreVariables, saveOptimizer } from "../run/optimizerFile.ts";
import { openRun, type Run } from "../run/run.ts";
import { type Figures, runSteps, tokensPerSecond } from "../run/steps.ts";
import { baseOf, describeSize, openReference, openTrained } from "../run/trainedModel.ts";
import { say } from "../terminal.ts";
import { createAlarms } from "./alarms.ts";
import { type Collapse, createCollapseWatch } from "./collapse.ts";
import { notFiniteIn } from "./credit.ts";
import { questionRounds } from "./dynamicSampling.ts";
import { objectiveOf } from "./objectives/choose.ts";
import { collectRollout, groupByQuestion } from "./rollout.ts";
import { createSelfTrainer, goldAnswers, rightAnswers, rightLesson } from "./selfTraining.ts";
import { devFileOf, forecastReft, readReftStart, reftSteps } from "./start.ts";
import { summariseRollout } from "./summary.ts";
import { createUpdater } from "./update.ts";

const valueHeadFile = "value_head.safetensors";

/** What the recipe remembers between checkpoints. */
interface ReftState {
  readonly bestAccuracy: number;
  /** Steps in a row with each sign that is watched; absent in checkpoints from before they were kept. */
  readonly alarms?: Readonly<Record<string, number>>;
  readonly skippedSteps?: number;
  /** Of the data and of the frozen reference. */
  readonly inputs: InputHashes;
}

/**
 * Runs, or goes on with, reinforced fine-tuning in a run's folder.
 *
 * @returns the best accuracy on the dev questions
 * @throws UserError for bad settings or data, too many steps in a row that are not finite, log-probabilities that do not agree, a sandbox that
 * fails too often, a full disk; InterruptedError after Ctrl-C
 */
export async function trainReft(
  config: ReftConfig,
  folder: string,
  { reward: own, trialSteps, fork }: TrainOptions & ForkOptions = {},
): Promise<number> {
  using run = openRun(folder, config, undefined, fork);
  await using interrupts = watchInterrupts();
  usePrecision(config.precision);
  const { data, optimizer, ppo, selfTraining, training, evaluation, alarms } = config;
  const sampling = config.rollout;
  const kept = config.logging?.rollouts;

  // 1. questions, and what of memory they will ask for
  const resume = run.resumeFrom;
  const resumed = resume?.state as ReftState | undefined;
  const choice = chooseReward(config.reward, own);
  const rewards = loadRewards(choice);
  const start = readReftStart(config, choice, resume?.folder);
  const { warmupFolder, tokenizer, prompt, format, train, questions, tooLong, dev } = start;
  if (selfTraining) checkSamplingPrefix(tokenizer, train, format.sampling);
  const memory = watchMemory(forecastReft(config, start));

  // 2. the warm-up model, as policy and, unless nothing holds the policy to it, as frozen reference; a value head that says 0, where the advantages come from one
  const opened = openTrained(tokenizer, start.folder, { ...config.model, ...config });
  const read = { "model.init": warmupFolder, train: data.train, dev: devFileOf(config) };
  const files = hashInputs({ ...read, ...baseOf(opened) });
  const inputs = { ...files, ...hashPrompt(prompt), ...rewards.hashes };
  checkInputs(resumed?.inputs, inputs);
  const policy = endingTurns(opened, tokenizer, prompt);
  const reference = ppo?.klCoefficient === 0 ? undefined : openReference(warmupFolder, policy);
  const objective = ppo && objectiveOf(ppo);
  const valueHead = objective?.needsValueHead ? createValueHead(policy.config) : undefined;
  const eosIds = endTokens(policy, tokenizer);
  checkRoom(policy, {
    subject: "data.maxPromptTokens allows",
    promptTokens: data.maxPromptTokens,
    answerTokens: Math.max(sampling.maxNewTokens, evaluation.maxNewTokens),
    advice: "lower data.maxPromptTokens, rollout.maxNewTokens or evaluation.maxNewTokens",
  });
  say(
    `ReFT: ${questions.length} questions (${tooLong} too long), ${dev.questions.length} dev questions ` +
      `(${dev.tooLong} too long), ` +
      `${describeSize(policy)}, in ${folder}`,
  );

  // 3. the parts of a step
  const adamW = new AdamW(
    [trainedVariables(policy), ...(valueHead ? [valueHead] : [])].map((group) => ({
      variables: [...group.values()],
    })),
    optimizer,
  );
  if (resume) loadOptimizer(adamW, join(resume.folder, "training"));
  if (resume && valueHead)
    restoreVariables(valueHead, join(resume.folder, "training", valueHeadFile));
  await using reward = await openReward({
    cotKind: data.cotKind,
    sandbox: config.sandbox,
    rewards,
    partialReward: ppo?.partialReward ?? 0,
    paperParity: config.paperParity,
  });
  const { judge } = reward;
  const parts = {
    generator: createGenerator(policy, {
      slots: sampling.slots,
      maxTokens: longestPrompt(questions) + sampling.maxNewTokens,
      temperature: 1,
      kvCacheDtype: sampling.kvCacheDtype,
    }),
    judge,
    tokenizer,
    policyScorer: createScorer(policy, valueHead),
    referenceScorer: reference && createScorer(reference.model),
  };
  const { microBatchTokens, recompute } = training;
  const updateOptions = {
    ...ppo!,
    microBatchTokens,
    recompute,
    maxNewTokens: sampling.maxNewTokens,
  };
  const updater = objective && createUpdater(policy, valueHead, adamW, objective, updateOptions);
  const selfTrainer =
    selfTraining &&
    createSelfTrainer(policy, adamW, { ...selfTraining, microBatchTokens, recompute });
  const evaluator = createEvaluator(policy, tokenizer, judge, data.maxPromptTokens, evaluation);
  const lesson = objective?.lesson ?? rightLesson;
  const skips = createSkips(run, alarms.maxSkippedSteps, resumed?.skippedSteps);
  const watch = createAlarms(alarms, lesson, ppo !== undefined, resumed?.alarms);
  const collapseWatch = createCollapseWatch(alarms, resumed?.alarms);
  let collapse: Collapse | undefined;

  const { perEpoch: stepsPerEpoch, total: totalSteps } = reftSteps(config, start);
  const questionsOf = createEpochs(
    questions,
    sampling.questionsPerStep,
    stepsPerEpoch,
    config.seed,
  );
  const accuracy = createAccuracyMeasure(run, evaluator, dev.questions, resumed?.bestAccuracy);

  const { dynamicSampling } = ppo ?? {};
  function* requestRounds(step: number, own: readonly Question[]) {
    const rng = Rng.named(config.seed, `step ${step} further questions`);
    for (const asked of questionRounds(own, questions, dynamicSampling?.maxRounds ?? 1, rng)) {
      yield asked.flatMap((question) =>
        Array.from({ length: sampling.samplesPerQuestion }, (_, i) => ({
          question,
          rng: Rng.named(config.seed, `step ${step} ${question.example.id} sample ${i}`),
        })),
      );
    }
  }
  const tokensOf =
    rewards.parts && ((row: Example) => completionTokens(tokenizer, row, row.cot!, prompt));

  const takeStep = async (step: number) => {
    const startedAt = performance.now();

    // 4. roll out: sampled responses to this step's questions, run in the sandbox, scored by their answers
    const asked = questionsOf(step);
    const rollout = await collectRollout(parts, requestRounds(step, asked), {
      ...{ maxNewTokens: sampling.maxNewTokens, eosIds, microBatchTokens },
      ...(dynamicSampling && { differingQuestions: sampling.questionsPerStep }),
    });
    const { experiences, answers, infrastructureFailures, logprobGap } = rollout;
    const requested = answers.length + infrastructureFailures;
    checkRollout(run, step + 1, requested, infrastructureFailures, logprobGap, alarms);
    if (kept && (step + 1) % kept.everySteps === 0)
      writeRollouts(run, step + 1, rolloutRecords(answers, kept.questions));
    const rolloutSeconds = (performance.now() - startedAt) / 1000;

    // 5. credit each token with its advantage; in self-training, find what is right instead
    const credited = objective?.credit(experiences);
    const right =
      selfTraining &&
      rightAnswers(experiences, goldAnswers(tokenizer, asked, sampling.maxNewTokens, prompt));

    // 6. optimise the clipped objective for a few passes over that rollout; in self-training, the cross-entropy
    const factor = constantSchedule(step + 1, optimizer.warmupSteps);
    const { learningRate, valueHeadLearningRate } = optimizer;
    const rates = {
      policy: step < (ppo?.valueWarmupSteps ?? 0) ? null : learningRate * factor,
      valueHead: valueHeadLearningRate === undefined ? null : valueHeadLearningRate * factor,
    };
    const rng = Rng.named(config.seed, `step ${step} minibatches`);
    const broken = notFiniteIn(credited ?? []); // nothing is learned from such a rollout
    const { skipped, ...update } = credited
      ? updater!.update(broken ? [] : credited, rates, rng)
      : selfTrainer!.update(right!, rates, rng);

    // 7. say what happened
    const leftOut = skips.after(step + 1, broken ? [broken] : skipped);
    const summary = summariseRollout(rollout);
    for (const alarm of watch.after(summary.signs)) raiseAlarm(run, step + 1, alarm);
    collapse = collapseWatch.after(summary.signs);
    if (collapse) raiseAlarm(run, step + 1, { name: "collapse", ...collapse });
    return {
      ...summary.metrics,
      ...(config.paperParity && { "train/accuracy": summary.metrics["reward/score"]! }),
      "rollout/logprobGap": logprobGap,
      "rollout/infrastructureFailures": infrastructureFailures,
      ...(dynamicSampling && {
        "rollout/rounds": rollout.rounds,
        "rollout/learnedQuestions": groupByQuestion(experiences).length,
      }),
      ...leftOut,
      ...named(ppo ? "ppo" : "selfTraining", { ...update, learningRate: rates.policy ?? 0 }),
      "time/rolloutSeconds": rolloutSeconds,
    };
  };

  const answersPerRound = sampling.questionsPerStep * sampling.samplesPerQuestion;
  const sampledTokens = (figures: Figures) =>
    figures["response/lengthTokens"]! * answersPerRound * (figures["rollout/rounds"] ?? 1);

  const plan = {
    label: "ReFT",
    totalSteps,
    stepsPerEpoch,
    measuresStart: true, // the warm-up model
    measureEverySteps: evaluation.everySteps,
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
        saveModelFolder(target, policy, tokenizer, format);
        if (valueHead) saveVariables(valueHead, join(trainingFolder, valueHeadFile));
        saveOptimizer(adamW, trainingFolder);
      },
      state: () => {
        const alarms = { ...watch.counts(), ...collapseWatch.counts() };
        const skippedSteps = skips.inARow();
        return { bestAccuracy: accuracy.best(), alarms, skippedSteps, inputs } satisfies ReftState;
      },
      pauses: () => (alarms.onCollapse === "stop" ? collapse : undefined),
      shown: (figures) => ({
        correct: percent(figures["reward/correctFraction"]!),
        kl: figures["kl/reference"]?.toFixed(3) ?? "-",
        best: percent(accuracy.best()),
        ...tokensPerSecond(sampledTokens(figures), figures),
      }),
    });
  } finally {
    const { generator, policyScorer, referenceScorer } = parts;
    for (const part of [
      generator,
      policyScorer,
      referenceScorer,
      updater,
      selfTrainer,
      evaluator,
      adamW,
    ])
      part?.dispose();
    disposeModel(policy);
    reference?.[Symbol.dispose]();
    for (const variable of valueHead?.values() ?? []) variable.dispose();
  }
  return accuracy.best();
}

/** The responses to the first so many questions, as lines of a file, with what the rewards say of each. */
function rolloutRecords(answers: readonly Answer[], questions: number) {
  const groups = groupBy(answers, ({ question }) => question).slice(0, questions);
  return groups.flat().map((answer) => ({ ...answerRecord(answer), logs: answer.verdict.logs }));
}

/** Figures under names with a prefix. */
function named(prefix: string, figures: object): Record<string, number> {
  const entries = Object.entries(figures) as [string, number][];
  return Object.fromEntries(entries.map(([name, figure]) => [`${prefix}/${name}`, figure]));
}

/** @throws UserError when sampled and recomputed log-probabilities disagree, or the sandbox fails too often */
function checkRollout(
  run: Run,
  step: number,
  requested: number,
  failures: number,
  logprobGap: number,
  limits: ReftConfig["alarms"],
): void {
  if (failures === requested || failures / requested > limits.maxInfrastructureFraction) {
    const message =
      `the sandbox could not run ${failures} of ${requested} programs (alarms.maxInfrastructureFraction is ` +
      `${limits.maxInfrastructureFraction})`;
    const figures = { "rollout/infrastructureFailures": failures };
    throw stopsRun(run, step, { name: "infrastructure", figures, message }, "See docs/sandbox.md");
  }
  if (Number.isFinite(logprobGap) && logprobGap > limits.maxLogprobGap) {
    const message =
      `log-probabilities when sampled and when recomputed differ by ${logprobGap} on average ` +
      `(alarms.maxLogprobGap is ${limits.maxLogprobGap}): PPO would learn from wrong ratios`;
    const figures = { "rollout/logprobGap": logprobGap };
    const advice =
      "With precision bf16 or rollout.kvCacheDtype bf16 rounding makes such a gap: raise the limit (docs/recipe.md)";
    throw stopsRun(run, step, { name: "logprobGap", figures, message }, advice);
  }
}
