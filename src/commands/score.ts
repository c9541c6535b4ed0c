// `reft score`: the log-probability of each token of given completions.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { scoreToFile } from "../tasks/score.ts";

const options = {
  model: { type: "string", demandOption: true, describe: "Model or run" },
  input: {
    type: "string",
    demandOption: true,
    describe: 'JSONL file of {"id", "prompt", "completion"}, or promptTokens and completionTokens',
  },
  output: {
    type: "string",
    demandOption: true,
    describe: 'JSONL file for {"id", "tokens", "logprobs"}, natural logs',
  },
} as const;

type Arguments = InferredOptionTypes<typeof options>;

export const scoreCommand: CommandModule<object, Arguments> = {
  command: "score",
  describe: "Give the log-probability of each token of given completions",
  builder: (yargs) => yargs.options(options),
  handler: scoreToFile,
};
