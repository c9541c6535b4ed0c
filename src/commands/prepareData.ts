// `reft prepare-data`: brings a data set into the project's form, and prints what was written and left out.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { type OwnColumns, ownParts } from "../data/datasets/own.ts";
import { groupBy } from "../data/groupBy.ts";
import { show, UserError } from "../errors.ts";
import { answerForm } from "../rewardConfig.ts";
import { datasets, defaultCarvedDev, defaultSizes } from "../tasks/datasetDraft.ts";
import { prepareData } from "../tasks/prepareData.ts";
import { print } from "../terminal.ts";
import { flagValue, rewardFlag } from "./flags.ts";

const dataset = { choices: datasets, demandOption: true, describe: "Which data set" } as const;
const options = {
  cot: {
    type: "string",
    demandOption: true,
    describe:
      "Chains of thought: python for programs, nl for natural language; own: also text, json, boxed, ...",
  },
  reward: {
    type: "string",
    describe: "own: judges the chains of thought; as in a training's settings",
    defaultDescription: "the answer is the gold answer",
  },
  from: {
    type: "string",
    describe:
      "Folder with the data set's files; own: a file of rows, JSONL, JSON, CSV or Parquet; not for generated",
  },
  column: {
    type: "string",
    array: true,
    nargs: 1,
    describe: `own: the column that holds the ${ownParts.join(", ")}, if it has another name: question=problem (repeatable)`,
  },
  "dev-from": {
    type: "string",
    describe: "own: a file of rows to validate on, in place of rows of --from",
  },
  "test-from": {
    type: "string",
    describe: "own: a file of rows to test on, in place of rows of --from",
  },
  "allow-variants": {
    type: "boolean",
    default: false,
    describe: "own: validate and test on questions that have variants among the others, too",
  },
  output: { type: "string", demandOption: true, describe: "Folder for the prepared files" },
  seed: { type: "number", default: 1, describe: "Decides the dev split, or what is generated" },
  dev: {
    type: "number",
    describe: `Rows to validate on (default ${defaultCarvedDev}; own: a tenth, at most ${defaultCarvedDev}; generated: ${defaultSizes.dev})`,
  },
  train: {
    type: "number",
    describe: `generated: problems with a program (default ${defaultSizes.train})`,
  },
  "answer-only": {
    type: "number",
    describe: `Problems whose chain of thought is held back (default 0); generated: without a program (default ${defaultSizes.answerOnly})`,
  },
  test: {
    type: "number",
    describe: `own, generated: rows to test on (default own: as many as --dev; generated: ${defaultSizes.test})`,
  },
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
  handler: async ({ column, ...given }) => {
    const columns = column === undefined ? undefined : parseColumns(column);
    const cot = flagValue("cot", answerForm, given.cot);
    print(await prepareData({ ...given, cot, reward: rewardFlag(given.reward), columns }));
  },
};

/** Reads `question=problem` as given to `--column`. */
function parseColumns(given: readonly string[]): OwnColumns {
  const columns = given.map((text) => {
    const [, part, column] = /^(\w+)=(.+)$/s.exec(text) ?? [];
    const name = ownParts.find((known) => known === part);
    if (name !== undefined && column !== undefined) return [name, column] as const;
    throw new UserError(
      `column: expected ${ownParts.join(", ")} with the name of its column, as question=problem, found ${show(text)}`,
    );
  });
  const twice = groupBy(columns, ([part]) => part).find((same) => same.length > 1);
  if (twice) {
    const names = twice.map(([, name]) => show(name));
    throw new UserError(`column: expected one for ${twice[0]![0]}, found ${names.join(" and ")}`);
  }
  return Object.fromEntries(columns);
}
