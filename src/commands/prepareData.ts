// `reft prepare-data`: brings a data set into the project's form, and prints what was written and left out.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { datasets, defaultCarvedDev, defaultSizes } from "../tasks/datasetDraft.ts";
import { prepareData } from "../tasks/prepareData.ts";
import { print } from "../terminal.ts";

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
