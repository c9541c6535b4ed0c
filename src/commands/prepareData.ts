// `reft prepare-data`: brings a data set into the project's form. Every gold chain of thought is
// checked first, programs by running them; what fails is listed and left out.
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { CommandModule, InferredOptionTypes } from "yargs";
import { generateProblems } from "../data/datasets/generated.ts";
import { gsm8kOrigin, readGsm8k } from "../data/datasets/gsm8k.ts";
import { mathqaOrigin, readMathqa } from "../data/datasets/mathqa.ts";
import {
  type Candidate,
  emptyPart,
  hashFile,
  type Origin,
  type Rejection,
  type Source,
  type SourceFile,
} from "../data/datasets/source.ts";
import { readSvamp, svampOrigin } from "../data/datasets/svamp.ts";
import type { Example } from "../data/examples.ts";
import { jsonText, writeFileAtomically, writeJsonl } from "../data/jsonl.ts";
import { inPlainWriting } from "../data/plainQuestions.ts";
import type { CotKind } from "../data/prompt.ts";
import { carveDev, holdBack } from "../data/splits.ts";
import { show, UserError } from "../errors.ts";
import { judgeGold, problemWith } from "../evaluate/checkGold.ts";
import { tryFolder } from "../folders.ts";
import { createJudge, type Verdict } from "../reward/judge.ts";
import { createSandbox, type Sandbox } from "../reward/sandbox/sandbox.ts";
import { print } from "../terminal.ts";
import { checkCount } from "./count.ts";

type PublicDataset = "svamp" | "gsm8k" | "mathqa" | "mathqa-numeric";
const datasets = ["svamp", "gsm8k", "mathqa", "mathqa-numeric", "generated"] as const;

export interface PrepareDataArguments {
  readonly dataset: PublicDataset | "generated";
  readonly cot: CotKind;
  readonly from?: string | undefined;
  readonly output: string;
  readonly seed: number;
  readonly dev?: number | undefined;
  readonly train?: number | undefined;
  readonly answerOnly?: number | undefined;
  readonly test?: number | undefined;
  readonly plain?: boolean | undefined;
  readonly timeoutSeconds: number;
  readonly workers: number;
}

/** A data set before its gold chains of thought are checked. */
interface Draft {
  readonly candidates: readonly Candidate[];
  readonly rejections: readonly Rejection[];
  readonly test: readonly Example[];
  /** Absent where it is carved from the training rows. */
  readonly dev?: readonly Example[];
  readonly answerOnly?: readonly Example[];
  /** As in `Source`. */
  readonly isConverted?: boolean;
  readonly source: { readonly files: readonly SourceFile[] } & Partial<Origin>;
  readonly notes: readonly string[];
}

const defaultSizes = { train: 1000, answerOnly: 20_000, dev: 500, test: 1000 };
const defaultCarvedDev = 200;

/**
 * Writes `train.jsonl`, `dev.jsonl`, `test.jsonl` and, last, `manifest.json`; `answers.jsonl` where there are answer-only
 * problems; `rejected.jsonl` if anything was left out. MathQA without a training file gives `test.jsonl` alone.
 *
 * @returns lines that say what was written and what was left out
 * @throws UserError
 */
export async function prepareData(given: PrepareDataArguments): Promise<string> {
  const draft = given.dataset === "generated" ? generate(given) : read(given.dataset, given);
  checkTestRows(draft.test, given.dataset);
  tryFolder(given.output);
  const readable = dropUnreadable(draft.candidates);
  const checked = await checkCots(readable.kept, given);
  const fresh = dropTestQuestions(checked.accepted, draft.test);
  const rejections = [
    ...draft.rejections,
    ...readable.dropped,
    ...checked.rejections,
    ...fresh.dropped,
  ].sort((a, b) => a.line - b.line);
  const total = draft.candidates.length + draft.rejections.length;
  if (fresh.kept.length === 0 && total > 0) throw nothingLeft(given.dataset, rejections);
  const { train, dev, answerOnly } = splitRows(fresh.kept, draft, given);
  const conversion = draft.isConverted
    ? { converted: draft.candidates.length, right: checked.accepted.length }
    : undefined;

  const files = writeSplits(given.output, {
    "train.jsonl": train,
    "dev.jsonl": dev,
    "test.jsonl": draft.test,
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
    ...(total === 0 ? [] : [describeLeftOut(rejections.length, total, given.output)]),
  ].join("\n");
}

interface Conversion {
  readonly converted: number;
  /** Those whose program comes to the gold answer. */
  readonly right: number;
}

function describeConversion({ converted, right }: Conversion, total: number): string {
  return `${converted} of ${total} solutions convert to programs, ${right} of these come to the gold answer`;
}

function describeLeftOut(count: number, total: number, output: string): string {
  const where = count === 0 ? "" : `, listed in ${join(output, "rejected.jsonl")}`;
  return `${count} of ${total} gold chains of thought left out${where}`;
}

function nothingLeft(dataset: string, rejections: readonly Rejection[]): UserError {
  const { line, reason } = rejections[0]!;
  return new UserError(
    `${dataset}: expected a gold chain of thought to train on, found none among ${rejections.length} ` +
      `(line ${line}: ${reason}); check --cot and the files in --from`,
  );
}

function generate(given: PrepareDataArguments): Draft {
  if (given.cot !== "python") {
    throw new UserError(`--cot: generated problems have Python programs, found ${given.cot}`);
  }
  if (given.plain) {
    throw new UserError("--plain: generated problems are written in one way; leave it out");
  }
  if (given.from !== undefined) {
    throw new UserError("--from: generated problems are made, not read; leave it out");
  }
  const sizes = {
    train: given.train ?? defaultSizes.train,
    answerOnly: given.answerOnly ?? defaultSizes.answerOnly,
    dev: given.dev ?? defaultSizes.dev,
    test: given.test ?? defaultSizes.test,
  };
  checkCount("train", sizes.train);
  checkCount("answer-only", sizes.answerOnly, 0);
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
  for (const [flag, size] of [
    ["train", given.train],
    ["test", given.test],
  ] as const) {
    if (size !== undefined) {
      throw new UserError(`--${flag}: only for generated; ${dataset} has the rows that it has`);
    }
  }
  if (given.dev !== undefined) checkCount("dev", given.dev);
  if (given.answerOnly !== undefined) checkCount("answer-only", given.answerOnly, 0);
  if (given.from === undefined) {
    throw new UserError(
      `--from: expected a folder with the files of ${dataset}, found none; ` +
        `get them from ${origin.address}, licence ${origin.licence}`,
    );
  }
  const { files, ...rows } = readSource(dataset, given.from, given.cot);
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

function dropTestQuestions(candidates: readonly Candidate[], test: readonly Example[]) {
  const tested = new Set(test.map(({ question }) => question));
  const isTested = ({ example }: Candidate) => tested.has(example.question);
  return {
    kept: candidates.filter((row) => !isTested(row)).map(({ example }) => example),
    dropped: candidates
      .filter(isTested)
      .map(({ line, example }) => reject(line, example.id, "its question is in the test set")),
  };
}

function reject(line: number, id: string, reason: string): Rejection {
  return { line, id, reason };
}

/** Keeps what comes to the gold answer, in order. @throws UserError where the sandbox failed, not a program */
async function checkCots(
  candidates: readonly Candidate[],
  given: PrepareDataArguments,
): Promise<{ accepted: Candidate[]; rejections: Rejection[] }> {
  const verdicts = await judgeCots(candidates, given);
  const accepted: Candidate[] = [];
  const rejections: Rejection[] = [];
  for (const [i, candidate] of candidates.entries()) {
    const { line, example } = candidate;
    const { outcome } = verdicts[i]!;
    if (outcome.kind === "infrastructure")
      throw new UserError(`a gold program could not be run: ${outcome.message}`);
    const problem = problemWith(verdicts[i]!, example.answer);
    if (problem === undefined) accepted.push(candidate);
    else rejections.push(reject(line, example.id, problem));
  }
  return { accepted, rejections };
}

/** A sandbox takes seconds to start; written answers, and no programs, need none. */
const noSandbox: Sandbox = {
  run: async () => ({ kind: "infrastructure", message: "no sandbox was started" }),
  close: async () => {},
};

async function judgeCots(
  candidates: readonly Candidate[],
  { cot, timeoutSeconds, workers }: PrepareDataArguments,
): Promise<Verdict[]> {
  const runsPrograms = cot === "python" && candidates.length > 0;
  const sandbox = runsPrograms
    ? await createSandbox({ timeoutSeconds, workers, memoryMegabytes: 512 })
    : noSandbox;
  try {
    const examples = candidates.map(({ example }) => example);
    return await judgeGold(examples, createJudge(sandbox, cot));
  } finally {
    await sandbox.close();
  }
}

interface Splits {
  readonly train: readonly Example[];
  readonly dev: readonly Example[];
  readonly answerOnly: readonly Example[];
}

/** What the data set does not split itself is taken from the rows; without rows there is nothing to take. */
function splitRows(
  rows: readonly Example[],
  { dev, answerOnly = [] }: Pick<Draft, "dev" | "answerOnly">,
  given: PrepareDataArguments,
): Splits {
  if (dev !== undefined) return { train: rows, dev, answerOnly };
  if (rows.length === 0) {
    if (given.answerOnly)
      throw new UserError(
        `--answer-only: expected 0, because ${given.dataset} has no training rows in --from, found ${given.answerOnly}`,
      );
    return { train: [], dev: [], answerOnly };
  }
  const carved = carveDev(rows, given.dev ?? defaultCarvedDev, given.seed);
  return { dev: carved.dev, ...holdBack(carved.train, given.answerOnly ?? 0, given.seed) };
}

interface WrittenFile {
  readonly rows: number;
  readonly sha256: string;
}

/** Writes each split that has rows, and removes what an earlier call left of one that has none. */
function writeSplits(
  folder: string,
  splits: Readonly<Record<string, readonly unknown[]>>,
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

const dataset = { choices: datasets, demandOption: true, describe: "Which data set" } as const;
const options = {
  cot: {
    choices: ["python", "nl"] as const,
    demandOption: true,
    describe: "Chains of thought as Python programs or in natural language",
  },
  from: { type: "string", describe: "Folder with the data set's files; not for generated" },
  output: { type: "string", demandOption: true, describe: "Folder for the prepared files" },
  seed: { type: "number", default: 1, describe: "Decides the dev split, or what is generated" },
  dev: {
    type: "number",
    describe: `Rows to validate on (default ${defaultCarvedDev}; generated: ${defaultSizes.dev})`,
  },
  train: {
    type: "number",
    describe: `generated: problems with a program (default ${defaultSizes.train})`,
  },
  "answer-only": {
    type: "number",
    describe: `Problems whose chain of thought is held back (default 0); generated: without a program (default ${defaultSizes.answerOnly})`,
  },
  test: { type: "number", describe: `generated: rows to test on (default ${defaultSizes.test})` },
  plain: {
    type: "boolean",
    default: false,
    describe:
      "Write all questions in lower case, without commas, punctuation set apart, as SVAMP's test questions are; not for generated",
  },
  "timeout-seconds": {
    type: "number",
    default: 10,
    describe: "Processor time of one gold program",
  },
  workers: { type: "number", default: 2, describe: "Programs that run at once" },
} as const;

type Arguments = InferredOptionTypes<typeof options & { dataset: typeof dataset }>;

export const prepareDataCommand: CommandModule<object, Arguments> = {
  command: "prepare-data <dataset>",
  describe: "Bring a data set into the project's form and check its gold chains of thought",
  builder: (cli) => cli.positional("dataset", dataset).options(options),
  handler: async (given) => {
    print(await prepareData(given));
  },
};
