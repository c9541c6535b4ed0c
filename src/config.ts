// What a run can be told: every setting of every stage, read from one YAML file and the command line, checked strictly.
// No setting has a hidden default: one file is one run, complete in itself.
import { z } from "zod";
import { answerForm, comparesAnswers, readRewards, reward, rewardBreach } from "./rewardConfig.ts";
import {
  findMistakes,
  type Mistake,
  mistakesError,
  type Override,
  type Rule,
  readSettings,
  type Settings,
  settingsOf,
  valueAt,
} from "./settings.ts";

export { type Override, parseOverride } from "./settings.ts";

export const path = z.string().min(1); // relative paths start at the working directory
export const count = z.int().min(1);
export const countOrZero = z.int().min(0);
export const positive = z.number().gt(0);
const notNegative = z.number().min(0);
const fraction = z.number().min(0).max(1);
const belowOne = z.number().min(0).lt(1);

export const seed = z.int().min(0).max(0xffffffff).describe("Of every random choice.");

export const precision = z
  .enum(["float32", "tf32", "bf16"])
  .describe("Of matrix products; everything else is float32.");
export type Precision = z.infer<typeof precision>;

export const kvCacheDtype = z
  .enum(["float32", "bf16"])
  .describe("Of cached keys and values; bf16 takes half the memory, and rounds.");
export type KvCacheDtype = z.infer<typeof kvCacheDtype>;

/** The matrices of a layer that can have an adapter. */
export const adapterTargets = [
  ...(["q_proj", "k_proj", "v_proj", "o_proj"] as const),
  ...(["gate_proj", "up_proj", "down_proj"] as const),
];

const weightType = z.enum(["float32", "bf16"]);
export type WeightType = z.infer<typeof weightType>;
const weights = weightType
  .optional()
  .meta({ default: "float32" })
  .describe(
    "How frozen matrices are held in memory; bf16 takes half, and needs an adapter and files of bf16.",
  );

const adapterTargetList = z
  .array(z.enum(adapterTargets))
  .min(1)
  .refine((targets) => new Set(targets).size === targets.length, "expected each matrix once");
const adapter = z.strictObject({
  rank: count.describe("Rows of A and columns of B; peft's r."),
  alpha: positive.describe("The adapters' products count alpha / rank; peft's lora_alpha."),
  targets: z
    .union([z.literal("all"), adapterTargetList], {
      error: `expected all, or a list of ${adapterTargets.join(", ")}`,
    })
    .describe("The matrices of each layer that have one: all, or a list."),
});
export type AdapterConfig = DeepReadonly<z.infer<typeof adapter>>;
const adapterSetting = adapter
  .optional()
  .describe("Train LoRA adapters beside frozen weights, in place of the weights.");

const scratch = z.strictObject({
  vocabSize: count.describe(
    "Size of the tokenizer trained on the training texts, special tokens included.",
  ),
  tokenizer: path.optional().describe("Folder of a ready tokenizer, instead of training one."),
  dim: count.describe("Width of the hidden states."),
  layers: count.describe("Number of layers."),
  heads: count.describe("Attention heads; dim is a multiple of twice their number."),
  kvHeads: count.describe("Heads of keys and values; heads is a multiple of it."),
  ffnDim: count.describe("Width of the feed-forward network."),
  ropeTheta: positive.describe("Base of the rotary embedding."),
  normEpsilon: positive.describe("Added to the mean square in the norms."),
  maxPositions: count.describe("Longest sequence, in tokens."),
  initializerStd: positive.describe("Standard deviation of the first weights."),
  tieEmbeddings: z.boolean().describe("Whether the output matrix is the embedding."),
});

const chatForms =
  '"paper", "chat", { chat: { system: "...", date: 2024-07-26 } } or { file: "..." }';
const chat = z
  .strictObject({
    system: z.string().regex(/\S/).optional().describe("The system's message."),
    date: z.iso
      .date({ error: "expected a day such as 2024-07-26" })
      .optional()
      .describe("For a template that writes today's date."),
  })
  .refine((settings) => Object.keys(settings).length > 0, {
    error: 'expected "system" or "date"; without them write "chat"',
  });
/** How a question is put to the model: as in the paper, as the model's chat template says, or as a Jinja template does. */
export const promptSetting = z.union(
  [
    z.enum(["paper", "chat"]),
    z.strictObject({ chat }),
    z.strictObject({ file: path }), // relative to the working directory
  ],
  { error: `expected ${chatForms}` },
);
/** `paper`, `chat`, a chat with a system's message or a date, or the file of a template: docs/prompts.md. */
export type PromptSetting = DeepReadonly<z.infer<typeof promptSetting>>;

const texts = {
  train: path.describe("JSONL file of the examples to learn from."),
  dev: path.describe("Carved from the training set; chooses the best checkpoint."),
  cotKind: answerForm.describe(
    "What answers are: python for programs, or where in a text the answer stands (docs/rewards.md).",
  ),
  programPrefix: z
    .enum(["docstring", "def", "none"])
    .describe("Given to the model as the start of its answer."),
  prompt: promptSetting
    .optional()
    .meta({ default: "paper" })
    .describe("How a question is put to the model (docs/prompts.md)."),
  maxPromptTokens: count.describe(
    "Longest prompt in tokens; questions with a longer one are left out and counted.",
  ),
};

const optimizer = {
  learningRate: positive.describe("Highest learning rate of AdamW."),
  beta1: belowOne.describe("Decay of the mean of the gradients."),
  beta2: belowOne.describe("Decay of the mean of their squares."),
  epsilon: positive.describe("Added to the root of that mean."),
  weightDecay: notNegative.describe("Decoupled: times the learning rate, off each weight."),
  maxGradNorm: positive.describe("Gradients with a larger global norm are scaled down to it."),
};

const scheduled = {
  ...optimizer,
  schedule: z
    .enum(["linear", "constant"])
    .describe("After the warm-up: down to 0 over scheduleEpochs, or level."),
  warmupFraction: fraction.describe("Of all updates in scheduleEpochs."),
};

const recompute = z
  .boolean()
  .optional()
  .meta({ default: false })
  .describe(
    "True computes layers again in the backward pass, for a third more time, instead of keeping what they are made of.",
  );

const shardOptimizer = z
  .boolean()
  .optional()
  .meta({ default: false })
  .describe(
    "With several processes (`reft launch`): each has the moments of its share of the weights alone, which takes less memory and a second exchange in each update.",
  );

const epochs = {
  epochs: count.describe("Passes over the data."),
  scheduleEpochs: count.describe(
    "Horizon of the schedule; may lie beyond the epochs that are run.",
  ),
  batchSize: count.describe("Sequences per update, however they are split for memory."),
  microBatchTokens: count.describe(
    "Most tokens, padding included, in one forward and backward pass.",
  ),
  recompute,
  shardOptimizer,
};

const evaluation = {
  questions: count.nullable().describe("The first so many of the dev set; null takes all."),
  slots: count.describe("Responses generated side by side."),
  kvCacheDtype: kvCacheDtype.optional().meta({ default: "float32" }),
  maxNewTokens: count.describe("Longest answer, in tokens."),
};

export const sandbox = z.strictObject({
  timeoutSeconds: positive.describe("Processor time of one program."),
  workers: count.describe("Programs that run at once."),
  memoryMegabytes: z.int().min(64).describe("Python's memory for one program."),
});

const maxSkippedSteps = countOrZero
  .optional()
  .meta({ default: 3 })
  .describe(
    "Most steps in a row that are skipped because a number in them is not finite; one more stops the run.",
  );
const skipAlarms = z.strictObject({ maxSkippedSteps }).optional();

const keep = z
  .strictObject({
    last: count.optional().describe("The newest so many, the last one included."),
    every: count
      .optional()
      .describe("Those of every so many steps, a multiple of checkpoint.everySteps."),
  })
  .refine((rules) => Object.keys(rules).length > 0, { error: 'expected "last" or "every"' })
  .optional()
  .describe("Which checkpoints stay besides the best and the last one.");
/** The stages that evaluate by epochs share these settings. */
const checkpoint = z.strictObject({
  everySteps: count
    .nullable()
    .describe("Steps between two checkpoints; null: at each evaluation only."),
  keep,
});
const tensorboard = z
  .boolean()
  .optional()
  .meta({ default: false })
  .describe("True writes figures and samples for TensorBoard, too.");
const logged = "What is written down besides; it changes nothing in the run.";
const logging = z.strictObject({ tensorboard }).optional().describe(logged);

const sftSchema = z.strictObject({
  stage: z.literal("sft").describe("What this file is for: train-sft."),
  seed,
  precision,
  model: z.strictObject({
    // exactly one of the two
    init: path.optional().describe("A Hugging Face folder, a run's folder or a checkpoint."),
    scratch: scratch.optional().describe("A new model in place of one that is there."),
    weights,
  }),
  adapter: adapterSetting,
  data: z.strictObject({
    ...texts,
    maxCompletionTokens: count.describe(
      "Longest completion in tokens, EOS included; examples with a longer one are left out and counted.",
    ),
  }),
  reward: reward
    .optional()
    .describe(
      "Of dev answers; without it the answer is compared with the gold answer, as its form asks.",
    ),
  optimizer: z.strictObject(scheduled),
  training: z.strictObject(epochs),
  evaluation: z.strictObject({
    everyEpochs: count.describe("Epochs between two evaluations."),
    ...evaluation,
  }),
  sandbox,
  checkpoint,
  alarms: skipAlarms,
  logging,
});

/** Settings of the clipped objective, whatever the advantages. */
const clippedObjective = {
  ppoEpochs: count.describe("Passes over each rollout."),
  miniBatchSize: count.describe("Responses per update."),
  clipRange: positive.describe("How far a ratio of probabilities may leave 1: PPO's epsilon."),
  upperClipRange: positive.optional().describe("Of ratios above 1; clipRange unless given."),
  klCoefficient: notNegative.describe("Beta in the paper; with 0 there is no reference model."),
  partialReward: belowOne.describe("For an answer that came out but is wrong."),
  entropyCoefficient: positive
    .optional()
    .describe("Of the policy's mean entropy per token, which the loss then rewards."),
  maskTruncated: z
    .boolean()
    .optional()
    .meta({ default: false })
    .describe("True keeps responses that ran into maxNewTokens out of the loss."),
};

// How the losses of tokens become one: a mean over each response first (unless given), over all tokens of the minibatch or of the
// rollout, or a sum over each response divided by rollout.maxNewTokens.
const lossMean = z
  .enum(["response", "miniBatchTokens", "rolloutTokens", "maxNewTokens"])
  .describe("Over what losses of tokens are averaged: docs/recipe.md.");
export type TokenMean = z.infer<typeof lossMean>;

// Questions whose responses all score the same are left out, and others asked in their place.
const dynamicSampling = z.strictObject({
  maxRounds: count.describe(
    "Most rounds of rollout.questionsPerStep questions in a step, its own included.",
  ),
});

const onlyWithGae = z.never({ error: 'expected none with ppo.advantages "grpo" or "rloo"' });
const onlyWithGrpo = z.never({ error: 'expected none unless ppo.advantages is "grpo"' });
const notWithRloo = z.never({
  error: 'expected none with ppo.advantages "rloo", which takes a response as one action',
});

const withoutValueHead = {
  valueClipRange: onlyWithGae.optional(),
  valueCoefficient: onlyWithGae.optional(),
  gamma: onlyWithGae.optional(),
  gaeLambda: onlyWithGae.optional(),
  valueWarmupSteps: onlyWithGae.optional(),
};
const notWithGae = z.never({
  error:
    'expected none with ppo.advantages "gae", which compares no responses to the same question',
});
const notGrpo = { scaleAdvantages: onlyWithGrpo.optional(), ratio: onlyWithGrpo.optional() };

const ppo = z.discriminatedUnion("advantages", [
  z.strictObject({
    advantages: z
      .literal("gae")
      .describe("Where they come from: gae, a value head; grpo and rloo, the other responses."),
    ...clippedObjective,
    lossMean: lossMean.optional(),
    dynamicSampling: notWithGae.optional(),
    valueClipRange: positive.describe("How far a value may leave what it was when sampled."),
    valueCoefficient: notNegative.describe("Alpha in the paper."),
    gamma: fraction.describe("Discount of rewards; the paper's text calls it lambda."),
    gaeLambda: fraction.describe("The paper's text calls it gamma."),
    valueWarmupSteps: countOrZero.describe("First steps in which the value head alone learns."),
    ...notGrpo,
  }),
  z.strictObject({
    advantages: z
      .literal("grpo")
      .describe("From the other responses to the same question; no value head."),
    ...clippedObjective,
    lossMean: lossMean.optional(),
    dynamicSampling: dynamicSampling
      .optional()
      .describe("Asks other questions in place of those whose responses all score the same."),
    scaleAdvantages: z
      .enum(["group", "rollout", "none"])
      .optional()
      .meta({ default: "group" })
      .describe("By whose deviation."),
    ratio: z
      .enum(["token", "response"])
      .optional()
      .meta({ default: "token" })
      .describe("Of each token, or one for a whole response."),
    ...withoutValueHead,
  }),
  z.strictObject({
    advantages: z.literal("rloo").describe("Likewise."),
    ...clippedObjective,
    lossMean: notWithRloo.optional(),
    dynamicSampling: dynamicSampling
      .optional()
      .describe("Asks other questions in place of those whose responses all score the same."),
    ...notGrpo,
    ...withoutValueHead,
  }),
]);

const selfTraining = z.strictObject({
  epochs: count.describe("Passes over what is right of each rollout."),
  miniBatchSize: count.describe("Most responses per update."),
});

const reftSchema = z.strictObject({
  stage: z.literal("reft").describe("What this file is for: train-reft."),
  seed,
  precision,
  paperParity: z.boolean().describe("True repeats what the authors' code does where we would not."),
  model: z
    .strictObject({
      init: path.describe("The warm-up model: first policy and frozen reference."),
      weights,
    })
    .describe("The warm-up model: first policy and frozen reference."),
  adapter: adapterSetting,
  data: z.strictObject({
    ...texts,
    test: path
      .optional()
      .describe("PaperParity only: the authors choose their checkpoint on the test set."),
  }),
  reward: reward
    .optional()
    .describe("Without it the answer is compared with the gold answer, as its form asks."),
  // Sampling is always at temperature 1 without truncation, so that logprobs are those of the policy itself.
  rollout: z.strictObject({
    questionsPerStep: count.describe("Questions of one rollout."),
    samplesPerQuestion: count.describe("Responses to each of them."),
    maxNewTokens: count.describe("Longest response, in tokens."),
    slots: count.describe("Responses generated side by side."),
    kvCacheDtype: kvCacheDtype.optional().meta({ default: "float32" }),
  }),
  // How to learn from a rollout: exactly one of the two.
  ppo: ppo.optional().describe("Learn by the clipped objective; this or selfTraining."),
  selfTraining: selfTraining
    .optional()
    .describe("The paper's Online-ST: cross-entropy of the responses that are right."),
  optimizer: z.strictObject({
    ...optimizer,
    valueHeadLearningRate: positive.optional().describe('With ppo.advantages "gae".'),
    warmupSteps: countOrZero.describe("Linear from 0, then constant."),
  }),
  training: z.strictObject({
    epochs: count.describe("Passes over the questions."),
    maxSteps: count.nullable().describe("Ends the run early; null: after the epochs."),
    microBatchTokens: count.describe(
      "Most tokens, padding included, in one forward and backward pass.",
    ),
    recompute,
    shardOptimizer,
  }),
  evaluation: z.strictObject({
    everySteps: count.describe("Steps between two evaluations."),
    ...evaluation,
  }),
  sandbox,
  checkpoint: z.strictObject({
    everySteps: count.describe("Steps between two checkpoints, besides those at evaluations."),
    keep,
  }),
  alarms: z.strictObject({
    maxLogprobGap: positive.describe(
      "Mean |recomputed - sampled| before the first update; beyond it the run stops.",
    ),
    maxInfrastructureFraction: fraction.describe(
      "Programs the sandbox could not run; beyond it the run stops.",
    ),
    constantScoreSteps: count.describe(
      "Warns after so many steps in which all responses scored the same, or none was right.",
    ),
    negativeKlSteps: count.describe(
      "Warns after so many steps with a negative mean KL to the reference.",
    ),
    minExtractedFraction: fraction.describe(
      "Warns of collapse when fewer responses give an answer.",
    ),
    maxTruncatedFraction: fraction.describe("Warns when more responses end without EOS."),
    maxSkippedSteps,
    onCollapse: z
      .enum(["warn", "stop"])
      .optional()
      .meta({ default: "warn" })
      .describe("Stop saves, and ends the run with the way back."),
    collapseSteps: count
      .optional()
      .meta({ default: 5 })
      .describe(
        "Steps in a row with a sign of collapse: all score 0, entropy, KL, answers or EOS beyond the limits.",
      ),
    minEntropy: notNegative
      .optional()
      .meta({ default: 0.001 })
      .describe("Less response/entropyEstimate is a sign of collapse."),
    maxKl: positive
      .optional()
      .describe("More kl/reference is a sign of collapse. None is, unless given."),
  }),
  logging: z
    .strictObject({
      tensorboard,
      rollouts: z
        .strictObject({
          everySteps: count.describe("Steps between two rollouts that are kept."),
          questions: count.describe("The first so many questions of the step."),
        })
        .optional()
        .describe("Keeps sampled responses with the score of each reward, in rollouts/."),
    })
    .optional()
    .describe(logged),
});

const rerankSchema = z.strictObject({
  stage: z.literal("rerank").describe("What this file is for: train-rerank."),
  seed,
  precision,
  model: z
    .strictObject({
      init: path.describe("The model whose answers it will judge."),
      weights,
    })
    .describe("The policy whose answers it will judge."),
  adapter: adapterSetting,
  data: z.strictObject({
    samples: path.describe("Judged answers to training questions."),
    devSamples: path.describe("Judged answers to dev questions; chooses the best checkpoint."),
    maxTokens: count.describe("Of question and answer together, EOS included."),
  }),
  optimizer: z.strictObject(scheduled),
  training: z.strictObject(epochs),
  evaluation: z.strictObject({ everyEpochs: count.describe("Epochs between two evaluations.") }),
  checkpoint,
  alarms: skipAlarms,
  logging,
});

export const schemas = { sft: sftSchema, reft: reftSchema, rerank: rerankSchema };

export type DeepReadonly<T> = T extends object
  ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
  : T;

/** Settings of train-sft; docs/settings.md has each with its meaning. */
export interface SftConfig extends DeepReadonly<z.infer<typeof sftSchema>> {}
/** Settings of train-reft; docs/settings.md has each with its meaning. */
export interface ReftConfig extends DeepReadonly<z.infer<typeof reftSchema>> {}
export type PpoConfig = NonNullable<ReftConfig["ppo"]>;
export type SelfTrainingConfig = NonNullable<ReftConfig["selfTraining"]>;
/** Settings of train-rerank; docs/settings.md has each with its meaning. */
export interface RerankConfig extends DeepReadonly<z.infer<typeof rerankSchema>> {}
export type Config = SftConfig | ReftConfig | RerankConfig;
/** What is trained. */
export type Stage = Config["stage"];
/** Settings of a stage. */
export type ConfigOf<S extends Stage> = Extract<Config, { readonly stage: S }>;

const programPrefixRule: Rule<SftConfig | ReftConfig> = {
  reads: ["data.programPrefix", "data.cotKind"],
  breach: ({ data }) =>
    data.cotKind !== "python" && data.programPrefix !== "none"
      ? `expected "none" because data.cotKind is "${data.cotKind}", found "${data.programPrefix}"`
      : undefined,
};

const rewardRule: Rule<SftConfig | ReftConfig> = {
  reads: ["reward", "data.cotKind"],
  breach: ({ reward: given, data }) => {
    const rewards = readRewards(given);
    return rewards && rewardBreach(data.cotKind, rewards);
  },
};

const scheduleRule: Rule<SftConfig | RerankConfig> = {
  reads: ["training.scheduleEpochs", "training.epochs", "optimizer.schedule"],
  breach: ({ training, optimizer: { schedule } }) =>
    schedule === "linear" && training.scheduleEpochs < training.epochs
      ? `expected at least training.epochs = ${training.epochs}, because a linear schedule ` +
        `ends at a learning rate of 0, found ${training.scheduleEpochs}`
      : undefined,
};

const weightsRule: Rule<Config> = {
  reads: ["model.weights", "adapter"],
  breach: ({ model, adapter }) =>
    model.weights === "bf16" && adapter === undefined
      ? 'expected float32 without an adapter, because weights that are trained are float32, found "bf16"'
      : undefined,
};

const keepRule: Rule<Config> = {
  reads: ["checkpoint.keep.every", "checkpoint.everySteps"],
  breach: ({ checkpoint: { keep, everySteps } }) => {
    if (keep?.every === undefined) return undefined;
    if (everySteps === null)
      return `expected none with checkpoint.everySteps null, since nothing says at which steps there are checkpoints, found ${keep.every}`;
    return keep.every % everySteps !== 0
      ? `expected a multiple of checkpoint.everySteps = ${everySteps}, at which there are checkpoints, found ${keep.every}`
      : undefined;
  },
};

const sftRules: readonly Rule<SftConfig>[] = [
  weightsRule,
  keepRule,
  {
    reads: ["adapter", "model.scratch"],
    breach: ({ model: { scratch }, adapter }) =>
      scratch && adapter
        ? "expected none with model.scratch: an adapter stands beside weights that have learned something"
        : undefined,
  },
  programPrefixRule,
  rewardRule,
  scheduleRule,
  {
    reads: ["model"],
    breach: ({ model }) =>
      (model.init === undefined) === (model.scratch === undefined)
        ? `expected exactly one of "init" and "scratch", found ${model.init === undefined ? "neither" : "both"}`
        : undefined,
  },
  {
    reads: ["model.scratch.dim", "model.scratch.heads"],
    breach: ({ model: { scratch } }) =>
      scratch && scratch.dim % (2 * scratch.heads) !== 0
        ? `expected a multiple of 2 * heads = ${2 * scratch.heads}, found ${scratch.dim}`
        : undefined,
  },
  {
    reads: ["model.scratch.heads", "model.scratch.kvHeads"],
    breach: ({ model: { scratch } }) =>
      scratch && scratch.heads % scratch.kvHeads !== 0
        ? `expected a multiple of kvHeads = ${scratch.kvHeads}, found ${scratch.heads}`
        : undefined,
  },
  {
    reads: [
      "model.scratch.maxPositions",
      "data.maxPromptTokens",
      "data.maxCompletionTokens",
      "evaluation.maxNewTokens",
    ],
    breach: ({ model: { scratch }, data, evaluation }) => {
      const answer = Math.max(data.maxCompletionTokens, evaluation.maxNewTokens);
      const longest = data.maxPromptTokens + answer;
      return scratch && scratch.maxPositions < longest
        ? `expected at least ${longest} for the longest prompt with its answer, found ${scratch.maxPositions}`
        : undefined;
    },
  },
  {
    reads: ["training.microBatchTokens", "data.maxPromptTokens", "data.maxCompletionTokens"],
    breach: ({ training: { microBatchTokens }, data: { maxPromptTokens, maxCompletionTokens } }) =>
      tooSmallMicroBatch(microBatchTokens, maxPromptTokens + maxCompletionTokens),
  },
];

/**
 * Between sampled and recomputed log-probabilities: with products of bf16 0.001 were measured for 0.7 M weights and 0.013 for 135 M, with
 * a cache of bf16 0.005 for 135 M.
 */
const leastBf16Gap = 0.01;

const reftRules: readonly Rule<ReftConfig>[] = [
  weightsRule,
  keepRule,
  programPrefixRule,
  rewardRule,
  {
    reads: ["ppo.partialReward", "reward"],
    breach: ({ ppo, reward: given }) =>
      ppo && ppo.partialReward > 0 && !comparesAnswers(readRewards(given))
        ? `expected 0, because no reward compares answers with gold answers, found ${ppo.partialReward}`
        : undefined,
  },
  {
    reads: ["data.test", "paperParity"],
    breach: ({ data, paperParity }) => {
      if (paperParity && data.test === undefined)
        return "missing: with paperParity the checkpoint is chosen on the test set";
      if (!paperParity && data.test !== undefined)
        return "expected no test set unless paperParity is true: checkpoints are chosen on data.dev";
      return undefined;
    },
  },
  {
    reads: ["ppo", "selfTraining"],
    breach: ({ ppo, selfTraining }) =>
      (ppo === undefined) === (selfTraining === undefined)
        ? `expected exactly one of "ppo" and "selfTraining", found ${ppo === undefined ? "neither" : "both"}`
        : undefined,
  },
  {
    reads: ["optimizer.valueHeadLearningRate", "ppo.advantages"],
    breach: ({ optimizer: { valueHeadLearningRate }, ppo }) => {
      const hasValueHead = ppo?.advantages === "gae";
      if (hasValueHead && valueHeadLearningRate === undefined)
        return 'missing: with ppo.advantages "gae" there is a value head to learn';
      if (!hasValueHead && valueHeadLearningRate !== undefined)
        return `expected none: only ppo.advantages "gae" has a value head, found ${valueHeadLearningRate}`;
      return undefined;
    },
  },
  {
    reads: ["rollout.samplesPerQuestion", "ppo.advantages"],
    breach: ({ rollout: { samplesPerQuestion }, ppo }) =>
      ppo && ppo.advantages !== "gae" && samplesPerQuestion < 2
        ? `expected at least 2, because ppo.advantages "${ppo.advantages}" compares the responses to a question, ` +
          `found ${samplesPerQuestion}`
        : undefined,
  },
  {
    reads: ["ppo.lossMean", "ppo.ratio", "ppo.advantages"],
    breach: ({ ppo }) =>
      ppo?.ratio === "response" && ppo.lossMean !== undefined && ppo.lossMean !== "response"
        ? `expected "response" with ppo.ratio "response": any other mean would count a response by its length, found "${ppo.lossMean}"`
        : undefined,
  },
  {
    reads: [
      "ppo.miniBatchSize",
      "ppo.advantages",
      "rollout.questionsPerStep",
      "rollout.samplesPerQuestion",
    ],
    breach: ({ ppo, rollout: { questionsPerStep, samplesPerQuestion } }) => {
      const responses = questionsPerStep * samplesPerQuestion;
      return ppo && responses % ppo.miniBatchSize !== 0
        ? `expected a divisor of questionsPerStep * samplesPerQuestion = ${responses}, found ${ppo.miniBatchSize}`
        : undefined;
    },
  },
  {
    reads: ["training.microBatchTokens", "data.maxPromptTokens", "rollout.maxNewTokens"],
    breach: ({ training: { microBatchTokens }, data: { maxPromptTokens }, rollout }) =>
      tooSmallMicroBatch(microBatchTokens, maxPromptTokens + rollout.maxNewTokens),
  },
  {
    reads: ["alarms.maxLogprobGap", "precision", "rollout.kvCacheDtype"],
    breach: ({ alarms: { maxLogprobGap }, precision, rollout: { kvCacheDtype } }) => {
      const rounding = [
        ...(precision === "bf16" ? ['precision "bf16"'] : []),
        ...(kvCacheDtype === "bf16" ? ['rollout.kvCacheDtype "bf16"'] : []),
      ].join(" with ");
      return rounding && maxLogprobGap < leastBf16Gap
        ? `expected at least ${leastBf16Gap}, or 0.05 to be sure, because ${rounding} makes such gaps by rounding alone, found ${maxLogprobGap}`
        : undefined;
    },
  },
];

const rerankRules: readonly Rule<RerankConfig>[] = [
  weightsRule,
  keepRule,
  scheduleRule,
  {
    reads: ["training.microBatchTokens", "data.maxTokens"],
    breach: ({ training: { microBatchTokens }, data: { maxTokens } }) =>
      tooSmallMicroBatch(microBatchTokens, maxTokens),
  },
];

function tooSmallMicroBatch(microBatchTokens: number, longest: number): string | undefined {
  return microBatchTokens < longest
    ? `expected room for one sequence of ${longest} tokens, prompt and completion, found ${microBatchTokens}`
    : undefined;
}

/**
 * Reads one run's settings: the file, then the overrides in their order.
 *
 * @returns settings of the stage, frozen in depth
 * @throws UserError that lists all mistakes, each with file and line or flag, and with its path
 */
export function loadConfig<S extends Stage>(
  stage: S,
  file: string,
  overrides: readonly Override[] = [],
): ConfigOf<S> {
  return checkConfig(stage, readSettings(file, overrides));
}

/**
 * Checks one run's settings that are values of a program, or YAML text.
 *
 * @returns as loadConfig
 * @throws UserError that lists all mistakes, each with its path
 */
export function parseConfig<S extends Stage>(stage: S, settings: unknown): ConfigOf<S> {
  return checkConfig(stage, settingsOf(settings, "settings"));
}

function checkConfig<S extends Stage>(stage: S, settings: Settings): ConfigOf<S> {
  const mistakes = otherStage(stage, settings.values) ?? mistakesIn(stage, settings.values);
  if (mistakes.length > 0) throw mistakesError(settings, mistakes);
  return deepFreeze(schemas[stage].parse(settings.values)) as ConfigOf<S>;
}

function mistakesIn(stage: Stage, values: unknown): readonly Mistake[] {
  switch (stage) {
    case "sft":
      return findMistakes(sftSchema, sftRules, values);
    case "reft":
      return findMistakes(reftSchema, reftRules, values);
    case "rerank":
      return findMistakes(rerankSchema, rerankRules, values);
  }
}

/** One mistake when the file is for another stage, not one for each section that this stage has and that one has not. */
function otherStage(stage: Stage, values: unknown): readonly Mistake[] | undefined {
  const found = valueAt(values, ["stage"]);
  if (found === undefined && valueAt(values, ["stages"]) !== undefined)
    return [{ path: ["stages"], text: "stages: expected none: this file is for reft run" }];
  if (found === stage || typeof found !== "string" || !Object.hasOwn(schemas, found))
    return undefined;
  const text = `stage: expected "${stage}", found "${found}": this file is for train-${found}`;
  return [{ path: ["stage"], text }];
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null)
    Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}
