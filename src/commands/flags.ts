// Flags that several commands have.
import type { InferredOptionTypes } from "yargs";
import { type PromptSetting, parseOverride, promptSetting } from "../config.ts";
import { UserError } from "../errors.ts";
import type { ToldFormat } from "../tasks/answering.ts";
import { usualLength } from "../tasks/answerLength.ts";

export const maxNewTokensFlag = {
  type: "number",
  describe: "Longest answer",
  defaultDescription: `${usualLength}, or as many as the model's positions leave`,
} as const;

/** How to ask a model that does not say so itself. */
export const formatFlags = {
  cot: {
    choices: ["python", "nl"] as const,
    describe: "Kind of answer, for a model without reft.json",
  },
  "program-prefix": {
    choices: ["docstring", "def", "none"] as const,
    describe: "Given beginning of a program, for a model without reft.json",
  },
  prompt: {
    type: "string",
    describe: "paper, chat or a template file, for a model without reft.json",
  },
} as const;

/** The flags as arguments. @throws UserError for a prompt in braces that is no such setting */
export function toldFormat(flags: InferredOptionTypes<typeof formatFlags>): ToldFormat {
  return {
    cotKind: flags.cot,
    programPrefix: flags["program-prefix"],
    prompt: flags.prompt === undefined ? undefined : parsePrompt(flags.prompt),
  };
}

/** A name, a file, or what data.prompt takes: `{ chat: { system: "..." } }`. */
function parsePrompt(text: string): PromptSetting {
  if (text === "paper" || text === "chat") return text;
  if (!text.startsWith("{")) return { file: text };
  const { data, error } = promptSetting.safeParse(parseOverride(`prompt=${text}`).value);
  if (data) return data;
  throw new UserError(`--prompt ${text}: ${error.issues[0]!.message}`);
}
