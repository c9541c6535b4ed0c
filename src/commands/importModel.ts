// `reft import-model`: makes a model's folder, and prints what is in it.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { importModel } from "../tasks/importModel.ts";
import { print } from "../terminal.ts";

const source = {
  type: "string",
  demandOption: true,
  describe: "GGUF file, or Hugging Face folder of a model (docs/models.md)",
} as const;
const options = {
  output: { type: "string", demandOption: true, describe: "New folder for the model" },
} as const;

type Arguments = InferredOptionTypes<typeof options & { source: typeof source }>;

export const importModelCommand: CommandModule<object, Arguments> = {
  command: "import-model <source>",
  describe: "Make a model folder of a GGUF file or a Hugging Face folder",
  builder: (cli) => cli.positional("source", source).options(options),
  handler: (args) => {
    print(importModel(args.source, args.output));
  },
};
