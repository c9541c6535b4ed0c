// How long an answer may be: one rule for all tasks that write answers.
import { checkRoom } from "../model/ending.ts";
import type { Model } from "../model/model.ts";

/** Tokens of the longest answer. */
export const usualLength = 256;

/** What a message calls a prompt, and how many tokens it has. */
export interface PromptLength {
  readonly where: string;
  readonly tokens: number;
}

/**
 * The longest answer in tokens: what is asked for, else 256 or as many as the positions leave after the longest prompt.
 *
 * @param asked where it is given
 * @throws UserError naming the longest prompt where it leaves too little
 */
export function answerLength(
  model: Pick<Model, "config">,
  prompts: readonly PromptLength[],
  asked: number | undefined,
): number {
  const longest = prompts.reduce((most, prompt) => (prompt.tokens > most.tokens ? prompt : most));
  const room = model.config.maxPositions - longest.tokens;
  const length = asked ?? Math.max(1, Math.min(usualLength, room));
  checkRoom(model, {
    subject: `${longest.where} has`,
    promptTokens: longest.tokens,
    answerTokens: length,
    advice: room < 1 ? "shorten it or leave it out" : "lower maxNewTokens",
  });
  return length;
}
