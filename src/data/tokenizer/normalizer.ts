// Normalizers of tokenizer.json: what is changed in a text before it is cut.
// Reference: huggingface/tokenizers 0.23, normalizers/.
import { z } from "zod";
import { show } from "../../errors.ts";
import { checkValue } from "../../formats/jsonl.ts";
import { textToChars } from "./byteLevel.ts";
import { checkGrowth, kindOf, type Pattern, patternSchema, refuse } from "./check.ts";
import { compileOniguruma, literal } from "./oniguruma.ts";
import { findRanges } from "./split.ts";

export type TextMap = (text: string) => string;

const sequence = z.object({ normalizers: z.array(z.unknown()) });
const strip = z.object({ strip_left: z.boolean(), strip_right: z.boolean() });
const replace = z.object({ pattern: patternSchema, content: z.string() });
const prepend = z.object({ prepend: z.string() });
const bert = z.object({
  clean_text: z.boolean(),
  handle_chinese_chars: z.boolean(),
  strip_accents: z.boolean().nullish(),
  lowercase: z.boolean(),
});

const chinese =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;

/**
 * @param json a normalizer of tokenizer.json, or null
 * @param where its place, for messages
 * @throws UserError for a rule that is not computed exactly, by name
 */
export function createNormalizer(json: unknown, where: string): TextMap {
  if (json == null) return (text) => text;
  const type = kindOf(json, where);
  switch (type) {
    case "Sequence": {
      const parts = checkValue(json, where, sequence).normalizers;
      const maps = parts.map((part, i) => createNormalizer(part, `${where}.normalizers[${i}]`));
      return (text) =>
        maps.reduce((before, map) => {
          const changed = map(before);
          checkGrowth(text.length, changed.length, where);
          return changed;
        }, text);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return (text) => text.normalize(type);
    case "Lowercase":
      return lowercase;
    case "Strip": {
      const { strip_left, strip_right } = checkValue(json, where, strip);
      return (text) => stripSpace(text, strip_left, strip_right);
    }
    case "StripAccents":
      return (text) => text.replace(/\p{M}/gu, "");
    case "Replace": {
      const { pattern, content } = checkValue(json, where, replace);
      return createReplace(pattern, content, where);
    }
    case "Prepend": {
      const { prepend: start } = checkValue(json, where, prepend);
      return (text) => text && start + text;
    }
    case "Nmt":
      return cleanForTranslation;
    case "ByteLevel":
      return textToChars;
    case "BertNormalizer":
      return createBertNormalizer(checkValue(json, where, bert));
    default:
      return refuse(where, `the normalizer ${show(type)}`);
  }
}

/** Rust lowers each character by itself, JavaScript knows the sigma at the end of a word. */
function lowercase(text: string): string {
  return text
    .split("Σ")
    .map((part) => part.toLowerCase())
    .join("σ");
}

function stripSpace(text: string, left: boolean, right: boolean): string {
  const start = left ? /^\p{White_Space}*/u.exec(text)![0].length : 0;
  let end = text.length;
  while (right && end > start && /\p{White_Space}/u.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}

/** Every place where a pattern is found becomes the same text; the decoder of this name does so, too. */
export function createReplace(pattern: Pattern, content: string, where: string): TextMap {
  if ("String" in pattern && pattern.String !== "") {
    const { String: from } = pattern;
    const plain = content.replaceAll("$", "$$$$"); // "$&" in a replacement means what was found
    return (text) => text.replaceAll(from, plain);
  }
  const regex = compilePattern(pattern, where);
  return (text) =>
    findRanges(text, regex)
      .map(({ start, end, isMatch }) => (isMatch ? content : text.slice(start, end)))
      .join("");
}

export function compilePattern(pattern: Pattern, where: string): RegExp {
  if ("String" in pattern) return new RegExp(literal(pattern.String), "gu");
  return compileOniguruma(pattern.Regex, `${where}.pattern.Regex`);
}

function cleanForTranslation(text: string): string {
  return text
    .replace(/(?![\0\t\n\f\r\u0080-\u008E\u0090-\u009E])\p{Cc}/gu, "")
    .replace(/[\t\n\f\r\u1680\u200B-\u200F\u2028\u2029\u2581\uFEFF\uFFFD]/g, " ");
}

function createBertNormalizer(options: z.infer<typeof bert>): TextMap {
  const { clean_text, handle_chinese_chars, lowercase: lowers } = options;
  const stripsAccents = options.strip_accents ?? lowers;
  return (text) => {
    let changed = text;
    if (clean_text) changed = cleanText(changed);
    if (handle_chinese_chars) changed = changed.replace(chinese, " $& ");
    if (stripsAccents) changed = changed.normalize("NFD").replace(/\p{Mn}/gu, "");
    return lowers ? lowercase(changed) : changed;
  };
}

function cleanText(text: string): string {
  return text
    .replace(/(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\uFFFD]/gu, "")
    .replace(/\p{White_Space}/gu, " ");
}
