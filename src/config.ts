// What a run can be told: every setting of every stage, read from one YAML file and the command line, checked strictly.
// No setting has a hidden default: one file is one run, complete in itself.
import { readFileSync } from "node:fs";
import { type Document, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { messageOf, UserError } from "./errors.ts";

const path = z.string().min(1); // relative paths start at the working directory
const count = z.int().min(1);
const countOrZero = z.int().min(0);
const positive = z.number().gt(0);
const notNegative = z.number().min(0);
const fraction = z.number().min(0).max(1);
const belowOne = z.number().min(0).lt(1);

const seed = z.int().min(0).max(0xffffffff);

const scratch = z.strictObject({
  vocabSize: count, // size of the tokenizer trained on the training texts, special tokens included
  tokenizer: path.optional(), // folder of a ready tokenizer, instead of training one
  dim: count,
  layers: count,
  heads: count,
  kvHeads: count,
  ffnDim: count,
  ropeTheta: positive,
  normEpsilon: positive,
  maxPositions: count,
  initializerStd: positive,
  tieEmbeddings: z.boolean(),
});

const texts = {
  train: path,
  dev: path, // carved from the training set; chooses the best checkpoint
  cotKind: z.enum(["python", "nl"]), // programs, or reasoning in words
  programPrefix: z.enum(["docstring", "def", "none"]), // given to the model as the start of its answer
  maxPromptTokens: count,
};

const optimizer = {
  learningRate: positive,
  beta1: belowOne,
  beta2: belowOne,
  epsilon: positive,
  weightDecay: notNegative,
  maxGradNorm: positive,
};

const evaluation = {
  questions: count.nullable(), // the first so many of the dev set; null takes all
  slots: count, // responses generated side by side
  maxNewTokens: count,
};

const sandbox = z.strictObject({
  timeoutSeconds: positive,
  workers: count,
  memoryMegabytes: z.int().min(64),
});

const sftSchema = z.strictObject({
  stage: z.literal("sft"),
  seed,
  model: z.strictObject({
    // exactly one of the two
    init: path.optional(), // a Hugging Face folder, a run's folder or a checkpoint
    scratch: scratch.optional(),
  }),
  data: z.strictObject({ ...texts, maxCompletionTokens: count }),
  optimizer: z.strictObject({
    ...optimizer,
    schedule: z.enum(["linear", "constant"]), // after the warm-up: down to 0 over scheduleEpochs, or level
    warmupFraction: fraction, // of all updates in scheduleEpochs
  }),
  training: z.strictObject({
    epochs: count,
    scheduleEpochs: count, // horizon of the schedule; may lie beyond the epochs that are run
    batchSize: count, // sequences per update, however they are split for memory
    microBatchTokens: count, // most tokens, padding included, in one forward and backward pass
  }),
  evaluation: z.strictObject({ everyEpochs: count, ...evaluation }),
  sandbox,
  checkpoint: z.strictObject({ everySteps: count.nullable() }), // null: at each evaluation only
});

const reftSchema = z.strictObject({
  stage: z.literal("reft"),
  seed,
  paperParity: z.boolean(), // true repeats what the authors' code does where we would not
  model: z.strictObject({ init: path }), // the warm-up model: first policy and frozen reference
  data: z.strictObject({
    ...texts,
    test: path.optional(), // paperParity only: the authors choose their checkpoint on the test set
  }),
  // Sampling is always at temperature 1 without truncation, so that logprobs are those of the policy itself.
  rollout: z.strictObject({
    questionsPerStep: count,
    samplesPerQuestion: count,
    maxNewTokens: count,
    slots: count,
  }),
  ppo: z.strictObject({
    ppoEpochs: count, // passes over each rollout
    miniBatchSize: count, // responses per update
    clipRange: positive,
    valueClipRange: positive,
    valueCoefficient: notNegative, // alpha in the paper
    gamma: fraction, // discount of rewards; the paper's text calls it lambda
    gaeLambda: fraction, // the paper's text calls it gamma
    klCoefficient: notNegative, // beta in the paper
    partialReward: belowOne, // for an answer that came out but is wrong
    valueWarmupSteps: countOrZero, // first steps in which the value head alone learns
  }),
  optimizer: z.strictObject({
    ...optimizer,
    valueHeadLearningRate: positive,
    warmupSteps: countOrZero, // linear from 0, then constant
  }),
  training: z.strictObject({
    epochs: count,
    maxSteps: count.nullable(), // ends the run early; null: after the epochs
    microBatchTokens: count,
  }),
  evaluation: z.strictObject({ everySteps: count, ...evaluation }),
  sandbox,
  checkpoint: z.strictObject({ everySteps: count }),
  alarms: z.strictObject({
    maxLogprobGap: positive, // mean |recomputed - sampled| before the first update; beyond it the run stops
    maxInfrastructureFraction: fraction, // programs the sandbox could not run; beyond it the run stops
    constantScoreSteps: count, // warns after so many steps in which all responses scored the same
    negativeKlSteps: count, // warns after so many steps with a negative mean KL to the reference
    minExtractedFraction: fraction, // warns of collapse when fewer responses give an answer
    maxTruncatedFraction: fraction, // warns when more responses end without EOS
  }),
});

const schemas = { sft: sftSchema, reft: reftSchema };

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

export type SftConfig = DeepReadonly<z.infer<typeof sftSchema>>;
export type ReftConfig = DeepReadonly<z.infer<typeof reftSchema>>;
export type Config = SftConfig | ReftConfig;
export type Stage = Config["stage"];
type ConfigOf<S extends Stage> = Extract<Config, { readonly stage: S }>;

/** One setting given on the command line: where (`training.epochs`), what, and how the user wrote it. */
export interface Override {
  readonly path: string;
  readonly value: unknown;
  readonly source: string;
}

/** A rule between settings, looked at only when all the settings that it reads are right by themselves. */
interface Rule<C> {
  readonly reads: readonly string[]; // the first is where a breach is reported
  /** What is wrong, or undefined. */
  readonly breach: (config: C) => string | undefined;
}

const programPrefixRule: Rule<Config> = {
  reads: ["data.programPrefix", "data.cotKind"],
  breach: ({ data }) =>
    data.cotKind === "nl" && data.programPrefix !== "none"
      ? `expected "none" because data.cotKind is "nl", found "${data.programPrefix}"`
      : undefined,
};

const sftRules: readonly Rule<SftConfig>[] = [
  programPrefixRule,
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
    reads: ["model.scratch.maxPositions", "data.maxPromptTokens", "data.maxCompletionTokens"],
    breach: ({ model: { scratch }, data: { maxPromptTokens, maxCompletionTokens } }) => {
      const longest = maxPromptTokens + maxCompletionTokens;
      return scratch && scratch.maxPositions < longest
        ? `expected at least maxPromptTokens + maxCompletionTokens = ${longest}, found ${scratch.maxPositions}`
        : undefined;
    },
  },
  {
    reads: ["training.microBatchTokens", "data.maxPromptTokens", "data.maxCompletionTokens"],
    breach: ({ training: { microBatchTokens }, data: { maxPromptTokens, maxCompletionTokens } }) =>
      tooSmallMicroBatch(microBatchTokens, maxPromptTokens + maxCompletionTokens),
  },
  {
    reads: ["training.scheduleEpochs", "training.epochs", "optimizer.schedule"],
    breach: ({ training, optimizer: { schedule } }) =>
      schedule === "linear" && training.scheduleEpochs < training.epochs
        ? `expected at least training.epochs = ${training.epochs}, because a linear schedule ` +
          `ends at a learning rate of 0, found ${training.scheduleEpochs}`
        : undefined,
  },
];

const reftRules: readonly Rule<ReftConfig>[] = [
  programPrefixRule,
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
    reads: ["ppo.miniBatchSize", "rollout.questionsPerStep", "rollout.samplesPerQuestion"],
    breach: ({ ppo: { miniBatchSize }, rollout: { questionsPerStep, samplesPerQuestion } }) => {
      const responses = questionsPerStep * samplesPerQuestion;
      return responses % miniBatchSize !== 0
        ? `expected a divisor of questionsPerStep * samplesPerQuestion = ${responses}, found ${miniBatchSize}`
        : undefined;
    },
  },
  {
    reads: ["training.microBatchTokens", "data.maxPromptTokens", "rollout.maxNewTokens"],
    breach: ({ training: { microBatchTokens }, data: { maxPromptTokens }, rollout }) =>
      tooSmallMicroBatch(microBatchTokens, maxPromptTokens + rollout.maxNewTokens),
  },
];

function tooSmallMicroBatch(microBatchTokens: number, longest: number): string | undefined {
  return microBatchTokens < longest
    ? `expected room for one sequence of ${longest} tokens, prompt and completion, found ${microBatchTokens}`
    : undefined;
}

/**
 * Reads `key.path=value` as given to `--set`. The value is YAML: `1e-5`, `null`, `[1, 2]`, `text`.
 *
 * @throws UserError when there is no `=`, no key, or the value is not YAML
 */
export function parseOverride(text: string): Override {
  const source = `--set ${text}`;
  const equals = text.indexOf("=");
  if (equals < 1)
    throw new UserError(`${source}: expected key=value, for example training.epochs=3`);
  const document = parseDocument(text.slice(equals + 1));
  const [problem] = [...document.errors, ...document.warnings];
  if (problem)
    throw new UserError(`${source}: the value is not YAML: ${firstLine(problem.message)}`);
  return { path: text.slice(0, equals).trim(), value: document.toJS(), source };
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
  const lines = new LineCounter();
  const document = parseYaml(file, lines);
  const settings = overrides.reduce(withOverride, document.toJS() as unknown);
  const mistakes = mistakesIn(stage, settings);
  if (mistakes.length > 0) {
    const found = mistakes.map(
      (mistake) => `  ${origin(mistake.path, file, document, lines, overrides)}: ${mistake.text}`,
    );
    const title = mistakes.length === 1 ? "1 mistake" : `${mistakes.length} mistakes`;
    throw new UserError(`${title} in the settings of this run:\n${found.join("\n")}`);
  }
  return deepFreeze(schemas[stage].parse(settings)) as ConfigOf<S>;
}

function parseYaml(file: string, lineCounter: LineCounter): Document {
  const document = parseDocument(readText(file), { lineCounter });
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0) {
    const list = problems.map(
      (problem) => `  ${file}:${problem.linePos?.[0].line ?? 1}: ${firstLine(problem.message)}`,
    );
    throw new UserError(`this file is not YAML:\n${list.join("\n")}`);
  }
  return document;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UserError(`${file}: expected a readable YAML file: ${messageOf(error)}`);
  }
}

/** A copy of the settings with one value replaced; sections on the way that are not there are made. */
function withOverride(settings: unknown, override: Override): unknown {
  const place = (section: unknown, keys: readonly string[]): unknown => {
    const [key, ...rest] = keys;
    if (key === undefined) return override.value;
    if (section !== undefined && section !== null && !isSection(section))
      throw new UserError(
        `${override.source}: "${key}" cannot be set because what holds it is a plain value, ${show(section)}`,
      );
    const inner = isSection(section) && Object.hasOwn(section, key) ? section[key] : undefined;
    return Object.fromEntries([
      ...Object.entries(section ?? {}).filter(([name]) => name !== key),
      [key, place(inner, rest)],
    ]);
  };
  return place(settings, override.path.split("."));
}

interface Mistake {
  readonly path: readonly string[];
  readonly text: string;
}

function mistakesIn(stage: Stage, settings: unknown): Mistake[] {
  const foundStage = valueAt(settings, ["stage"]);
  if (foundStage !== stage && typeof foundStage === "string" && foundStage in schemas) {
    const command = `train-${foundStage}`;
    const text = `stage: expected "${stage}", found "${foundStage}": this file is for ${command}`;
    return [{ path: ["stage"], text }]; // one mistake, not one per section that the other stage has
  }
  const issues = schemas[stage].safeParse(settings).error?.issues ?? [];
  const mistakes = issues.flatMap((issue) => describeIssue(issue, settings));
  const wrong = issues
    .filter((issue) => issue.code !== "unrecognized_keys")
    .map((issue) => issue.path.join("."));
  const rules = (stage === "sft" ? sftRules : reftRules) as readonly Rule<unknown>[];
  for (const { reads, breach } of rules) {
    if (reads.some((read) => wrong.some((at) => isWithin(read, at)))) continue; // reported already
    const text = breach(settings);
    if (text !== undefined)
      mistakes.push({ path: reads[0]!.split("."), text: `${reads[0]}: ${text}` });
  }
  return mistakes;
}

/** Is the path the section itself or something in it? The empty path is the whole file. */
function isWithin(path: string, section: string): boolean {
  return section === "" || `${path}.`.startsWith(`${section}.`);
}

function describeIssue(issue: z.core.$ZodIssue, settings: unknown): Mistake[] {
  const path = issue.path.map(String);
  const named = (keys: readonly string[], text: string): Mistake => ({
    path: keys,
    text: keys.length === 0 ? text : `${keys.join(".")}: ${text}`,
  });
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => named([...path, key], "unknown key"));
  const found = valueAt(settings, path);
  const what = expectation(issue);
  return [named(path, found === undefined ? `missing, ${what}` : `${what}, found ${show(found)}`)];
}

const typeNames: Readonly<Record<string, string>> = {
  number: "a number",
  int: "a whole number",
  string: "text",
  boolean: "true or false",
  object: "a section of settings",
};

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `expected ${typeNames[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `expected ${issue.values.map(show).join(" or ")}`;
    case "too_small":
      if (issue.origin === "string") return "expected text that is not empty";
      return `expected ${issue.inclusive ? "at least" : "more than"} ${issue.minimum}`;
    case "too_big":
      return `expected ${issue.inclusive ? "at most" : "less than"} ${issue.maximum}`;
    default:
      return issue.message;
  }
}

/** Where the user wrote the setting: its flag, else file and line (of the section around it when it is missing). */
function origin(
  path: readonly string[],
  file: string,
  document: Document,
  lines: LineCounter,
  overrides: readonly Override[],
): string {
  const dotted = path.join(".");
  const flag =
    overrides.findLast((override) => isWithin(dotted, override.path)) ??
    overrides.find(
      (override) => document.getIn(path) === undefined && isWithin(override.path, dotted),
    );
  if (flag) return flag.source;
  for (let length = path.length; length > 0; length--) {
    const section =
      length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const offset = keyOffset(section, path[length - 1]!);
    if (offset !== undefined) return `${file}:${lines.linePos(offset).line}`;
  }
  return file;
}

/** Offset of a key in a YAML mapping node, if it has the key. */
function keyOffset(section: unknown, key: string): number | undefined {
  const items = isSection(section) && Array.isArray(section.items) ? section.items : [];
  const pair = items.find((item) => item?.key?.value === key);
  return pair?.key?.range?.[0];
}

function valueAt(settings: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (isSection(value) && Object.hasOwn(value, key) ? value[key] : undefined),
    settings,
  );
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  if (typeof value === "number") return String(value); // NaN and infinities, which JSON has not
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]!;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null)
    Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}
