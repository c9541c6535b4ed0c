// A data set as its source or the user gives it, or as it is generated, before its gold chains of thought are checked.
import { generateProblems } from "../data/datasets/generated.ts";
import { gsm8kOrigin, readGsm8k } from "../data/datasets/gsm8k.ts";
import { mathqaOrigin, readMathqa } from "../data/datasets/mathqa.ts";
import { type OwnColumns, readOwn } from "../data/datasets/own.ts";
import type { Candidate, Origin, Rejection, Source, SourceFile } from "../data/datasets/source.ts";
import { readSvamp, svampOrigin } from "../data/datasets/svamp.ts";
import type { Example } from "../data/examples.ts";
import { inPlainWriting } from "../data/plainQuestions.ts";
import type { CotKind } from "../data/prompt.ts";
import { UserError } from "../errors.ts";
import { checkedReward, goldKind, type RewardChoice } from "../reward/openReward.ts";
import type { AnswerForm } from "../rewardConfig.ts";
import { checkCount } from "./count.ts";

type PublicDataset = "svamp" | "gsm8k" | "mathqa" | "mathqa-numeric";
export const datasets = ["own", "svamp", "gsm8k", "mathqa", "mathqa-numeric", "generated"] as const;

export interface PrepareDataArguments {
  /** The data set's name; own for rows of your own. */
  readonly dataset: (typeof datasets)[number];
  /** What the chains of thought are. */
  readonly cot: AnswerForm;
  /** own: judges the chains of thought; the usual one of their form without it. */
  readonly reward?: RewardChoice;
  /** A folder with the files of a public set, or a file of one's own. */
  readonly from?: string | undefined;
  /** own: a file of the dev rows, which are otherwise carved from the others. */
  readonly devFrom?: string | undefined;
  /** own: a file of the test rows, which are otherwise carved from the others. */
  readonly testFrom?: string | undefined;
  /** own: columns that hold the parts of a row, where they have other names. */
  readonly columns?: OwnColumns | undefined;
  /** own: carve questions that have variants, too. */
  readonly allowVariants?: boolean | undefined;
  /** The folder that is written. */
  readonly output: string;
  /** Of the dev split, or of what is generated. */
  readonly seed: number;
  /** Rows to validate on. */
  readonly dev?: number | undefined;
  /** generated: problems with a program. */
  readonly train?: number | undefined;
  /** Problems whose chain of thought is held back; generated: without one. */
  readonly answerOnly?: number | undefined;
  /** own, generated: rows to test on. */
  readonly test?: number | undefined;
  /** Questions in lower case, without commas, punctuation set apart, as SVAMP's test questions are; not for generated. */
  readonly plain?: boolean | undefined;
  /** Processor time of one gold program. */
  readonly timeoutSeconds: number;
  /** Programs that run at once. */
  readonly workers: number;
}

/** A data set before its gold chains of thought are checked. */
export interface Draft {
  readonly candidates: readonly Candidate[];
  readonly rejections: readonly Rejection[];
  /** Absent, as dev, where it is carved from the training rows. */
  readonly test?: readonly Example[] | undefined;
  readonly dev?: readonly Example[] | undefined;
  readonly answerOnly?: readonly Example[];
  /** As in `Source`. */
  readonly isConverted?: boolean;
  readonly source: { readonly files: readonly SourceFile[] } & Partial<Origin>;
  readonly notes: readonly string[];
}

export const defaultSizes = { train: 1000, answerOnly: 20_000, dev: 500, test: 1000 };
export const defaultCarvedDev = 200;

/** Rows of the user's that are carved for dev and for test, where nothing else is asked for: a tenth, up to 200. */
export function usualSize(rows: number): number {
  return Math.min(defaultCarvedDev, Math.ceil(rows / 10));
}

/** @throws UserError for options that do not fit the data set, and for files that are no such data set */
export function draftDataset(given: PrepareDataArguments): Draft | Promise<Draft> {
  const { dataset } = given;
  if (dataset === "own") return readOwnFiles(given);
  refuseOptions(
    given,
    ["devFrom", "testFrom", "columns", "allowVariants", "reward"],
    "only for own",
  );
  return dataset === "generated" ? generate(given) : read(dataset, given);
}

/** @throws UserError for the first of these options that is given */
function refuseOptions(
  given: PrepareDataArguments,
  options: readonly (keyof PrepareDataArguments)[],
  why: string,
): void {
  const option = options.find((name) => given[name] !== undefined && given[name] !== false);
  if (option !== undefined) throw new UserError(`${option}: ${why}; leave it out`);
}

async function readOwnFiles(given: PrepareDataArguments): Promise<Draft> {
  const { from, devFrom, testFrom, columns = {} } = given;
  refuseOptions(given, ["train"], "only for generated; own has the rows that it has");
  refuseOptions(given, ["plain"], "only for the public data sets");
  if (devFrom !== undefined) refuseOptions(given, ["dev"], "devFrom has all rows to validate on");
  if (testFrom !== undefined) refuseOptions(given, ["test"], "testFrom has all rows to test on");
  checkCount("dev", given.dev ?? 1);
  checkCount("test", given.test ?? 0, 0);
  checkCount("answerOnly", given.answerOnly ?? 0, 0);
  if (from === undefined)
    throw new UserError("from: expected a file of rows (JSONL, JSON, CSV or Parquet), found none");
  const gold = goldKind(given.cot, checkedReward(given.cot, given.reward));
  const { files, ...rows } = await readOwn({ from, devFrom, testFrom, columns, gold });
  return { ...rows, source: { files } };
}

function generate(given: PrepareDataArguments): Draft {
  if (given.cot !== "python") {
    throw new UserError(`cot: generated problems have Python programs, found ${given.cot}`);
  }
  if (given.plain) {
    throw new UserError("plain: generated problems are written in one way; leave it out");
  }
  if (given.from !== undefined) {
    throw new UserError("from: generated problems are made, not read; leave it out");
  }
  const sizes = {
    train: given.train ?? defaultSizes.train,
    answerOnly: given.answerOnly ?? defaultSizes.answerOnly,
    dev: given.dev ?? defaultSizes.dev,
    test: given.test ?? defaultSizes.test,
  };
  checkCount("train", sizes.train);
  checkCount("answerOnly", sizes.answerOnly, 0);
  checkCount("dev", sizes.dev);
  checkCount("test", sizes.test);
  const { train, answerOnly, dev, test } = generateProblems(sizes, given.seed);
  const candidates = train.map((example, i) => ({ line: i + 1, example }));
  return { candidates, rejections: [], test, dev, answerOnly, source: { files: [] }, notes: [] };
}

const origins: Readonly<Record<PublicDataset, Origin>> = {
  svamp: svampOrigin,
  gsm8k: gsm8kOrigin,
  mathqa: mathqaOrigin,
  "mathqa-numeric": mathqaOrigin,
};

function read(dataset: PublicDataset, given: PrepareDataArguments): Draft {
  const origin = origins[dataset];
  for (const [option, size] of [
    ["train", given.train],
    ["test", given.test],
  ] as const) {
    if (size !== undefined) {
      throw new UserError(`${option}: only for generated; ${dataset} has the rows that it has`);
    }
  }
  if (given.dev !== undefined) checkCount("dev", given.dev);
  if (given.answerOnly !== undefined) checkCount("answerOnly", given.answerOnly, 0);
  if (given.from === undefined) {
    throw new UserError(
      `from: expected a folder with the files of ${dataset}, found none; ` +
        `get them from ${origin.address}, licence ${origin.licence}`,
    );
  }
  const { files, ...rows } = readSource(dataset, given.from, publicForm(given.cot, dataset));
  const draft = { ...rows, source: { ...origin, files } };
  if (!given.plain) return draft;
  return {
    ...draft,
    candidates: rows.candidates.map(({ line, example }) => ({
      line,
      example: inPlainWriting(example),
    })),
    test: rows.test.map(inPlainWriting),
    notes: [...rows.notes, "all questions are in plain writing"],
  };
}

/** @throws UserError for a form that only rows of one's own can have */
function publicForm(cot: AnswerForm, dataset: PublicDataset): CotKind {
  if (cot === "python" || cot === "nl") return cot;
  throw new UserError(`cot: expected python or nl for ${dataset}, found ${cot}`);
}

function readSource(dataset: PublicDataset, folder: string, cotKind: CotKind): Source {
  switch (dataset) {
    case "svamp":
      return readSvamp(folder, cotKind);
    case "gsm8k":
      return readGsm8k(folder, cotKind);
    case "mathqa":
    case "mathqa-numeric":
      return readMathqa(folder, dataset, cotKind);
  }
}
