// A model as it lies on disk: a Hugging Face folder, with `reft.json` beside it saying how it was taught to answer.
import { join } from "node:path";
import { z } from "zod";
import type { SamplingFormat } from "../data/prompt.ts";
import { templatePromptSchema } from "../data/promptChoice.ts";
import { loadTokenizer, saveTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { generationConfigName } from "../data/tokenizerFiles.ts";
import { UserError } from "../errors.ts";
import { isThere } from "../folders.ts";
import {
  jsonText,
  parseJson,
  readText,
  withoutByteOrderMark,
  writeFileAtomically,
} from "../formats/jsonl.ts";
import { readAdapterFolder } from "../model/adapter.ts";
import { generationSchema, type ModelConfig, toGenerationConfig } from "../model/config.ts";
import { endTokens } from "../model/ending.ts";
import { checkHoldsModel, type HeldAs, loadModel, type Model, saveModel } from "../model/model.ts";
import { doing } from "../progress.ts";
import { type AnswerForm, answerForm } from "../rewardConfig.ts";

/** How a model was taught to answer: what evaluation needs to ask in the same way. */
export interface AnswerFormat {
  readonly cotKind: AnswerForm;
  readonly sampling: SamplingFormat;
}

const answerFormatSchema = z.strictObject({
  cotKind: answerForm,
  sampling: z.strictObject({
    programPrefix: z.enum(["docstring", "def", "none"]),
    continuation: z.string(),
    prompt: templatePromptSchema.exactOptional(),
  }),
});

/**
 * Reads weights and tokenizer.
 *
 * @param weights how matrices are held; float32 where nothing is said
 * @throws UserError when something is missing or damaged, or the tokenizer has ids that the model has not
 */
export function loadModelFolder(
  folder: string,
  weights?: HeldAs,
): { model: Model; tokenizer: Tokenizer } {
  checkHoldsModel(folder);
  const tokenizer = loadTokenizer(tokenizerFolderOf(folder));
  return { model: loadModelFor(tokenizer, folder, weights), tokenizer };
}

/** As loadModelFolder, of a folder that is known to hold a model, and whose tokenizer has been read. */
export function loadModelFor(tokenizer: Tokenizer, folder: string, weights?: HeldAs): Model {
  using _ = doing("loading the model");
  const model = loadModel(folder, weights);
  checkVocabulary(tokenizer, model.config, folder);
  return model;
}

/** Where a model's tokenizer lies. peft writes none: then it is the base model's. */
export function tokenizerFolderOf(folder: string): string {
  if (isThere(join(folder, "tokenizer.json"))) return folder;
  return readAdapterFolder(folder)?.base ?? folder;
}

/** @throws UserError when the tokenizer has ids that the model has not */
export function checkVocabulary(
  tokenizer: Tokenizer,
  { vocabSize }: ModelConfig,
  where: string,
): void {
  if (tokenizer.vocabSize <= vocabSize) return;
  throw new UserError(
    `${where}: the tokenizer has ${tokenizer.vocabSize} tokens, but the model's vocabulary is ${vocabSize}: ` +
      "they do not belong together; take both from one model",
  );
}

/** How the model in this folder was taught to answer; undefined for a folder that another tool made. */
export function readAnswerFormat(folder: string): AnswerFormat | undefined {
  const path = join(folder, "reft.json");
  return isThere(path) ? parseJson(readText(path), path, answerFormatSchema) : undefined;
}

export function saveModelFolder(
  folder: string,
  model: Model,
  tokenizer: Tokenizer,
  format: AnswerFormat | undefined,
): void {
  saveModel(model, folder);
  saveTokenizer(tokenizer, folder);
  // config.json, which an adapter has not, would say where a response ends.
  const generation = model.adapter && generationConfigOf(model, tokenizer, folder);
  if (generation) writeFileAtomically(join(folder, generationConfigName), jsonText(generation));
  if (!format) return;
  writeFileAtomically(join(folder, "reft.json"), jsonText(format));
}

/** What other tools read to end a response where the model does; undefined where the tokenizer's own files say it all. */
export function generationConfigOf(
  model: Pick<Model, "config">,
  tokenizer: Tokenizer,
  where: string,
): Record<string, unknown> | undefined {
  const source = tokenizer.files.asTheyCame?.get(generationConfigName);
  const path = join(where, generationConfigName);
  const settings =
    source &&
    parseJson(withoutByteOrderMark(Buffer.from(source).toString()), path, generationSchema);
  return toGenerationConfig(model.config, endTokens(model, tokenizer), settings);
}
