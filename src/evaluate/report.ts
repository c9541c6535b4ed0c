// The files of an evaluation's folder.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { jsonText, readJsonl, writeFileAtomically, writeJsonl } from "../data/jsonl.ts";
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
  writeFileAtomically(join(folder, "results.json"), results);
  return metrics;
}
