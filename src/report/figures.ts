// Every figure of metrics.jsonl, what it means, what is normal and what to do when it is not: what docs/metrics.md and the report say.

/** One figure. Texts have code in backticks, as Markdown does. */
export interface Figure {
  /** In metrics.jsonl; `reward/<name>` stands for all of which no other row is. */
  readonly name: string;
  readonly meaning: string;
  readonly normal: string;
  /** What to do when it is not normal; empty where nothing follows. */
  readonly otherwise: string;
  /** From and to, where `normal` can be said in numbers that hold for every model. */
  readonly band?: readonly [low: number, high: number];
  /** The setting that has a limit of this figure. */
  readonly limit?: string;
}

/** Figures that are measured together: a table of docs/metrics.md. */
export interface FigureGroup {
  readonly title: string;
  readonly figures: readonly Figure[];
}

export const figureGroups: readonly FigureGroup[] = [
  {
    title: "All stages",
    figures: [
      {
        name: "time/stepSeconds",
        meaning: "seconds of the step; measuring and writing a checkpoint are not included",
        normal: "level, longer while new shapes are traced in the first steps",
        otherwise: "the machine is busy, or the responses have grown",
      },
      {
        name: "memory/peakMegabytes",
        meaning:
          "the most memory that the process has had, in 10^6 bytes; without a GPU's and the sandbox's",
        normal:
          "rises in the first steps, at the first measurement and at the first checkpoint, then hardly",
        otherwise:
          "more than the machine has ends the run: lower training.microBatchTokens or the slots, set training.recompute, or train an adapter (docs/memory.md)",
      },
      {
        name: "memory/forecastMegabytes",
        meaning:
          "what `memory/peakMegabytes` was expected to be before the run, in 10^6 bytes; on a GPU the device's memory, too",
        normal: "the same number at every step, within a tenth of the peak",
        otherwise: "the run says so at its end; `--dry-run` shows the parts (docs/memory.md)",
      },
      {
        name: "memory/numTensors",
        meaning: "tensors alive in tfjs or below it, whichever are more",
        normal: "the same number at every step",
        otherwise: "a growing number is a leak, a defect of the program: please report it",
      },
      {
        name: "memory/tracedFunctions",
        meaning:
          "compiled functions that the process has traced so far, one per compiled step and shapes of its inputs; a run that goes on counts anew",
        normal:
          "rises in the first steps and at the first measurement, then hardly: batches come in few sizes",
        otherwise:
          "each costs seconds and memory. Rises step by step after several epochs: a defect of the program, please report it",
      },
    ],
  },
  {
    title: "Dev questions",
    figures: [
      {
        name: "eval/accuracy",
        meaning:
          "share of the dev questions whose greedy answer is right; only at steps that are measured; step 0 is the model that the run starts from, if it starts from one",
        normal:
          "rises. Its standard error is √(p(1 − p) / questions): 3.5 points for 200 questions at p = 0.5, 2.2 for 500",
        otherwise:
          "changes within two standard errors say nothing: take more dev questions (`evaluation.questions`)",
      },
      {
        name: "eval/extractedFraction",
        meaning: "share of those answers from which an answer came out, right or wrong",
        normal: "near 1 after the warm-up",
        otherwise:
          "read the outcomes in `samples/`: `error` is a program that fails, `no-answer` one that returns nothing usable, `timeout` one that does not end",
        band: [0.95, 1],
      },
      {
        name: "eval/truncatedFraction",
        meaning: "share of those answers that ran into `evaluation.maxNewTokens` before EOS",
        normal: "near 0",
        otherwise:
          "raise `evaluation.maxNewTokens`; if the answers ramble, the model has not learned EOS yet",
        band: [0, 0.05],
      },
      {
        name: "eval/lengthTokens",
        meaning: "mean length of those answers",
        normal: "near that of the training completions",
        otherwise: "much longer: see `eval/truncatedFraction`",
      },
      {
        name: "eval/infrastructureFailures",
        meaning:
          "answers whose program the sandbox failed to run; they count as wrong; more than 5 % of them stop the run",
        normal: "0",
        otherwise: "the accuracy is too low by up to this many answers; see docs/sandbox.md",
        band: [0, 0],
      },
    ],
  },
  {
    title: "SFT",
    figures: [
      {
        name: "sft/loss",
        meaning: "cross-entropy per completion token over the global batch, before the update",
        normal:
          "a new model starts near the log of its vocabulary size (6.9 for 1,024 tokens) or a little above, then falls",
        otherwise:
          "rises or jumps: lower `optimizer.learningRate`. Does not fall: raise it, or look at the data. Not finite: the step is skipped, see below",
      },
      {
        name: "sft/learningRate",
        meaning: "rate of this update",
        normal: "0 at the first step of a warm-up, then as the schedule says",
        otherwise: "see `optimizer` and `training.scheduleEpochs` in the run's `config.yaml`",
      },
      {
        name: "sft/gradNorm",
        meaning: "norm of the gradient over all weights together, before it is clipped",
        normal: "falls in the first steps, then level",
        otherwise:
          "above `optimizer.maxGradNorm` at every step, every update is clipped: lower the learning rate. Not finite: the step is skipped, see below",
        limit: "optimizer.maxGradNorm",
      },
      {
        name: "sft/lossTokens",
        meaning: "completion tokens of the global batch",
        normal: "level; less in the last batch of an epoch",
        otherwise: "",
      },
    ],
  },
  {
    title: "Rollouts",
    figures: [
      {
        name: "reward/score",
        meaning:
          "mean score: 1 right, `ppo.partialReward` for a wrong answer, else 0; with a reward of your own, what it gave. KL penalties are not in it",
        normal: "rises slowly",
        otherwise:
          "falls while `kl/reference` rises: lower the learning rate or raise `ppo.klCoefficient`",
      },
      {
        name: "reward/correctFraction",
        meaning: "share of right answers",
        normal:
          "rises slowly. Usually below `eval/accuracy`, because it is sampled at temperature 1",
        otherwise:
          "near 0: too little to learn from, warm up longer; 0 though answers come out: look whether any answer can equal the gold answers. Near 1: the questions are too easy",
      },
      {
        name: "reward/extractedFraction",
        meaning: "share from which an answer came out",
        normal: "near 1",
        otherwise:
          "alarm: the warm-up was too short if it was so from the start, else the policy collapses",
        band: [0.95, 1],
        limit: "alarms.minExtractedFraction",
      },
      {
        name: "reward/<name>",
        meaning:
          "mean score of each reward of `reward`, unweighted, and of the figures that rewards log (docs/rewards.md)",
        normal: "",
        otherwise: "",
      },
      {
        name: "kl/reference",
        meaning: "k1: mean over tokens of logprob − reference logprob",
        normal:
          "0 while the policy has not moved (so at step 1), then small, positive on average, growing slowly",
        otherwise:
          "grows fast: lower `optimizer.learningRate`, raise `ppo.klCoefficient`. Negative for long: alarm, the log-probabilities do not belong to the samples",
      },
      {
        name: "kl/referenceK3",
        meaning:
          "k3: the same divergence estimated as exp(−d) − 1 + d for d = logprob − reference logprob; never negative",
        normal: "close to `kl/reference` while the drift is small",
        otherwise:
          "far above it: single tokens that the reference finds much likelier than the policy does",
      },
      {
        name: "kl/perResponse",
        meaning: "mean over responses of the sum of d",
        normal: "`kl/reference` times the length, roughly",
        otherwise: "as `kl/reference`",
      },
      {
        name: "response/lengthTokens",
        meaning: "mean length",
        normal: "level",
        otherwise:
          "falls towards a few tokens or climbs to `rollout.maxNewTokens`: read `samples/`",
      },
      {
        name: "response/truncatedFraction",
        meaning: "share that ran into `rollout.maxNewTokens` before EOS",
        normal: "near 0",
        otherwise: "alarm: raise `rollout.maxNewTokens`, or the policy has forgotten how to stop",
        band: [0, 0.05],
        limit: "alarms.maxTruncatedFraction",
      },
      {
        name: "response/entropyEstimate",
        meaning: "mean over responses of −logprob per token: an estimate of the policy's entropy",
        normal: "falls slowly",
        otherwise:
          "near 0, all samples of a question are alike and nothing new is tried: lower the learning rate, raise `ppo.klCoefficient`, or start from an earlier warm-up",
      },
      {
        name: "rollout/logprobGap",
        meaning:
          "mean over tokens of how far the log-probabilities of sampling (with cache) and of training (packed) differ, before the first update",
        normal: "below 1e-6 in a tiny float32 model; 1e-5 to 2e-2 with `precision: bf16`",
        otherwise: "above `alarms.maxLogprobGap` the run stops",
        limit: "alarms.maxLogprobGap",
      },
      {
        name: "rollout/groupsWithoutSpread",
        meaning:
          "share of the questions whose responses all score the same; 1 with one response per question",
        normal: "below 1 with several; higher as questions become too easy or stay too hard",
        otherwise:
          "near 1, GRPO and RLOO have almost nothing to learn from: raise `rollout.samplesPerQuestion`, or take other questions",
      },
      {
        name: "rollout/infrastructureFailures",
        meaning: "responses left out because the sandbox, not their program, failed",
        normal: "0",
        otherwise:
          "above `alarms.maxInfrastructureFraction` of the rollout, or all of it, the run stops; see docs/sandbox.md",
        band: [0, 0],
      },
      {
        name: "rollout/rounds",
        meaning:
          "only with `ppo.dynamicSampling`: rounds of `rollout.questionsPerStep` questions that were asked",
        normal: "1 or 2",
        otherwise: "`maxRounds` at most steps: alarm, raise it or `rollout.samplesPerQuestion`",
      },
      {
        name: "rollout/learnedQuestions",
        meaning: "only with `ppo.dynamicSampling`: questions that the updates learn from",
        normal: "`rollout.questionsPerStep`",
        otherwise: "below it: alarm, as `rollout/rounds`",
      },
      {
        name: "time/rolloutSeconds",
        meaning: "seconds of sampling, judging and scoring with policy and reference",
        normal: "most of `time/stepSeconds`, with few passes over each rollout",
        otherwise:
          "time-outs hold a worker for the whole limit: lower `sandbox.timeoutSeconds` or raise `sandbox.workers`",
      },
      {
        name: "train/accuracy",
        meaning:
          "only with `paperParity`: what the authors log under this name, which is `reward/score`",
        normal: "",
        otherwise: "compare `reward/correctFraction` instead",
      },
    ],
  },
  {
    title: "Updates",
    figures: [
      {
        name: "ppo/policyLoss",
        meaning: "clipped surrogate, negated",
        normal: "near 0, of either sign; it need not fall",
        otherwise: "updates that are not finite are skipped and not in it, see below",
      },
      {
        name: "ppo/valueLoss",
        meaning:
          "only with `ppo.advantages` gae: half the squared error of the values, the larger of the plain and the clipped one; before `ppo.valueCoefficient`",
        normal: "falls during the first steps",
        otherwise: "rises: lower `optimizer.valueHeadLearningRate`",
      },
      {
        name: "ppo/klLoss",
        meaning:
          "only with `ppo.advantages` grpo: k3 estimate of the divergence from the reference, the mean over the tokens of a response, then over the responses; before `ppo.klCoefficient`",
        normal: "grows slowly",
        otherwise: "as `kl/reference`",
      },
      {
        name: "ppo/entropy",
        meaning:
          "only with `ppo.entropyCoefficient`: entropy of the policy, the mean over the tokens in the loss",
        normal: "level, or falls slowly",
        otherwise:
          "rises without end, and the answers become noise: lower `ppo.entropyCoefficient`. Falls to 0: raise it",
      },
      {
        name: "ppo/explainedVariance",
        meaning:
          "only with `ppo.advantages` gae: 1 − variance(returns − values) / variance(returns), with the values of the time of sampling",
        normal: "0 at first, because the head says 0; then rises. 1 is a perfect head",
        otherwise:
          "negative for long, the head is worse than a constant: lower its learning rate, or let it learn alone for a while (`ppo.valueWarmupSteps`)",
      },
      {
        name: "ppo/gradNorm",
        meaning:
          "norm of the gradient of policy and value head (if there is one) together, before it is clipped; during the value warm-up of the head alone",
        normal: "level",
        otherwise:
          "as `sft/gradNorm`. A large value loss dominates it: lower `ppo.valueCoefficient`",
        limit: "optimizer.maxGradNorm",
      },
      {
        name: "ppo/clipFraction",
        meaning: "share of tokens whose ratio to the sampling policy left the clip range",
        normal: "0 during the value warm-up, then below 0.2 (rule of thumb)",
        otherwise: "higher: lower the learning rate or `ppo.ppoEpochs`",
        band: [0, 0.2],
      },
      {
        name: "ppo/approxKl",
        meaning:
          "mean over tokens of ratio − 1 − log ratio: how far the updates moved the policy from the one that sampled",
        normal: "below 0.05 (rule of thumb). During the value warm-up 0, give or take rounding",
        otherwise: "as `ppo/clipFraction`",
        band: [0, 0.05],
      },
      {
        name: "ppo/meanRatio",
        meaning: "mean ratio",
        normal: "1 within a few hundredths",
        otherwise: "as `ppo/clipFraction`",
        band: [0.95, 1.05],
      },
      {
        name: "ppo/firstClipFraction",
        meaning: "share of tokens clipped in the very first minibatch of the step",
        normal: "0",
        otherwise:
          "anything else is a defect: the log-probabilities that are compared do not belong to the same weights",
        band: [0, 0],
      },
      {
        name: "ppo/learningRate",
        meaning: "the policy's rate in this step",
        normal: "0 during the value warm-up, then as the schedule says",
        otherwise: "",
      },
    ],
  },
  {
    title: "Online self-training",
    figures: [
      {
        name: "selfTraining/keptResponses",
        meaning: "responses learned: right, each text once per question",
        normal: "rises, with `reward/correctFraction`; falls when the right ones become alike",
        otherwise: "0: there was nothing of its own to learn; alarm where it stays so",
      },
      {
        name: "selfTraining/goldAnswers",
        meaning: "chains of thought of the data learned",
        normal: "level; 0 with data that has answers alone",
        otherwise:
          "below `rollout.questionsPerStep` although the data has them: the others are longer than `rollout.maxNewTokens`",
      },
      {
        name: "selfTraining/loss",
        meaning: "cross-entropy per token, the mean over the updates; 0 without an update",
        normal: "falls slowly",
        otherwise: "near 0, only what the model already knows by heart is right",
      },
      {
        name: "selfTraining/gradNorm",
        meaning:
          "norm of the gradient before it is clipped, the mean over the updates; 0 without an update",
        normal: "level",
        otherwise: "as `sft/gradNorm`",
        limit: "optimizer.maxGradNorm",
      },
      {
        name: "selfTraining/learningRate",
        meaning: "rate of this step",
        normal: "as the schedule says",
        otherwise: "",
      },
    ],
  },
  {
    title: "Reranker",
    figures: [
      {
        name: "rerank/loss",
        meaning: "cross-entropy per sample over the global batch, before the update",
        normal:
          "starts near 0.69 (log 2), then falls towards the entropy of the labels and below it",
        otherwise:
          "does not fall: raise `optimizer.learningRate`, or sample answers to more questions. Not finite: the step is skipped, see below",
      },
      {
        name: "rerank/learningRate",
        meaning: "rate of this update",
        normal: "as `sft/learningRate`",
        otherwise: "as `sft/learningRate`",
      },
      {
        name: "rerank/gradNorm",
        meaning: "norm of the gradient over all weights together, before it is clipped",
        normal: "as `sft/gradNorm`",
        otherwise: "as `sft/gradNorm`",
        limit: "optimizer.maxGradNorm",
      },
      {
        name: "rerank/correctFraction",
        meaning: "share of right samples in the global batch: the balance of the labels",
        normal: "around the share that is printed at the start",
        otherwise: "near 0 or 1, there is little to tell apart: sample answers to other questions",
      },
    ],
  },
  {
    title: "Dev samples of the reranker",
    figures: [
      {
        name: "eval/loss",
        meaning: "cross-entropy per sample",
        normal: "falls, for an epoch or a few",
        otherwise:
          "rises while `rerank/loss` falls: the samples are learned by heart, take fewer epochs or more samples",
      },
      {
        name: "eval/classifierAccuracy",
        meaning: "share of samples that are told right from wrong at a probability of 0.5",
        normal: "above `eval/majorityAccuracy`",
        otherwise:
          "equal to it: with few right samples that happens although the ranking is good, look at the figures of questions",
      },
      {
        name: "eval/majorityAccuracy",
        meaning: "what always giving the more frequent label would reach",
        normal: "the same at every measurement",
        otherwise: "near 1: accuracy says little",
      },
      {
        name: "eval/correctFraction",
        meaning: "share of right samples",
        normal: "the same at every measurement",
        otherwise:
          "far from the share in training: the classifier learned from other questions than it judges",
      },
      {
        name: "eval/brierScore",
        meaning: "mean of (probability − label)²",
        normal: "falls; below p(1 − p), which always saying p = `eval/correctFraction` would reach",
        otherwise: "rises: as `eval/loss`",
      },
      {
        name: "eval/calibrationError",
        meaning:
          "mean over samples of how far mean probability and share of right ones differ in their bin",
        normal: "below 0.05 (rule of thumb)",
        otherwise:
          "look at `calibration/`; for ranking it does not matter, for weighted votes it does",
        band: [0, 0.05],
      },
      {
        name: "eval/votingAccuracy",
        meaning: "the most frequent answer",
        normal: "the same at every measurement",
        otherwise: "",
      },
      {
        name: "eval/weightedVotingAccuracy",
        meaning: "the answer with the largest sum of probabilities",
        normal: "above `eval/votingAccuracy`",
        otherwise: "as `eval/rerankingAccuracy`",
      },
      {
        name: "eval/rerankingAccuracy",
        meaning:
          "the answer of the sample with the highest probability; the best one so far is the best checkpoint",
        normal:
          "rises; above `eval/votingAccuracy` once the classifier knows more than how frequent an answer is",
        otherwise: "below it: train on samples of more questions, or use the weighted vote",
      },
      {
        name: "eval/upperBound",
        meaning: "any of the samples is right",
        normal: "the same at every measurement",
        otherwise: "near the vote: more samples per question help more than a better classifier",
      },
    ],
  },
];

/** The row of a figure. */
export function figureOf(name: string): Figure | undefined {
  return (
    explained.get(name) ?? (name.startsWith("reward/") ? explained.get("reward/<name>") : undefined)
  );
}

const explained = new Map(
  figureGroups.flatMap(({ figures }) => figures.map((figure) => [figure.name, figure] as const)),
);
