// Text or tokens in: what the tasks that take either of them share.
import { join } from "node:path";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { UserError } from "../errors.ts";
import { isThere } from "../folders.ts";
import { tokenizerFolderOf } from "../models/modelFolder.ts";

/** The folder's tokenizer; undefined where there is none, which token inputs do not need. */
export function tokenizerIn(folder: string): Tokenizer | undefined {
  const home = tokenizerFolderOf(folder);
  return isThere(join(home, "tokenizer.json")) ? loadTokenizer(home) : undefined;
}

/** Turns text into tokens, or says where a tokenizer is missing. */
export function encodeWith(
  tokenizer: Tokenizer | undefined,
  text: string,
  where: string,
  folder: string,
): number[] {
  if (tokenizer) return tokenizer.encode(text);
  throw new UserError(
    `${where}: a text needs a tokenizer, but ${folder} has no tokenizer.json; give tokens instead`,
  );
}

/** @throws UserError for a token that the model does not know */
export function checkTokens(tokens: readonly number[], vocabSize: number, where: string): void {
  const unknown = tokens.find((token) => token >= vocabSize);
  if (unknown === undefined) return;
  throw new UserError(
    `${where}: token ${unknown} is not in the model's vocabulary of ${vocabSize}; give tokens of its own tokenizer`,
  );
}

/** @throws UserError for log-probabilities that are no numbers: the weights are damaged, or were when they were trained */
export function checkLogprobs(logprobs: Float32Array, where: string, folder: string): void {
  const place = logprobs.findIndex((logprob) => !Number.isFinite(logprob));
  if (place === -1) return;
  throw new UserError(
    `${where}: expected finite log-probabilities, found ${logprobs[place]} at token ${place}: the weights in ${folder} ` +
      "are damaged; take another checkpoint",
  );
}
