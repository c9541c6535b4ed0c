// Shows a training file as a model will see it, before anything is trained: lengths, duplicates, what the reward says, some rows.
import { loadConfig, type Override, type ReftConfig, type SftConfig } from "../config.ts";
import { type Example, readExamples } from "../data/examples.ts";
import { groupBy } from "../data/groupBy.ts";
import {
  checkSamplingPrefix,
  encodeExample,
  findSamplingFormat,
  type ProgramPrefix,
  samplingPrompt,
} from "../data/prompt.ts";
import { choosePrompt } from "../data/promptChoice.ts";
import { questionKey } from "../data/questionKey.ts";
import { withVariantAmong } from "../data/splits.ts";
import type { TemplatePrompt } from "../data/templatePrompt.ts";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { messageOf, UserError } from "../errors.ts";
import { judgeGold } from "../evaluate/checkGold.ts";
import { type DataCheck, dataPage, type PartLengths, type ShownRow } from "../evaluate/dataPage.ts";
import { goldOptions } from "../evaluate/goldOptions.ts";
import { readAnswerFormat, tokenizerFolderOf } from "../models/modelFolder.ts";
import type { Verdict } from "../reward/judge.ts";
import {
  checkedReward,
  goldKind,
  type LoadedRewards,
  loadRewards,
  openReward,
  type RewardChoice,
} from "../reward/openReward.ts";
import type { AnswerForm } from "../rewardConfig.ts";
import { Rng } from "../rng.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { lengthsOf } from "../run/lengths.ts";
import { readSettings, valueAt } from "../settings.ts";
import { scratchTokenizer } from "../sft/start.ts";
import { usualPrefix } from "./answering.ts";
import { askingDefaults } from "./asking.ts";
import { checkCount } from "./count.ts";

export interface CheckDataArguments {
  /** Settings of a training run, whose data is checked with its limits and tokenizer; or else a file. */
  readonly config?: string | undefined;
  /** Settings that differ from those of `config`. */
  readonly overrides?: readonly Override[] | undefined;
  /** JSONL file of the rows. */
  readonly data?: string | undefined;
  /** Other splits, which should share no question with the file. */
  readonly against?: readonly string[] | undefined;
  /** A model or run whose tokenizer is taken, and whose form where it is not given. */
  readonly model?: string | undefined;
  /** What the answers are. */
  readonly cot?: AnswerForm | undefined;
  /** Judges the chains of thought; the usual one of their form without it. */
  readonly reward?: RewardChoice;
  /** What every completion starts with. */
  readonly programPrefix?: ProgramPrefix | undefined;
  /** How many rows are shown. */
  readonly rows: number;
  /** Chooses the rows. */
  readonly seed: number;
}

/** What is checked, and how a model will see it. */
interface Checking {
  readonly path: string;
  readonly examples: readonly Example[];
  readonly against: readonly string[];
  readonly cotKind: AnswerForm;
  readonly rewards: LoadedRewards;
  readonly programPrefix: ProgramPrefix;
  /** Undefined: the paper's. */
  readonly prompt: TemplatePrompt | undefined;
  /** Undefined: lengths are in characters. */
  readonly tokenizer: Tokenizer | undefined;
  readonly limits: Limits;
  readonly sandbox: SftConfig["sandbox"];
}

interface Limits {
  readonly prompt?: number;
  readonly completion?: number;
  /** Whether the given start of an answer counts as prompt, as where a model samples. */
  readonly samples?: boolean;
}

/**
 * Checks a training file.
 *
 * @returns the page to print
 * @throws UserError for data that no training would take, and for settings or a model that cannot be read
 */
export async function checkData(given: CheckDataArguments): Promise<string> {
  checkCount("rows", given.rows, 0);
  const checking = given.config === undefined ? fromFile(given) : fromConfig(given.config, given);
  const { path, examples, against } = checking;
  const others = against.map((other) => ({ path: other, examples: readExamples(other, "any") }));
  const worked = examples.filter(({ cot }) => cot !== undefined);
  const verdicts = await judge(worked, checking);
  const judged = new Map(worked.map((example, i) => [example, verdicts[i]!]));
  return dataPage({
    path,
    rows: examples.length,
    isOwn: checking.rewards.isOwn,
    judged: [...judged].map(([example, verdict]) => ({ example, verdict })),
    ...seenByModel(checking, chooseRows(examples, judged, given), judged),
    repeated: repeatedQuestions(examples),
    others: others.map((other) => overlap(examples, other)),
  });
}

function fromFile(given: CheckDataArguments): Checking {
  const { data, against = [], model } = given;
  if (data === undefined)
    throw new UserError(
      "expected a file to check, or the option config with the settings of a run, found neither",
    );
  const folder = model === undefined ? undefined : resolveModelFolder(model);
  const saved = folder === undefined ? undefined : readAnswerFormat(folder);
  const cotKind = given.cot ?? saved?.cotKind;
  if (cotKind === undefined)
    throw new UserError("cot: expected python, nl or another form of answers, found none");
  return {
    path: data,
    examples: readExamples(data, goldKind(cotKind, checkedReward(cotKind, given.reward))),
    against,
    cotKind,
    rewards: loadRewards(given.reward),
    programPrefix: given.programPrefix ?? saved?.sampling.programPrefix ?? usualPrefix(cotKind),
    prompt: saved?.sampling.prompt,
    tokenizer: folder === undefined ? undefined : loadTokenizer(tokenizerFolderOf(folder)),
    limits: {},
    sandbox: askingDefaults.sandbox,
  };
}

function fromConfig(file: string, given: CheckDataArguments): Checking {
  const { data, against, model, cot, reward, programPrefix, overrides = [] } = given;
  if (data ?? against ?? model ?? cot ?? reward ?? programPrefix)
    throw new UserError(
      "config: expected no other data, model or form than its own; change its settings instead",
    );
  const isReft = valueAt(readSettings(file, overrides).values, ["stage"]) === "reft";
  const config: SftConfig | ReftConfig = loadConfig(isReft ? "reft" : "sft", file, overrides);
  const examples = readExamples(config.data.train, goldKind(config.data.cotKind, config.reward));
  const prompt = config.data.maxPromptTokens;
  const tokenizer = tokenizerOf(config, examples);
  return {
    path: config.data.train,
    examples,
    against: [config.data.dev],
    cotKind: config.data.cotKind,
    rewards: loadRewards(config.reward),
    programPrefix: config.data.programPrefix,
    prompt: choosePrompt(config.data.prompt, tokenizer),
    tokenizer,
    limits:
      config.stage === "reft"
        ? { prompt, completion: config.rollout.maxNewTokens, samples: true }
        : { prompt, completion: config.data.maxCompletionTokens },
    sandbox: config.sandbox,
  };
}

function tokenizerOf({ model }: SftConfig | ReftConfig, train: readonly Example[]): Tokenizer {
  if ("scratch" in model && model.scratch) return scratchTokenizer(model.scratch, train);
  return loadTokenizer(tokenizerFolderOf(resolveModelFolder(model.init!)));
}

async function judge(worked: readonly Example[], checking: Checking): Promise<Verdict[]> {
  if (worked.length === 0) return [];
  const { tokenizer, prompt, rewards } = checking;
  const { tokensOf } = goldOptions(tokenizer, prompt, rewards);
  await using reward = await openReward(checking);
  return await judgeGold(worked, reward.judge, tokensOf);
}

/** The wrong ones first, then others by the seed. */
function chooseRows(
  examples: readonly Example[],
  judged: ReadonlyMap<Example, Verdict>,
  { rows, seed }: CheckDataArguments,
): Example[] {
  const isWrong = (example: Example) => judged.get(example)?.correct === false;
  const others = examples.filter((example) => !isWrong(example));
  const shuffled = Rng.named(seed, "check-data").shuffled(others);
  return [...examples.filter(isWrong), ...shuffled].slice(0, rows);
}

function seenByModel(
  { examples, tokenizer, programPrefix, prompt: template, limits }: Checking,
  chosen: readonly Example[],
  judged: ReadonlyMap<Example, Verdict>,
): Pick<DataCheck, "unit" | "lengths" | "shown" | "warning" | "decode"> {
  const worked = examples.filter(({ cot }) => cot !== undefined);
  if (tokenizer === undefined) {
    const lengths = [
      partLengths(
        "question",
        examples.map(({ question }) => question.length),
      ),
      partLengths(
        "chain of thought",
        worked.map(({ cot }) => cot!.length),
      ),
    ];
    const shown = chosen.map((example) => ({ example, verdict: judged.get(example) }));
    return { unit: "characters", lengths, shown, warning: undefined, decode: undefined };
  }
  const sampling = findSamplingFormat(tokenizer, examples, programPrefix, template);
  const see = (example: Example): ShownRow => {
    const { tokens: asked, prefixTokens } = samplingPrompt(tokenizer, example, sampling);
    const given = prefixTokens.length;
    const prompt = limits.samples ? asked : asked.slice(0, asked.length - given);
    const { completionTokens = [] } =
      example.cot === undefined ? {} : encodeExample(tokenizer, example, template);
    const completion = limits.samples ? completionTokens.slice(given) : completionTokens;
    return {
      example,
      verdict: judged.get(example),
      tokens: { prompt, completion, given: limits.samples ? 0 : given },
    };
  };
  const all = examples.map(see);
  const completions = all.flatMap(({ example, tokens }) =>
    example.cot === undefined ? [] : [tokens!.completion.length],
  );
  return {
    unit: "tokens",
    lengths: [
      partLengths(
        "prompt",
        all.map(({ tokens }) => tokens!.prompt.length),
        limits.prompt,
      ),
      partLengths("completion", completions, limits.completion),
    ],
    shown: chosen.map(see),
    warning: prefixWarning(() => checkSamplingPrefix(tokenizer, examples, sampling)),
    decode: tokenizer,
  };
}

function prefixWarning(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return `train-sft refuses these rows: ${messageOf(error)}`;
  }
}

function partLengths(name: string, values: readonly number[], limit?: number): PartLengths {
  const over = limit === undefined ? 0 : values.filter((value) => value > limit).length;
  return { name, ...lengthsOf(values), limit, over };
}

/** Questions that stand more than once. */
function repeatedQuestions(examples: readonly Example[]): number {
  const groups = groupBy(examples, ({ question }) => questionKey(question));
  return groups.filter((same) => same.length > 1).length;
}

function overlap(
  examples: readonly Example[],
  { path, examples: others }: { readonly path: string; readonly examples: readonly Example[] },
): DataCheck["others"][number] {
  const keys = new Set(examples.map(({ question }) => questionKey(question)));
  const same = new Set(others.filter(({ question }) => keys.has(questionKey(question))));
  const different = others.filter((other) => !same.has(other));
  const variants = withVariantAmong(different, examples);
  return { path, rows: others.length, same: same.size, variants: variants.length };
}
