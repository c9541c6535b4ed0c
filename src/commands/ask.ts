// `reft ask`: prints what a model writes for one question, and the answer that comes of it.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { ask } from "../tasks/ask.ts";
import { print } from "../terminal.ts";
import { formatFlags, maxNewTokensFlag, modelFlag, toldFormat } from "./flags.ts";
import { fromProject, projectModels } from "./project.ts";

const question = { type: "string", demandOption: true, describe: "In quotes" } as const;
const options = {
  model: modelFlag,
  "max-new-tokens": maxNewTokensFlag,
  ...formatFlags,
} as const;

type Arguments = InferredOptionTypes<typeof options & { question: typeof question }>;

export const askCommand: CommandModule<object, Arguments> = {
  command: "ask <question>",
  describe: "Ask a trained model one question; prints what it writes and the answer",
  builder: (cli) => cli.positional("question", question).options(options),
  handler: async (args) => {
    const answer = await ask({
      model: fromProject("model", args.model, projectModels),
      question: args.question,
      maxNewTokens: args["max-new-tokens"],
      ...toldFormat(args),
    });
    print(report(answer));
  },
};

/** What was written, then the answer: a text that is nothing but its answer stands alone. */
export function report({ text, outcome }: Awaited<ReturnType<typeof ask>>): string {
  if (outcome.kind !== "answer")
    return `${text}\n\nno answer (${outcome.kind}): ${outcome.message}`;
  const { value } = outcome;
  if (value === text.trim()) return value;
  const isPlain = typeof value === "string" || typeof value === "number";
  return `${text}\n\nanswer: ${isPlain ? value : JSON.stringify(value, null, 2)}`;
}
