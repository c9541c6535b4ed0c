// Makes the judge of a run from its settings: loads the files of rewards, starts what runs programs, and ends that with the run.
import { basename } from "node:path";
import type { GoldAnswers } from "../data/examples.ts";
import { UserError } from "../errors.ts";
import {
  type AnswerForm,
  comparesNumbers,
  type RewardEntry,
  type RewardSettings,
  rewardBreach,
} from "../rewardConfig.ts";
import { createJudge, type Judge } from "./judge.ts";
import { ownReward, usualLimits } from "./ownReward.ts";
import { type PythonFile, pythonReward, readPythonReward } from "./pythonReward.ts";
import { readyMade } from "./readyMade.ts";
import type { Reward } from "./reward.ts";
import { loadRewardFile } from "./rewardFile.ts";
import { createSandbox, type Sandbox, type SandboxOptions } from "./sandbox/sandbox.ts";
import type { ScoreOptions } from "./score.ts";
import { type Part, type Scorer, sumOf } from "./scorer.ts";

/** What a run may be told of its reward: as its settings have it, or a function of the caller's; undefined is the usual one. */
export type RewardChoice = RewardSettings | Reward | undefined;

/** What a training may be given besides its settings. */
export interface TrainOptions {
  /** Scores answers, where the settings name no reward. Only its results count: a changed function goes on with an old run. */
  readonly reward?: Reward | undefined;
  /**
   * Takes the first so many steps alone, measures and saves nothing.
   *
   * @internal
   */
  readonly trialSteps?: number | undefined;
}

/** @throws UserError when both the settings and the caller give a reward */
export function chooseReward(
  settings: RewardSettings | undefined,
  own: Reward | undefined,
): RewardChoice {
  if (settings && own)
    throw new UserError(
      "reward: expected none in the settings, because the caller gives a function; leave one of the two out",
    );
  return settings ?? own;
}

/** @throws UserError for a reward that does not fit the form of the answers */
export function checkedReward(form: AnswerForm, reward: RewardChoice): RewardChoice {
  const breach = Array.isArray(reward) ? rewardBreach(form, reward) : undefined;
  if (breach !== undefined) throw new UserError(`reward: ${breach}`);
  return reward;
}

/** A reward whose files have been read. */
export interface LoadedRewards {
  /** In the order of the sum; undefined: the usual reward of the answer's form. */
  readonly parts: readonly LoadedPart[] | undefined;
  /** Whether a user wrote one of them. */
  readonly isOwn: boolean;
  /** SHA-256 of the files that the reward consists of: they are inputs of a run. */
  readonly hashes: Readonly<Record<string, string>>;
}

interface LoadedPart {
  readonly name: string;
  readonly weight: number;
  /** Told how to score, and where Python runs. */
  readonly open: (options: ScoreOptions, sandbox: Sandbox | undefined) => Scorer | Promise<Scorer>;
  readonly hashes?: Readonly<Record<string, string>>;
  readonly isOwn: boolean;
  readonly isPython?: boolean;
}

/** @throws UserError when a file of a reward is missing, or cannot be loaded */
export function loadRewards(choice: RewardChoice): LoadedRewards {
  if (choice === undefined) return { parts: undefined, isOwn: false, hashes: {} };
  const parts = typeof choice === "function" ? [functionPart(choice)] : choice.map(loadPart);
  const hashes = Object.assign({}, ...parts.map((part) => part.hashes));
  return { parts, isOwn: parts.some(({ isOwn }) => isOwn), hashes };
}

/** A function has no content that could be compared when a run goes on: whoever gives it answers for that. */
function functionPart(reward: Reward): LoadedPart {
  const name = "function";
  const hashes = { reward: "a function" };
  return { name, weight: 1, isOwn: true, hashes, open: () => ownReward(name, reward) };
}

function loadPart(entry: RewardEntry): LoadedPart {
  const { weight = 1 } = entry;
  if (entry.use !== "file")
    return { name: entry.use, weight, isOwn: false, open: (options) => readyMade(entry, options) };
  const { file } = entry;
  const own = { name: basename(file), weight, isOwn: true };
  if (file.endsWith(".py")) {
    const python: PythonFile = readPythonReward(file);
    const hashes = { [`reward ${file}`]: python.sha256 };
    return { ...own, hashes, isPython: true, open: (_, sandbox) => pythonReward(python, sandbox!) };
  }
  const { reward, hashes } = loadRewardFile(file);
  return { ...own, hashes, open: () => ownReward(file, reward, limitsOf(entry)) };
}

function limitsOf({ timeoutSeconds, concurrency }: Extract<RewardEntry, { use: "file" }>) {
  return {
    timeoutSeconds: timeoutSeconds ?? usualLimits.timeoutSeconds,
    concurrency: concurrency ?? usualLimits.concurrency,
  };
}

/** What gold answers have to be, for answers of a form and a reward. */
export function goldKind(form: AnswerForm, choice: RewardChoice): GoldAnswers {
  if (typeof choice === "function") return "any";
  return comparesNumbers(form, choice) ? "comparable" : "any";
}

/** A judge with what runs for it. Hold it with `await using`. */
export interface OpenReward extends AsyncDisposable {
  readonly judge: Judge;
}

export interface RewardOptions extends Partial<ScoreOptions> {
  readonly cotKind: AnswerForm;
  readonly sandbox: SandboxOptions;
  /** The usual reward without it. */
  readonly rewards?: LoadedRewards;
}

/**
 * Starts a sandbox where programs or Python's rewards run.
 *
 * @throws UserError when the sandbox cannot start, or a reward in Python cannot be loaded
 */
export async function openReward({
  cotKind,
  sandbox: settings,
  rewards,
  partialReward = 0,
  paperParity = false,
}: RewardOptions): Promise<OpenReward> {
  const parts = rewards?.parts;
  const runsPython = cotKind === "python" || (parts ?? []).some(({ isPython }) => isPython);
  const sandbox = runsPython ? await createSandbox(settings) : undefined;
  const options = { partialReward, paperParity };
  try {
    const opened = await Promise.all((parts ?? []).map((part) => openPart(part, options, sandbox)));
    const score = parts === undefined ? {} : { score: sumOf(opened) };
    return {
      judge: createJudge(sandbox, cotKind, { ...options, ...score }),
      [Symbol.asyncDispose]: async () => sandbox?.close(),
    };
  } catch (error) {
    await sandbox?.close();
    throw error;
  }
}

async function openPart(
  { name, weight, open }: LoadedPart,
  options: ScoreOptions,
  sandbox: Sandbox | undefined,
): Promise<Part> {
  return { name, weight, score: await open(options, sandbox) };
}
