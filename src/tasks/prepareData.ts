// Brings a data set into the project's form. Every gold chain of thought is
// checked first, programs by running them; what fails is listed and left out.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type Candidate, emptyPart, type Rejection } from "../data/datasets/source.ts";
import type { Example } from "../data/examples.ts";
import { hashFile } from "../data/hash.ts";
import { questionKey } from "../data/questionKey.ts";
import { carve, holdBack } from "../data/splits.ts";
import { show, UserError } from "../errors.ts";
import { judgeGold, problemOf } from "../evaluate/checkGold.ts";
import { isSamePlace, tryFolder } from "../folders.ts";
import { jsonText, writeFileAtomically, writeJsonl } from "../formats/jsonl.ts";
import type { Judge, Verdict } from "../reward/judge.ts";
import { type LoadedRewards, loadRewards, openReward } from "../reward/openReward.ts";
import {
  type Draft,
  defaultCarvedDev,
  draftDataset,
  type PrepareDataArguments,
  usualSize,
} from "./datasetDraft.ts";

/**
 * Writes `train.jsonl`, `dev.jsonl`, `test.jsonl` and, last, `manifest.json`; `answers.jsonl` where there are answer-only
 * problems; `rejected.jsonl` if anything was left out. MathQA without a training file gives `test.jsonl` alone; own rows without
 * chains of thought give no `train.jsonl`.
 *
 * @returns lines that say what was written and what was left out
 * @throws UserError
 */
export async function prepareData(given: PrepareDataArguments): Promise<string> {
  keepSources(given);
  const draft = await draftDataset(given);
  checkTestRows(draft.test ?? [], given.dataset);
  tryFolder(given.output);
  const readable = dropUnreadable(draft.candidates);
  const checked = await checkCots(readable.kept, given);
  const fresh = dropOtherSplits(checked.accepted, draft);
  const rejections = [
    ...draft.rejections,
    ...readable.dropped,
    ...checked.rejections,
    ...fresh.dropped,
  ].sort((a, b) => a.line - b.line);
  const total = draft.candidates.length + draft.rejections.length;
  if (fresh.kept.length === 0 && total > 0) throw nothingLeft(given.dataset, rejections);
  const { train, dev, test, answerOnly } = splitRows(fresh.kept, draft, given);
  const conversion = draft.isConverted
    ? { converted: draft.candidates.length, right: checked.accepted.length }
    : undefined;

  const files = writeSplits(given.output, {
    "train.jsonl": train,
    "dev.jsonl": dev,
    "test.jsonl": test,
    "answers.jsonl": answerOnly,
    "rejected.jsonl": rejections,
  });
  const manifest = {
    dataset: given.dataset,
    cot: given.cot,
    seed: given.seed,
    source: draft.source,
    goldCots: { total, ...conversion, leftOut: rejections.length },
    notes: draft.notes,
    files,
  };
  writeFileAtomically(join(given.output, "manifest.json"), jsonText(manifest));
  return [
    ...Object.entries(files).map(([name, { rows }]) => `${name}: ${rows} rows`),
    ...draft.notes,
    ...(conversion === undefined ? [] : [describeConversion(conversion, total)]),
    ...(train.length === 0 && answerOnly.length > 0 ? [answersAlone] : []),
    ...(total === 0 ? [] : [describeLeftOut(rejections.length, total, given)]),
  ].join("\n");
}

/** Every file that may be written, and is removed where it would be empty. */
const splitNames = [
  "train.jsonl",
  "dev.jsonl",
  "test.jsonl",
  "answers.jsonl",
  "rejected.jsonl",
] as const;

/** @throws UserError where a file that is read would be written over */
function keepSources({ from, devFrom, testFrom, output }: PrepareDataArguments): void {
  const written = [output, ...splitNames.map((name) => join(output, name))];
  for (const source of [from, devFrom, testFrom])
    if (source !== undefined && written.some((path) => isSamePlace(path, source)))
      throw new UserError(
        `output: expected another folder than that of ${source}, which would be written over, found ${output}`,
      );
}

interface Conversion {
  readonly converted: number;
  /** Those whose program comes to the gold answer. */
  readonly right: number;
}

function describeConversion({ converted, right }: Conversion, total: number): string {
  return `${converted} of ${total} solutions convert to programs, ${right} of these come to the gold answer`;
}

function describeLeftOut(
  count: number,
  total: number,
  { dataset, output }: PrepareDataArguments,
): string {
  const where = count === 0 ? "" : `, listed in ${join(output, "rejected.jsonl")}`;
  const what = dataset === "own" ? "rows" : "gold chains of thought";
  return `${count} of ${total} ${what} left out${where}`;
}

const answersAlone =
  "no row has a chain of thought, so there is no train.jsonl: train-reft can learn from answers.jsonl";

function nothingLeft(dataset: string, rejections: readonly Rejection[]): UserError {
  const { line, reason } = rejections[0]!;
  return new UserError(
    `${dataset}: expected a gold chain of thought to train on, found none among ${rejections.length} ` +
      `(line ${line}: ${reason}); check cot and the files in from`,
  );
}

/** Why no command could read a row after others with these ids; undefined where all can. */
function refusal({ id, question }: Example, earlier: ReadonlySet<string>): string | undefined {
  return emptyPart({ question }) ?? (earlier.has(id) ? "its id is already used" : undefined);
}

function dropUnreadable(candidates: readonly Candidate[]) {
  const ids = new Set<string>();
  const kept: Candidate[] = [];
  const dropped: Rejection[] = [];
  for (const candidate of candidates) {
    const { line, example } = candidate;
    const reason = refusal(example, ids);
    if (reason === undefined) kept.push(candidate);
    else dropped.push(reject(line, example.id, reason));
    ids.add(example.id);
  }
  return { kept, dropped };
}

/** @throws UserError: no test set becomes smaller without a word */
function checkTestRows(rows: readonly Example[], dataset: string): void {
  const ids = new Set<string>();
  for (const row of rows) {
    const reason = refusal(row, ids);
    if (reason !== undefined)
      throw new UserError(
        `${dataset}: test row ${show(row.id)} cannot be used (${reason}); correct it or take it out`,
      );
    ids.add(row.id);
  }
}

/** Leaves out what would stand in two splits: questions of those that are not carved from these rows, and of chains of thought. */
function dropOtherSplits(candidates: readonly Candidate[], { dev = [], test = [] }: Draft) {
  const keyOf = ({ question }: Example) => questionKey(question);
  const asked = new Map([
    ...dev.map((row) => [keyOf(row), "its question is in the dev set"] as const),
    ...test.map((row) => [keyOf(row), "its question is in the test set"] as const),
  ]);
  const examples = candidates.map(({ example }) => example);
  const worked = new Set(examples.filter(({ cot }) => cot !== undefined).map(keyOf));
  const reasonAgainst = (row: Example) =>
    asked.get(keyOf(row)) ??
    (row.cot === undefined && worked.has(keyOf(row))
      ? "another row has its question, with a chain of thought"
      : undefined);
  return {
    kept: examples.filter((row) => reasonAgainst(row) === undefined),
    dropped: candidates.flatMap(({ line, example }) => {
      const reason = reasonAgainst(example);
      return reason === undefined ? [] : [reject(line, example.id, reason)];
    }),
  };
}

function reject(line: number, id: string, reason: string): Rejection {
  return { line, id, reason };
}

/** Keeps what comes to the gold answer, and what has an answer alone, in order. @throws UserError where the sandbox failed, not a program */
async function checkCots(
  candidates: readonly Candidate[],
  given: PrepareDataArguments,
): Promise<{ accepted: Candidate[]; rejections: Rejection[] }> {
  const worked = candidates.filter(({ example }) => example.cot !== undefined);
  const rewards = loadRewards(given.reward);
  const judged = await judgeCots(worked, given, rewards);
  const verdicts = new Map(worked.map((candidate, i) => [candidate, judged[i]!]));
  const accepted: Candidate[] = [];
  const rejections: Rejection[] = [];
  for (const candidate of candidates) {
    const { line, example } = candidate;
    const verdict = verdicts.get(candidate);
    if (verdict?.outcome.kind === "infrastructure")
      throw new UserError(`a gold program could not be run: ${verdict.outcome.message}`);
    const problem = verdict && problemOf(verdict, example.answer, rewards.isOwn);
    if (problem === undefined) accepted.push(candidate);
    else rejections.push(reject(line, example.id, problem));
  }
  return { accepted, rejections };
}

async function judgeCots(
  candidates: readonly Candidate[],
  { cot, timeoutSeconds, workers }: PrepareDataArguments,
  rewards: LoadedRewards,
): Promise<Verdict[]> {
  if (candidates.length === 0) return [];
  const sandbox = { timeoutSeconds, workers, memoryMegabytes: 512 };
  await using reward = await openReward({ cotKind: cot, sandbox, rewards });
  const lines = new Map(candidates.map(({ line, example }) => [example, line]));
  // Ids that the file has not are made of the row, so only its line tells which one it is.
  const judge: Judge = async (answer) => {
    try {
      return await reward.judge(answer);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`line ${lines.get(answer.example)}: ${error.message}`);
    }
  };
  return await judgeGold([...lines.keys()], judge);
}

interface Splits {
  readonly train: readonly Example[];
  readonly dev: readonly Example[];
  readonly test: readonly Example[];
  readonly answerOnly: readonly Example[];
}

/** What the data set does not split itself is taken from the rows; without rows there is nothing to take. */
function splitRows(rows: readonly Example[], draft: Draft, given: PrepareDataArguments): Splits {
  const { dev = [], test = [], answerOnly = [] } = draft;
  if (given.dataset === "generated") return { train: rows, dev, test, answerOnly };
  if (rows.length === 0) {
    if (given.answerOnly)
      throw new UserError(
        `answerOnly: expected 0, because ${given.dataset} has no training rows in its folder, found ${given.answerOnly}`,
      );
    return { train: [], dev, test, answerOnly };
  }
  const size = given.dataset === "own" ? usualSize(rows.length) : defaultCarvedDev;
  const tested = carveSplit(rows, "test", draft.test, given.test ?? size, given);
  const chosen = carveSplit(tested.rest, "dev", draft.dev, given.dev ?? size, given);
  const held = holdBackOf(chosen.rest, given);
  return { train: held.train, dev: chosen.split, test: tested.split, answerOnly: held.answerOnly };
}

/** @param ready what the data set has as this split */
function carveSplit(
  rows: readonly Example[],
  split: "dev" | "test",
  ready: readonly Example[] | undefined,
  count: number,
  { dataset, seed, allowVariants = false }: PrepareDataArguments,
): { readonly rest: readonly Example[]; readonly split: readonly Example[] } {
  if (ready !== undefined || count === 0) return { rest: rows, split: ready ?? [] };
  const choice = dataset === "own" ? { allowsVariants: allowVariants } : {};
  const { rest, carved } = carve(rows, { split, count, seed, ...choice });
  return { rest, split: carved };
}

/** Rows without a chain of thought are learned from their answers alone, as those are that it is held back of. */
function holdBackOf(rows: readonly Example[], { answerOnly = 0, seed }: PrepareDataArguments) {
  const worked = rows.filter(({ cot }) => cot !== undefined);
  const unworked = rows.filter(({ cot }) => cot === undefined);
  if (answerOnly === 0) return { train: worked, answerOnly: unworked };
  const held = holdBack(worked, answerOnly, seed);
  return { train: held.train, answerOnly: [...held.answerOnly, ...unworked] };
}

interface WrittenFile {
  readonly rows: number;
  readonly sha256: string;
}

/** Writes each split that has rows, and removes what an earlier call left of one that has none. */
function writeSplits(
  folder: string,
  splits: Readonly<Record<(typeof splitNames)[number], readonly unknown[]>>,
): Record<string, WrittenFile> {
  const written: Record<string, WrittenFile> = {};
  rmSync(join(folder, "manifest.json"), { force: true });
  for (const [name, rows] of Object.entries(splits)) {
    const path = join(folder, name);
    if (rows.length === 0) {
      rmSync(path, { force: true });
      continue;
    }
    writeJsonl(path, rows);
    written[name] = { rows: rows.length, sha256: hashFile(path) };
  }
  return written;
}
