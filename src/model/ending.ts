// What ends a response: the tokens that do, the end of a chat's turn, and the last of the model's positions.
import { endOfTurn, type TemplatePrompt } from "../data/templatePrompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { UserError } from "../errors.ts";
import type { Model } from "./model.ts";

/**
 * The tokens that end a response: those of config.json, of generation_config.json and of the tokenizer, where there is one.
 */
export function endTokens(
  { config }: Pick<Model, "config">,
  tokenizer: Tokenizer | undefined,
): number[] {
  return [...new Set([...config.eosIds, ...(tokenizer ? [tokenizer.eosId] : [])])];
}

/** The model that also ends where a chat's turn does. It shares the weights. */
export function endingTurns(
  model: Model,
  tokenizer: Tokenizer,
  prompt: TemplatePrompt | undefined,
): Model {
  if (prompt?.kind !== "chat") return model;
  const eosIds = [...new Set([...model.config.eosIds, endOfTurn(prompt, tokenizer)])];
  return { ...model, config: { ...model.config, eosIds } };
}

export interface Room {
  /** What has or allows so many prompt tokens: `question "a" has`. */
  readonly subject: string;
  readonly promptTokens: number;
  readonly answerTokens: number;
  readonly advice: string;
}

/** @throws UserError when a prompt leaves too few of the model's positions for the answer */
export function checkRoom(
  { config: { maxPositions } }: Pick<Model, "config">,
  { subject, promptTokens, answerTokens, advice }: Room,
): void {
  const room = Math.max(0, maxPositions - promptTokens);
  if (answerTokens <= room) return;
  throw new UserError(
    `${subject} ${promptTokens} prompt tokens, which of the model's ${maxPositions} positions leave ${room} for the answer, ` +
      `expected at least ${answerTokens}; ${advice}`,
  );
}
