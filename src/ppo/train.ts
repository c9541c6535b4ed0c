// Reinforced fine-tuning: PPO on questions whose answers are known, with rewards from running what the policy writes.
// Reference: Trung et al., arXiv 2401.08967, section 3.2 and algorithm 1; differences are listed in docs/recipe.md.
// Beside the paper's advantages there are those of GRPO and RLOO, and the paper's online self-training in place of PPO.
//
// One step is one rollout and its updates. Every random choice is a function of the seed and the step alone, so a run that was
// stopped goes on exactly as if it had not been.
import type { ReftConfig } from "../config.ts";
import { createEpochs } from "../data/epochs.ts";
import { groupBy } from "../data/groupBy.ts";
import { checkSamplingPrefix } from "../data/prompt.ts";
import { usePrecision } from "../engine/products.ts";
import { constantSchedule } from "../engine/schedule.ts";
import { createAccuracyMeasure } from "../evaluate/accuracy.ts";
import { checkGold } from "../evaluate/checkGold.ts";
import { goldOptions } from "../evaluate/goldOptions.ts";
import { type Answer, answerRecord, type Question } from "../generate/answer.ts";
import { requestsOf } from "../generate/requests.ts";
import { saveModelFolder } from "../models/modelFolder.ts";
import { percent } from "../progress.ts";
import { chooseReward, loadRewards, openReward, type TrainOptions } from "../reward/openReward.ts";
import { Rng } from "../rng.ts";
import { questionsFile, writeAbout } from "../run/about.ts";
import { createSkips, raiseAlarm, stopsRun } from "../run/alarms.ts";
import { readManifest } from "../run/checkpointFiles.ts";
import type { ForkOptions } from "../run/fork.ts";
import type { InputHashes } from "../run/inputs.ts";
import { watchInterrupts } from "../run/interrupts.ts";
import { watchMemory } from "../run/memoryWatch.ts";
import { writeRollouts } from "../run/metrics.ts";
import { saveOptimizer } from "../run/optimizerFile.ts";
import { openRun, type Run } from "../run/run.ts";
import { type Figures, runSteps, tokensPerSecond } from "../run/steps.ts";
import { describeSize } from "../run/trainedModel.ts";
import { say } from "../terminal.ts";
import { createAlarms, type Lesson, type StepSigns } from "./alarms.ts";
import { type Collapse, createCollapseWatch } from "./collapse.ts";
import { questionRounds } from "./dynamicSampling.ts";
import { createParts, openModels, type Parts, saveValueHead } from "./parts.ts";
import { collectRollout, groupByQuestion, type Rollout } from "./rollout.ts";
import { forecastReft, type ReftStart, readReftStart, reftSteps } from "./start.ts";
import { summariseRollout } from "./summary.ts";
import type { LearningRates, UpdateMetrics } from "./update.ts";

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
  const { data, rollout, ppo, evaluation } = config;

  // 1. questions, and what of memory they will ask for
  const resume = run.resumeFrom;
  const resumed = resume?.state as ReftState | undefined;
  const choice = chooseReward(config.reward, own);
  const rewards = loadRewards(choice);
  const start = readReftStart(config, choice, resume?.folder);
  const { tokenizer, prompt, format, train, dev } = start;
  if (config.selfTraining) checkSamplingPrefix(tokenizer, train, format.sampling);
  const memory = watchMemory(forecastReft(config, start));

  // 2. the models: what is learned, and what holds it to its beginning
  using models = openModels(config, start, rewards, resume?.folder, resumed?.inputs);
  const { policy, valueHead, inputs } = models;
  say(
    `ReFT: ${start.questions.length} questions (${start.tooLong} too long), ${dev.questions.length} dev questions ` +
      `(${dev.tooLong} too long), ` +
      `${describeSize(policy)}, in ${folder}`,
  );

  writeAbout(run, [
    questionsFile("data.train", start),
    questionsFile(config.paperParity ? "data.test" : "data.dev", dev),
  ]);

  // 3. the parts of a step
  await using reward = await openReward({
    cotKind: data.cotKind,
    sandbox: config.sandbox,
    rewards,
    partialReward: ppo?.partialReward ?? 0,
    paperParity: config.paperParity,
  });
  const { judge } = reward;
  using parts = createParts(config, start, models, judge, resume?.folder);
  const watch = createWatch(run, config, parts.learner.lesson, resumed);
  const accuracy = createAccuracyMeasure(
    run,
    parts.evaluator,
    dev.questions,
    resumed?.bestAccuracy,
  );

  const { perEpoch: stepsPerEpoch, total: totalSteps } = reftSteps(config, start);
  const plan = {
    label: "ReFT",
    totalSteps,
    stepsPerEpoch,
    measuresStart: true, // the warm-up model
    measureEverySteps: evaluation.everySteps,
    saveEverySteps: config.checkpoint.everySteps,
    ...{ memory, trialSteps },
  };
  if (!resumed && trialSteps === undefined)
    await checkGold(data.train, train, judge, goldOptions(tokenizer, prompt, rewards));
  await runSteps(run, interrupts, plan, {
    trained: parts.adamW,
    step: createStep(run, config, start, parts, watch),
    measure: accuracy.measure,
    save: (target, trainingFolder) => {
      saveModelFolder(target, policy, tokenizer, format);
      if (valueHead) saveValueHead(valueHead, trainingFolder);
      saveOptimizer(parts.adamW, trainingFolder);
    },
    state: () => ({ bestAccuracy: accuracy.best(), ...watch.state(), inputs }) satisfies ReftState,
    pauses: watch.pauses,
    shown: (figures) => ({
      correct: percent(figures["reward/correctFraction"]!),
      kl: figures["kl/reference"]?.toFixed(3) ?? "-",
      ...(accuracy.best() >= 0 && { best: percent(accuracy.best()) }),
      ...tokensPerSecond(sampledTokens(rollout, figures), figures),
    }),
  });
  return accuracy.best();
}

/** One step: a rollout and what is learned from it. */
function createStep(
  run: Run,
  config: ReftConfig,
  start: ReftStart,
  { rollout: parts, learner, eosIds }: Parts,
  watch: Watch,
): (step: number) => Promise<Figures> {
  const { rollout: sampling, ppo, seed, logging } = config;
  const { perEpoch } = reftSteps(config, start);
  const questionsOf = createEpochs(start.questions, sampling.questionsPerStep, perEpoch, seed);
  const options = {
    maxNewTokens: sampling.maxNewTokens,
    eosIds,
    microBatchTokens: config.training.microBatchTokens,
    ...(ppo?.dynamicSampling && { differingQuestions: sampling.questionsPerStep }),
  };
  return async (step) => {
    const startedAt = performance.now();

    // 4. roll out: sampled responses to this step's questions, run in the sandbox, scored by their answers
    const asked = questionsOf(step);
    const rounds = requestRounds(config, start.questions, asked, step);
    const rollout = await collectRollout(parts, rounds, options);
    checkRollout(run, step + 1, rollout, config.alarms);
    const kept = logging?.rollouts;
    if (kept && (step + 1) % kept.everySteps === 0)
      writeRollouts(run, step + 1, rolloutRecords(rollout.answers, kept.questions));
    const rolloutSeconds = (performance.now() - startedAt) / 1000;

    // 5. credit, and 6. optimise: ppoLearner and selfTrainingLearner in learner.ts
    const rates = ratesOf(config, step);
    const rng = Rng.named(seed, `step ${step} minibatches`);
    const { skipped, ...learned } = learner.learn(rollout.experiences, asked, rates, rng);

    // 7. say what happened
    const summary = summariseRollout(rollout);
    const leftOut = watch.after(step + 1, skipped, summary.signs);
    return {
      ...summary.metrics,
      ...(config.paperParity && { "train/accuracy": summary.metrics["reward/score"]! }),
      "rollout/logprobGap": rollout.logprobGap,
      "rollout/infrastructureFailures": rollout.infrastructureFailures,
      ...(ppo?.dynamicSampling && {
        "rollout/rounds": rollout.rounds,
        "rollout/learnedQuestions": groupByQuestion(rollout.experiences).length,
      }),
      ...leftOut,
      ...named(ppo ? "ppo" : "selfTraining", { ...learned, learningRate: rates.policy ?? 0 }),
      "time/rolloutSeconds": rolloutSeconds,
    };
  };
}

/** What a step asks: its own questions and, with dynamic sampling, round after round others; each answer has a stream of its own. */
function* requestRounds(
  { seed, rollout, ppo }: ReftConfig,
  all: readonly Question[],
  own: readonly Question[],
  step: number,
) {
  const rng = Rng.named(seed, `step ${step} further questions`);
  for (const asked of questionRounds(own, all, ppo?.dynamicSampling?.maxRounds ?? 1, rng)) {
    yield requestsOf(
      asked.map((question) => ({ question })),
      rollout.samplesPerQuestion,
      seed,
      ({ question }) => `step ${step} ${question.example.id}`,
    );
  }
}

function ratesOf({ optimizer, ppo }: ReftConfig, step: number): LearningRates {
  const factor = constantSchedule(step + 1, optimizer.warmupSteps);
  const { learningRate, valueHeadLearningRate } = optimizer;
  return {
    policy: step < (ppo?.valueWarmupSteps ?? 0) ? null : learningRate * factor,
    valueHead: valueHeadLearningRate === undefined ? null : valueHeadLearningRate * factor,
  };
}

/** Warns of what goes wrong from step to step, and knows for how many steps it has. */
interface Watch {
  /** @returns what the step logs of updates that were left out */
  after(step: number, skipped: UpdateMetrics["skipped"], signs: StepSigns): Figures;
  pauses(): Collapse | undefined;
  state(): Pick<ReftState, "alarms" | "skippedSteps">;
}

function createWatch(
  run: Run,
  { alarms: limits, ppo }: ReftConfig,
  lesson: Lesson,
  before: ReftState | undefined,
): Watch {
  const skips = createSkips(run, limits.maxSkippedSteps, before?.skippedSteps);
  const alarms = createAlarms(limits, lesson, ppo !== undefined, before?.alarms);
  const { resumeFrom } = run;
  const limitsBefore = resumeFrom && (readManifest(resumeFrom.folder).config as ReftConfig).alarms;
  const collapses = createCollapseWatch(limits, before?.alarms, limitsBefore);
  let collapse: Collapse | undefined;
  return {
    after(step, skipped, signs) {
      const leftOut = skips.after(step, skipped);
      for (const alarm of alarms.after(signs)) raiseAlarm(run, step, alarm);
      collapse = collapses.after(signs);
      if (collapse) raiseAlarm(run, step, { name: "collapse", ...collapse });
      return leftOut;
    },
    pauses: () => (limits.onCollapse === "stop" ? collapse : undefined),
    state: () => ({
      alarms: { ...alarms.counts(), ...collapses.counts() },
      skippedSteps: skips.inARow(),
    }),
  };
}

/** Tokens that a step sampled, by its figures. */
function sampledTokens(
  { questionsPerStep, samplesPerQuestion }: ReftConfig["rollout"],
  figures: Figures,
): number {
  const answers = questionsPerStep * samplesPerQuestion * (figures["rollout/rounds"] ?? 1);
  return figures["response/lengthTokens"]! * answers;
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
  { answers, infrastructureFailures: failures, logprobGap }: Rollout,
  limits: ReftConfig["alarms"],
): void {
  const requested = answers.length + failures;
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
