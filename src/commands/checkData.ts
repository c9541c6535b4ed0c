// `reft check-data`: prints training data as a model will see it, with what is wrong with it.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { parseOverride } from "../config.ts";
import { answerForm } from "../rewardConfig.ts";
import { checkData } from "../tasks/checkData.ts";
import { print } from "../terminal.ts";
import { flagValue, rewardFlag } from "./flags.ts";
import { fromProject } from "./project.ts";

const file = { type: "string", describe: "A prepared file; in its place: --config" } as const;
const options = {
  config: {
    type: "string",
    describe:
      "Settings of a training run: checks its data with its limits and its tokenizer [default: warmup.yaml]",
  },
  set: {
    type: "string",
    array: true,
    nargs: 1,
    describe: "Override a setting of --config: data.train=FILE (repeatable)",
  },
  against: {
    type: "string",
    array: true,
    nargs: 1,
    describe: "Another split, which should share no question with the file (repeatable)",
  },
  model: { type: "string", describe: "Model or run whose tokenizer and form are taken" },
  cot: {
    type: "string",
    describe: "Chains of thought: python, nl, text, json, ... [default: the model's]",
  },
  reward: {
    type: "string",
    describe: "Judges the chains of thought; as in a training's settings",
    defaultDescription: "the answer is the gold answer",
  },
  "program-prefix": {
    choices: ["docstring", "def", "none"] as const,
    describe: "What every completion starts with [default: the model's, or docstring, for nl none]",
  },
  rows: { type: "number", default: 5, describe: "Rows to show, the wrong ones first" },
  seed: { type: "number", default: 1, describe: "Decides which rows are shown" },
} as const;

type Arguments = InferredOptionTypes<typeof options & { file: typeof file }>;

export const checkDataCommand: CommandModule<object, Arguments> = {
  command: "check-data [file]",
  describe: "Show training data as a model will see it: lengths, duplicates, wrong rows",
  builder: (cli) => cli.positional("file", file).options(options),
  handler: async ({ file: data, set = [], cot: form, reward, ...given }) => {
    const config =
      data === undefined ? fromProject("config", given.config, ["warmup.yaml"]) : given.config;
    const cot = form === undefined ? undefined : flagValue("cot", answerForm, form);
    const overrides = set.map(parseOverride);
    print(await checkData({ ...given, config, data, cot, reward: rewardFlag(reward), overrides }));
  },
};
