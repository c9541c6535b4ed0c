// `reft ask`: prints the program that a model writes for one question, and what that returns.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { ask } from "../tasks/ask.ts";
import { print } from "../terminal.ts";
import { formatFlags, maxNewTokensFlag, toldFormat } from "./flags.ts";

const question = { type: "string", demandOption: true, describe: "In quotes" } as const;
const options = {
  model: { type: "string", demandOption: true, describe: "Model or run (its best checkpoint)" },
  "max-new-tokens": maxNewTokensFlag,
  ...formatFlags,
} as const;

type Arguments = InferredOptionTypes<typeof options & { question: typeof question }>;

export const askCommand: CommandModule<object, Arguments> = {
  command: "ask <question>",
  describe: "Ask a trained model one question; prints its program and the answer",
  builder: (cli) => cli.positional("question", question).options(options),
  handler: async (args) => {
    const { text, outcome } = await ask({
      ...{ model: args.model, question: args.question },
      maxNewTokens: args["max-new-tokens"],
      ...toldFormat(args),
    });
    const result =
      outcome.kind === "answer"
        ? `answer: ${outcome.value}`
        : `no answer (${outcome.kind}): ${outcome.message}`;
    print(`${text}\n\n${result}`);
  },
};
