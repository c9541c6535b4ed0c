// The files of an evaluation's folder.
import { existsSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { show, UserError } from "../errors.ts";
import {
  jsonText,
  parseJson,
  readJsonl,
  readText,
  writeFileAtomically,
  writeJsonl,
} from "../formats/jsonl.ts";
import { accuracyPicture } from "./picture.ts";
import type { QuestionShares } from "./pools.ts";
import { curvesOf, type Metrics, summariseShares } from "./summary.ts";
import { resultsPage, tieRule } from "./tables.ts";

/** A line of questions.jsonl. The text is there because another data set may use the same ids. */
export interface MeasuredQuestion extends QuestionShares {
  readonly question: string;
}

const measuredQuestion = z.strictObject({
  id: z.string(),
  question: z.string(),
  shares: z.record(z.string(), z.number().min(0).max(1)),
});

const questionsFile = "questions.jsonl";
const resultsFile = "results.json";
const evaluated = z.looseObject({
  model: z.string(),
  data: z.string(),
  reward: z.unknown().optional(),
  cot: z.string().optional(),
  questions: z.number().optional(),
  samples: z.number().optional(),
});

/** Refuses a folder that holds the results of another measurement, which would be written over. */
export function checkResults(folder: string, now: z.infer<typeof evaluated>): void {
  const path = join(folder, resultsFile);
  if (!existsSync(path)) return;
  const before = parseJson(readText(path), path, evaluated);
  for (const name of ["model", "data"] as const)
    if (resolve(before[name]) !== resolve(now[name]))
      throw new UserError(
        `${path}: expected results of the ${name} ${now[name]}, found those of ${before[name]}; give another output`,
      );
  if (JSON.stringify(before.reward) !== JSON.stringify(now.reward))
    throw new UserError(
      `${path}: expected results of the ${describeReward(now.reward)}, found those of the ${describeReward(before.reward)}; give another output`,
    );
  for (const [name, found] of [
    ["cot", before.cot ?? now.cot],
    ["questions", before.questions],
    ["samples", now.samples ?? before.samples], // which can be added to greedy answers
  ] as const)
    if (found !== undefined && found !== now[name])
      throw new UserError(
        `${path}: expected results with ${name} ${now[name] ?? "none"}, found those with ${found}; give another output`,
      );
}

const describeReward = (reward: unknown): string =>
  reward === undefined ? "usual reward" : `reward ${show(reward)}`;

const measured = z.looseObject({
  reward: z.unknown().optional(),
  maxNewTokens: z.number().optional(),
  precision: z.string().optional(),
});

/** What two evaluations were measured with differently, one clause each. */
export function unlikeSettings(a: string, b: string): string[] {
  const [one, other] = [a, b].map((folder) => {
    const path = join(folder, resultsFile);
    return existsSync(path) ? parseJson(readText(path), path, measured) : undefined;
  });
  if (one === undefined || other === undefined) return [];
  const unlike = (["maxNewTokens", "precision"] as const)
    .filter((name) => one[name] !== other[name] && ![one[name], other[name]].includes(undefined))
    .map((name) => `${name} ${one[name]} and ${other[name]}`);
  const isSameReward = JSON.stringify(one.reward) === JSON.stringify(other.reward);
  return [
    ...(isSameReward ? [] : [`${describeReward(one.reward)} and ${describeReward(other.reward)}`]),
    ...unlike,
  ];
}

/** Reads an evaluation back. @throws UserError if the folder has no questions.jsonl, or another file under its name */
export function readQuestions(folder: string): MeasuredQuestion[] {
  return readJsonl(join(folder, questionsFile), measuredQuestion).map(({ value }) => value);
}

/**
 * Writes questions.jsonl and, last, results.json; where there are metrics by k also results.md and accuracy.svg.
 *
 * @param details what results.json says first: model, data, counts
 * @param seed decides the bootstrap
 */
export function writeReport(
  folder: string,
  details: Readonly<Record<string, unknown>>,
  questions: readonly MeasuredQuestion[],
  seed: number,
): Metrics {
  const metrics = summariseShares(questions, seed);
  const [page, picture] = [join(folder, "results.md"), join(folder, "accuracy.svg")];
  writeJsonl(join(folder, questionsFile), questions);
  if (curvesOf(metrics).length > 0) {
    writeFileAtomically(page, resultsPage(metrics, questions.length));
    writeFileAtomically(picture, accuracyPicture(metrics));
  } else for (const fromBefore of [page, picture]) rmSync(fromBefore, { force: true });
  const results = jsonText({ ...details, tieRule, metrics });
  writeFileAtomically(join(folder, resultsFile), results);
  return metrics;
}
