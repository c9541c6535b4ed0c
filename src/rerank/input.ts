// What the classifier reads.
import type { Sequence } from "../data/batch.ts";
import { formatPrompt } from "../data/prompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";

/** The latest prompt: answers to one question come together, and sharing its array lets a batch share its computation. */
let latest: { tokenizer: Tokenizer; question: string; prompt: readonly number[] } | undefined;

/** Question and answer, ended by EOS, where the answer is judged: an answer that was cut off ends so, too. */
export function classifierSequence(tokenizer: Tokenizer, question: string, text: string): Sequence {
  if (latest?.tokenizer !== tokenizer || latest.question !== question)
    latest = { tokenizer, question, prompt: tokenizer.encode(formatPrompt(question)) };
  return { prompt: latest.prompt, response: [...tokenizer.encode(text), tokenizer.eosId] };
}
