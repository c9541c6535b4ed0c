// Decoders of tokenizer.json: from the tokens of an answer to its text.
// Reference: huggingface/tokenizers 0.23, decoders/.
import { z } from "zod";
import { show } from "../../errors.ts";
import { checkValue } from "../../formats/jsonl.ts";
import { bytesToTexts, charsToText, tokenByte } from "./byteLevel.ts";
import { checkGrowth, kindOf, patternSchema, refuse } from "./check.ts";
import { createReplace } from "./normalizer.ts";
import { metaspaceSchema } from "./preTokenizer.ts";

/** From tokens to texts, which are joined at the end. */
export type Decoding = (tokens: readonly string[]) => readonly string[];

const sequence = z.object({ decoders: z.array(z.unknown()) });
const replace = z.object({ pattern: patternSchema, content: z.string() });
const strip = z.object({
  content: z.string().regex(/^.$/su),
  start: z.int().nonnegative(),
  stop: z.int().nonnegative(),
});
const wordPiece = z.object({ prefix: z.string(), cleanup: z.boolean() });
const bpe = z.object({ suffix: z.string() });
const ctc = z.object({
  pad_token: z.string(),
  word_delimiter_token: z.string(),
  cleanup: z.boolean(),
});

const lengthOf = (texts: readonly string[]) =>
  texts.reduce((length, text) => length + text.length, 0);

/**
 * @param json a decoder of tokenizer.json; null joins tokens by spaces
 * @param where its place, for messages
 * @throws UserError for a rule that is not computed exactly, by name
 */
export function createDecoder(json: unknown, where: string): Decoding {
  if (json == null) return (tokens) => [tokens.join(" ")];
  const type = kindOf(json, where);
  switch (type) {
    case "Sequence": {
      const parts = checkValue(json, where, sequence).decoders;
      const decoders = parts.map((part, i) => createDecoder(part, `${where}.decoders[${i}]`));
      return (tokens) =>
        decoders.reduce((before, decode) => {
          const texts = decode(before);
          checkGrowth(lengthOf(tokens), lengthOf(texts), where);
          return texts;
        }, tokens);
    }
    case "ByteLevel":
      return (tokens) => [charsToText(tokens)];
    case "ByteFallback":
      return joinBytes;
    case "Fuse":
      return (tokens) => [tokens.join("")];
    case "Replace": {
      const { pattern, content } = checkValue(json, where, replace);
      const map = createReplace(pattern, content, where);
      return (tokens) => tokens.map(map);
    }
    case "Strip": {
      const { content, start, stop } = checkValue(json, where, strip);
      return (tokens) => tokens.map((token) => stripChar(token, content, start, stop));
    }
    case "Metaspace": {
      const { replacement, prepend_scheme } = checkValue(json, where, metaspaceSchema);
      // The first token loses all its marks, not the first alone: Rust does the same.
      const first = prepend_scheme === "never" ? " " : "";
      return (tokens) =>
        tokens.map((token, i) => token.replaceAll(replacement, i === 0 ? first : " "));
    }
    case "WordPiece": {
      const { prefix, cleanup } = checkValue(json, where, wordPiece);
      return (tokens) =>
        tokens.map((token, i) => {
          const joined = i === 0 ? token : joinWordPiece(token, prefix);
          return cleanup ? cleanUp(joined) : joined;
        });
    }
    case "BPEDecoder": {
      const { suffix } = checkValue(json, where, bpe);
      return (tokens) =>
        tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? "" : " "));
    }
    case "CTC": {
      const { pad_token, word_delimiter_token, cleanup } = checkValue(json, where, ctc);
      return (tokens) =>
        tokens
          .filter((token, i) => token !== tokens[i - 1])
          .map((token) => token.replaceAll(pad_token, ""))
          .map((token) => (cleanup ? cleanUp(token).replaceAll(word_delimiter_token, " ") : token));
    }
    default:
      return refuse(where, `the decoder ${show(type)}`);
  }
}

/** Runs of byte tokens become texts, other tokens stay. */
function joinBytes(tokens: readonly string[]): string[] {
  const texts: string[] = [];
  let bytes: number[] = [];
  const finishRun = () => {
    if (bytes.length > 0) for (const text of bytesToTexts(bytes)) texts.push(text);
    bytes = [];
  };
  for (const token of tokens) {
    const byte = tokenByte(token);
    if (byte === undefined) {
      finishRun();
      texts.push(token);
    } else {
      bytes.push(byte);
    }
  }
  finishRun();
  return texts;
}

function stripChar(token: string, char: string, most: number, mostAtEnd: number): string {
  const chars = [...token];
  let start = 0;
  while (start < most && chars[start] === char) start++;
  let end = chars.length;
  while (end > start && chars.length - end < mostAtEnd && chars[end - 1] === char) end--;
  return chars.slice(start, end).join("");
}

function joinWordPiece(token: string, prefix: string): string {
  return token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
}

/** In this order, one after the other. */
const cleanups: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function cleanUp(text: string): string {
  return cleanups.reduce((cleaned, [from, to]) => cleaned.replaceAll(from, to), text);
}
