// Which prompt a user chose, as plain data: the paper's, the model's chat template, or a template file.
import { basename } from "node:path";
import { z } from "zod";
import type { PromptSetting } from "../config.ts";
import { show, UserError } from "../errors.ts";
import { checkValue, readText, withoutByteOrderMark } from "../formats/jsonl.ts";
import { checkTemplate, type TemplatePrompt } from "./templatePrompt.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { configName, type TokenizerFiles } from "./tokenizerFiles.ts";

/** Checks a prompt that is saved with a model. */
export const templatePromptSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("chat"),
    template: z.string(),
    system: z.string().exactOptional(),
    date: z.string().exactOptional(),
  }),
  z.strictObject({ kind: z.literal("file"), name: z.string(), template: z.string() }),
]);

/**
 * Reads the template of a prompt and tries it.
 *
 * @returns undefined for the paper's prompt
 * @throws UserError when there is no template, or it cannot be used
 */
export function choosePrompt(
  setting: PromptSetting | undefined,
  tokenizer: Tokenizer,
): TemplatePrompt | undefined {
  if (setting === undefined || setting === "paper") return undefined;
  const prompt = readPrompt(setting, tokenizer);
  checkTemplate(prompt, tokenizer);
  return prompt;
}

function readPrompt(
  setting: Exclude<PromptSetting, "paper">,
  { files }: Tokenizer,
): TemplatePrompt {
  if (setting === "chat") return { kind: "chat", template: chatTemplate(files) };
  if ("chat" in setting) return { kind: "chat", template: chatTemplate(files), ...setting.chat };
  const name = basename(setting.file);
  return { kind: "file", name, template: readText(setting.file) };
}

const templateFile = "chat_template.jinja";
const namedTemplates = z.array(z.looseObject({ name: z.string(), template: z.string() }));
const configSchema = z.looseObject({
  chat_template: z.union([z.string(), namedTemplates]).nullish(),
});

/** The template of a tokenizer's files: chat_template.jinja goes before tokenizer_config.json, as in transformers. */
function chatTemplate({ asTheyCame, tokenizerConfig }: TokenizerFiles): string {
  const file = asTheyCame?.get(templateFile);
  if (file !== undefined) return withoutByteOrderMark(new TextDecoder().decode(file));
  const { chat_template: found } = checkValue(tokenizerConfig, configName, configSchema);
  if (typeof found === "string") return found;
  if (found == null)
    throw new UserError(
      `prompt: expected a model with a chat template for "chat", found none: neither ${templateFile} nor "chat_template" in ` +
        `${configName}; choose "paper" or { file: ... }, or a model that was taught to chat`,
    );
  const usual = found.find(({ name }) => name === "default");
  if (usual) return usual.template;
  throw new UserError(
    `${configName}: "chat_template": expected one with the name "default", found ${show(found.map(({ name }) => name))}`,
  );
}
