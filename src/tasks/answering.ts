// A model with the way in which it is asked: as it was taught, or as the user says.
import type { PromptSetting } from "../config.ts";
import { defaultContinuation, type ProgramPrefix } from "../data/prompt.ts";
import { choosePrompt } from "../data/promptChoice.ts";
import type { TemplatePrompt } from "../data/templatePrompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { endingTurns } from "../model/ending.ts";
import type { Model } from "../model/model.ts";
import { type AnswerFormat, loadModelFolder, readAnswerFormat } from "../models/modelFolder.ts";
import type { AnswerForm } from "../rewardConfig.ts";
import { say } from "../terminal.ts";

/** How to ask, for a model without reft.json; what is left out is as that file says. */
export interface ToldFormat {
  /** What its answers are. */
  readonly cotKind?: AnswerForm | undefined;
  /** How its answers begin. */
  readonly programPrefix?: ProgramPrefix | undefined;
  /** How a question is put to it. */
  readonly prompt?: PromptSetting | undefined;
}

/** Whoever gets it disposes the model. */
export interface Answering {
  readonly folder: string;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly format: AnswerFormat;
}

/**
 * @param folder as resolveModelFolder finds it, which checks a checkpoint's files: once is enough
 * @throws UserError for a model that cannot be read, or a prompt that it cannot be asked with
 */
export function openAnswering(folder: string, told: ToldFormat): Answering {
  const saved = readAnswerFormat(folder);
  const { model, tokenizer } = loadModelFolder(folder, "stored");
  const prompt = told.prompt ? choosePrompt(told.prompt, tokenizer) : saved?.sampling.prompt;
  const format = answerFormat(saved, told, prompt);
  if (!saved) {
    const { cotKind, sampling } = format;
    say(
      `${folder} has no reft.json to say how to ask: with cotKind ${cotKind}, programPrefix ${sampling.programPrefix}, ` +
        `prompt ${prompt?.kind === "file" ? prompt.name : (prompt?.kind ?? "paper")}`,
    );
  }
  return { folder, model: endingTurns(model, tokenizer, prompt), tokenizer, format };
}

const usualForm: AnswerForm = "python";

/** The form of the answers, which can be known without loading the model. */
export function formOf(folder: string, told: ToldFormat): AnswerForm {
  return told.cotKind ?? readAnswerFormat(folder)?.cotKind ?? usualForm;
}

/** How answers of a form begin, where neither a model nor the user says. */
export function usualPrefix(form: AnswerForm): ProgramPrefix {
  return form === "python" ? "docstring" : "none";
}

/** How a model is asked: as it was taught, but for what the user says. */
export function answerFormat(
  saved: AnswerFormat | undefined,
  told: ToldFormat,
  prompt: TemplatePrompt | undefined,
): AnswerFormat {
  const cotKind = told.cotKind ?? saved?.cotKind ?? usualForm;
  const programPrefix = told.programPrefix ?? saved?.sampling.programPrefix ?? usualPrefix(cotKind);
  const continuation =
    saved?.sampling.continuation ?? (programPrefix === "none" ? "" : defaultContinuation);
  return { cotKind, sampling: { programPrefix, continuation, ...(prompt && { prompt }) } };
}
