// Flags that several commands have.
import type { InferredOptionTypes } from "yargs";
import { z } from "zod";
import { kvCacheDtype, type PromptSetting, promptSetting } from "../config.ts";
import { firstOf, inOneLine, UserError } from "../errors.ts";
import { answerForm, type RewardSettings, reward } from "../rewardConfig.ts";
import { findMistakes, typedValue } from "../settings.ts";
import type { ToldFormat } from "../tasks/answering.ts";
import { usualLength } from "../tasks/answerLength.ts";

export const maxNewTokensFlag = {
  type: "number",
  describe: "Longest answer",
  defaultDescription: `${usualLength}, or as many as the model's positions leave`,
} as const;

export const kvCacheDtypeFlag = {
  choices: kvCacheDtype.options,
  describe: "Of cached keys and values; bf16 takes half the memory, and rounds them",
  defaultDescription: "float32",
} as const;

export const modelFlag = {
  type: "string",
  describe: "Model or run (its best checkpoint) [default: the last run of a project]",
} as const;

/** The flags of commands whose memory can be known before. */
export const forecastFlags = {
  "dry-run": {
    type: "boolean",
    describe:
      "Say what it will take in memory and on disk; a training also tries two steps in a temporary folder",
  },
  "memory-gib": {
    type: "number",
    describe: "Choose the slots, and the size of microbatches, so that it takes at most N GiB",
  },
} as const;

/** How to ask a model that does not say so itself. */
export const formatFlags = {
  cot: {
    type: "string",
    describe: "Form of the answer (python, nl, boxed, json, ...), for a model without reft.json",
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
    cotKind: flags.cot === undefined ? undefined : flagValue("cot", answerForm, flags.cot),
    programPrefix: flags["program-prefix"],
    prompt: flags.prompt === undefined ? undefined : parsePrompt(flags.prompt),
  };
}

/** A name, a file, or what data.prompt takes: `{ chat: { system: "..." } }`. */
function parsePrompt(text: string): PromptSetting {
  if (text === "paper" || text === "chat") return text;
  if (!text.startsWith("{")) return { file: text };
  const { data, error } = promptSetting.safeParse(typedValue(text, `--prompt ${inOneLine(text)}`));
  if (data) return data;
  throw new UserError(`--prompt ${text}: ${error.issues[0]!.message}`);
}

/** What `--reward` says, as `reward` in a training's settings. */
export function rewardFlag(text: string | undefined): RewardSettings | undefined {
  return text === undefined ? undefined : flagValue("reward", reward, text);
}

/** What a flag says in YAML, as a setting of that name would be. @throws UserError when it is not right */
export function flagValue<T>(name: "cot" | "reward", schema: z.ZodType<T>, text: string): T {
  const values = { [name]: typedValue(text, `--${name} ${inOneLine(text)}`) };
  const mistakes = findMistakes(z.object({ [name]: schema }), [], values);
  if (mistakes.length === 0) return schema.parse(values[name]);
  const problems = mistakes.map(({ text }) => `--${text}`);
  throw new UserError(firstOf(problems, "\n"));
}
