// Runs and evaluations as one page of HTML.
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.ts";
import { parseJson, readText, writeFileAtomically } from "../formats/jsonl.ts";
import { completionsIn, devQuestionsOf, readCompletions } from "../report/completions.ts";
import type {
  ComparisonData,
  CompletionSet,
  EvaluationData,
  ReportData,
  SettingRow,
} from "../report/data.ts";
import { figureGroups } from "../report/figures.ts";
import { reportPage } from "../report/html.ts";
import { hasBegun, isRun, readRun, type Settings, settingsOf } from "../report/read.ts";
import { partedWays } from "../report/signs.ts";
import { compare } from "./compare.ts";

export interface ReportArguments {
  /** Runs, evaluations, and folders that hold them. */
  readonly folders: readonly string[];
  /** The file to write. */
  readonly output: string;
}

/** What a report is of. */
export interface ReportSummary {
  /** Folders. */
  readonly runs: readonly string[];
  /** Folders. */
  readonly evaluations: readonly string[];
  /** What the page does not show, and why. */
  readonly notes: readonly string[];
}

/** What a step costs stands last in the page. */
const [costs, ...otherGroups] = figureGroups;

/** Bytes of completions that a page carries, about; compressed they are a quarter or less. */
const maxCompletionBytes = 24e6;

/**
 * Writes runs and evaluations into one page, which shows them offline.
 *
 * @throws UserError for a folder that holds neither, and for files that cannot be read
 */
export function report(args: ReportArguments): ReportSummary {
  const { folders, output } = args;
  const { data, completions } = gatherReport(folders);
  writeFileAtomically(output, reportPage(data, completions));
  return {
    runs: data.runs.map(({ folder }) => folder),
    evaluations: data.evaluations.map(({ folder }) => folder),
    notes: data.notes,
  };
}

/** Reads all that a page shows. @throws as report does */
export function gatherReport(folders: readonly string[]): {
  readonly data: ReportData;
  readonly completions: readonly CompletionSet[];
} {
  const found = folders.flatMap(foundIn);
  const allRuns = unique(found.filter(isRun));
  const begun = allRuns.filter(hasBegun);
  const runs = begun.length > 0 ? begun : allRuns; // of none that has begun, reading one says what to do
  const evaluations = unique([
    ...found.filter(isEvaluation),
    ...runs.flatMap((run) => [...evaluationsBelow(run), ...evaluationsOf(run)]),
  ]);
  const names = namesOf(runs);
  const runData = runs.map((folder, i) => readRun(folder, names[i]!));
  const { sets, signs, notes } = readCompletions(
    [
      ...runData.flatMap(({ folder, name }) => completionsIn(folder, name)),
      ...evaluations.flatMap((folder) => completionsIn(folder, folder)),
    ],
    maxCompletionBytes,
  );
  const data = {
    made: new Date().toISOString(),
    figures: [...otherGroups, costs!],
    runs: runData,
    settings: settingRows(runs.map(settingsOf)),
    evaluations: evaluations.map(readEvaluation),
    comparisons: comparisonsOf(evaluations),
    signs: [
      ...runData.flatMap((run) => {
        const title = devQuestionsOf(run.name);
        return (
          partedWays(
            run,
            sets.find((set) => set.title === title),
          ) ?? []
        );
      }),
      ...signs,
    ],
    notes: [
      ...allRuns
        .filter((run) => !runs.includes(run))
        .map((run) => `${run}: left out, because it has no figures yet.`),
      ...notes,
    ],
  };
  return { data, completions: sets };
}

/** @throws UserError where there is neither a run nor an evaluation */
function foundIn(folder: string): readonly string[] {
  const found = below(folder, 3);
  if (found.length > 0) return found;
  throw new UserError(
    `${folder}: expected a run's folder (with config.yaml and checkpoints/) or an evaluation's (with results.json and questions.jsonl), ` +
      `found ${existsSync(folder) ? "neither, nor a folder with one" : "nothing there"}; check the path`,
  );
}

/** The folder itself, or the runs and evaluations in it, the older ones first. */
function below(folder: string, depth: number): readonly string[] {
  if (isRun(folder) || isEvaluation(folder)) return [folder];
  if (depth === 0 || !existsSync(folder) || !statSync(folder).isDirectory()) return [];
  return foldersIn(folder).flatMap((inner) => below(inner, depth - 1));
}

function foldersIn(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name));
}

function isEvaluation(folder: string): boolean {
  return ["results.json", "questions.jsonl"].every((name) => existsSync(join(folder, name)));
}

/** Evaluations that lie in a run's folder. */
function evaluationsBelow(run: string): readonly string[] {
  return foldersIn(run).filter(isEvaluation);
}

/** The evaluation of this run that `reft evaluate` writes where nothing else is said. */
function evaluationsOf(run: string): readonly string[] {
  const folder = join("results", basename(resolve(run)));
  if (!isEvaluation(folder)) return [];
  const isOfRun = !relative(resolve(run), resolve(readEvaluation(folder).model)).startsWith("..");
  return isOfRun ? [folder] : [];
}

/** Each folder once, whatever it is called. */
function unique(folders: readonly string[]): readonly string[] {
  return [...new Map(folders.map((folder) => [resolve(folder), folder])).values()];
}

/** The last part of each path, or all of it where two would be the same. */
function namesOf(folders: readonly string[]): readonly string[] {
  const names = folders.map((folder) => basename(resolve(folder)));
  return names.map((name, i) =>
    names.filter((other) => other === name).length > 1 ? folders[i]! : name,
  );
}

const resultsSchema = z.looseObject({
  model: z.string(),
  data: z.string(),
  questions: z.int(),
  metrics: z.record(
    z.string(),
    z.looseObject({ accuracy: z.number(), confidence95: z.tuple([z.number(), z.number()]) }),
  ),
});

function readEvaluation(folder: string): EvaluationData {
  const path = join(folder, "results.json");
  const { model, data, questions, metrics } = parseJson(readText(path), path, resultsSchema);
  return { folder, model, data, questions, metrics };
}

/** Each evaluation beside the first that asked the same questions. */
function comparisonsOf(evaluations: readonly string[]): readonly ComparisonData[] {
  return evaluations.flatMap((b, i) => {
    for (const a of evaluations.slice(0, i)) {
      const comparison = comparable(a, b);
      if (comparison !== undefined) return [comparison];
    }
    return [];
  });
}

/** @returns undefined for evaluations of different questions */
function comparable(a: string, b: string): ComparisonData | undefined {
  try {
    return compare(a, b);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

function settingRows(runs: readonly Settings[]): readonly SettingRow[] {
  const paths = [...new Set(runs.flatMap((settings) => [...settings.keys()]))];
  return paths.map((path) => ({
    path,
    values: runs.map((settings) =>
      settings.has(path) ? JSON.stringify(settings.get(path)) : null,
    ),
  }));
}
