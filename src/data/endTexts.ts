// The texts of tokens that end a response in some model. A vocabulary may have them without saying so, and a model whose vocabulary
// lacks them may write them out, as it has seen them in its data.
// Reference: ggml-org/llama.cpp 00ad355e, src/llama-vocab.cpp, `special_eog_ids`.
import { jsonEscapes } from "./json.ts";

/** What llama.cpp ends at wherever a vocabulary has it, because converters left the keys of a turn's and a message's end out for long. */
export const endTexts: ReadonlySet<string> = new Set([
  ...["<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>"],
  ...["<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]"],
  ...["<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>"],
  ...["<｜end▁of▁sentence｜>", "[e~["],
]);

/** A regular expression that finds any of them. HTML closes what is struck out by `</s>`, too, behind `<s>` and a few words. */
export const anyEndText = [...endTexts]
  .map((text) => text.replace(/[[\]|]/g, "\\$&"))
  .map((text) => (text === "</s>" ? "(?<!<s>[^<]+)</s>" : text))
  .join("|");

const ends = new RegExp(anyEndText, "g");

/** What is written before the first end that something stands before: the next turn is not part of an answer. */
export function beforeEnd(text: string): string {
  return text.split(ends).find((part) => part.trim() !== "") ?? "";
}

/** JSON in which no end is written out: where a text of it has one, that is escaped, which changes no value. */
export function withEscapedEnds(json: string): string {
  return json.replace(ends, jsonEscapes);
}
