// Pre-tokenizers of tokenizer.json: how a text is cut into the words that the model sees.
// Reference: huggingface/tokenizers 0.23, pre_tokenizers/.
import { z } from "zod";
import { show } from "../../errors.ts";
import { checkValue } from "../../formats/jsonl.ts";
import { gpt2Words, textToChars } from "./byteLevel.ts";
import { kindOf, patternSchema, refuse } from "./check.ts";
import { compilePattern } from "./normalizer.ts";
import { compileOniguruma, literal } from "./oniguruma.ts";
import { split, splitBehaviors } from "./split.ts";

/** @param isStart whether the text to be cut stands at the start of what was encoded */
export type Cut = (text: string, isStart: boolean) => string[];

const behavior = z.enum(splitBehaviors);
const sequence = z.object({ pretokenizers: z.array(z.unknown()) });
const byteLevel = z.object({ add_prefix_space: z.boolean(), use_regex: z.boolean().default(true) });
const splitting = z.object({ pattern: patternSchema, behavior, invert: z.boolean() });
const digits = z.object({ individual_digits: z.boolean() });
const delimiter = z.object({ delimiter: z.string().length(1) });
const punctuation = z.object({ behavior: behavior.default("Isolated") });
const fixedLength = z.object({ length: z.int().positive().default(5) });

/** Metaspace as a pre-tokenizer and as a decoder; `add_prefix_space` is what older files have in place of the scheme. */
export const metaspaceSchema = z
  .object({
    replacement: z.string().regex(/^.$/u),
    prepend_scheme: z.enum(["always", "first", "never"]).default("always"),
    add_prefix_space: z.boolean().nullish(),
    split: z.boolean().nullish(),
  })
  .transform(({ add_prefix_space, split: splits, ...rest }) => ({
    ...rest,
    ...(add_prefix_space === false && { prepend_scheme: "never" as const }),
    split: splits ?? true,
  }));

/** Rust's own expressions, other than Oniguruma, count joiners as word characters. */
export const rustWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";
const rustWords = new RegExp(`[${rustWord}]+|[^${rustWord}\\p{White_Space}]+`, "gu");
const space = /\p{White_Space}/gu;
const number = /\p{N}/gu;
const punctuationMark = /[\p{P}!-/:-@[-`{-~]/gu;

/**
 * @param json a pre-tokenizer of tokenizer.json, or null
 * @param where its place, for messages
 * @throws UserError for a rule that is not computed exactly, by name
 */
export function createPreTokenizer(json: unknown, where: string): Cut {
  if (json == null) return (text) => [text];
  const type = kindOf(json, where);
  switch (type) {
    case "Sequence":
      return createSequence(checkValue(json, where, sequence).pretokenizers, where);
    case "ByteLevel": {
      const { add_prefix_space, use_regex } = checkValue(json, where, byteLevel);
      return createByteLevel(add_prefix_space, use_regex, where);
    }
    case "Split": {
      const { pattern, behavior: kind, invert } = checkValue(json, where, splitting);
      const regex = compilePattern(pattern, where);
      return (text) => split(text, regex, kind, invert);
    }
    case "Digits": {
      const { individual_digits } = checkValue(json, where, digits);
      return (text) => split(text, number, individual_digits ? "Isolated" : "Contiguous");
    }
    case "Metaspace":
      return createMetaspace(checkValue(json, where, metaspaceSchema));
    case "Punctuation": {
      const { behavior: kind } = checkValue(json, where, punctuation);
      return (text) => split(text, punctuationMark, kind);
    }
    case "Whitespace":
      return (text) => split(text, rustWords, "Removed", true);
    case "WhitespaceSplit":
      return (text) => split(text, space, "Removed");
    case "BertPreTokenizer":
      return (text) =>
        split(text, space, "Removed").flatMap((word) => split(word, punctuationMark, "Isolated"));
    case "CharDelimiterSplit": {
      const regex = new RegExp(literal(checkValue(json, where, delimiter).delimiter), "gu");
      return (text) => split(text, regex, "Removed");
    }
    case "FixedLength": {
      const pattern = new RegExp(`[^]{1,${checkValue(json, where, fixedLength).length}}`, "gu");
      return (text) => text.match(pattern) ?? [];
    }
    default:
      return refuse(where, `the pre-tokenizer ${show(type)}`);
  }
}

/** Whether a pre-tokenizer, or one within it, marks only the first word of a text. */
export function marksFirstWord(json: unknown): boolean {
  const { data } = z.object({ prepend_scheme: z.literal("first") }).safeParse(json);
  return data !== undefined || parts(json).some(marksFirstWord);
}

function parts(json: unknown): readonly unknown[] {
  return sequence.safeParse(json).data?.pretokenizers ?? [];
}

function createSequence(jsons: readonly unknown[], where: string): Cut {
  const cuts = jsons.map((json, i) => {
    const place = `${where}.pretokenizers[${i}]`;
    if (i > 0 && marksFirstWord(json)) {
      refuse(place, `"prepend_scheme": "first" after another pre-tokenizer`);
    }
    return createPreTokenizer(json, place);
  });
  return (text, isStart) =>
    cuts.reduce((words, cut) => words.flatMap((word) => cut(word, isStart)), [text]);
}

function createByteLevel(addsSpace: boolean, usesRegex: boolean, where: string): Cut {
  const words = compileOniguruma(gpt2Words, where);
  return (text) => {
    const spaced = addsSpace && !text.startsWith(" ") ? ` ${text}` : text;
    const cut = usesRegex ? split(spaced, words, "Isolated") : [spaced];
    return cut.map(textToChars);
  };
}

function createMetaspace(options: z.infer<typeof metaspaceSchema>): Cut {
  const { replacement, prepend_scheme, split: splits } = options;
  const mark = new RegExp(literal(replacement), "gu");
  return (text, isStart) => {
    const replaced = text.replaceAll(" ", () => replacement);
    const isMarked =
      (prepend_scheme === "always" || (prepend_scheme === "first" && isStart)) &&
      !replaced.startsWith(replacement);
    const marked = isMarked ? replacement + replaced : replaced;
    return splits ? split(marked, mark, "MergedWithNext") : [marked];
  };
}
