// `reft generate`: responses to the prompts of a file.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { generateToFile } from "../tasks/generate.ts";
import { kvCacheDtypeFlag, maxNewTokensFlag } from "./flags.ts";

const options = {
  model: { type: "string", demandOption: true, describe: "Model or run" },
  input: {
    type: "string",
    demandOption: true,
    describe: 'JSONL file of {"id", "prompt"} or {"id", "promptTokens"}',
  },
  output: {
    type: "string",
    demandOption: true,
    describe: 'JSONL file for {"id", "responses": [{"tokens", "text", "logprobs"}]}',
  },
  "max-new-tokens": maxNewTokensFlag,
  temperature: { type: "number", default: 0, describe: "0 is greedy" },
  samples: { type: "number", default: 1, describe: "Responses per prompt" },
  seed: { type: "number", default: 0, describe: "Chooses the samples" },
  slots: { type: "number", default: 32, describe: "Responses in the making at once" },
  "kv-cache-dtype": kvCacheDtypeFlag,
} as const;

type Arguments = InferredOptionTypes<typeof options>;

export const generateCommand: CommandModule<object, Arguments> = {
  command: "generate",
  describe: "Write responses to prompts",
  builder: (yargs) => yargs.options(options),
  handler: (args) =>
    generateToFile({
      ...args,
      maxNewTokens: args["max-new-tokens"],
      kvCacheDtype: args["kv-cache-dtype"],
    }),
};
