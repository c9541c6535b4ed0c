// tokenizer.json as two functions, from a text to ids and back, equal to Rust's tokenizers: added tokens, normalizer,
// pre-tokenizer, model; decoder. Post-processors, truncation and padding are not applied: nobody asks for what they add or cut.
import { z } from "zod";
import { checkDepth, show, UserError } from "../../errors.ts";
import { checkValue } from "../../formats/jsonl.ts";
import { within } from "../timeLimit.ts";
import { addedTokenSchema, createAddedTokens, type Part, type Span } from "./addedTokens.ts";
import { refuse } from "./check.ts";
import { createDecoder } from "./decoder.ts";
import { createModel } from "./model.ts";
import { createNormalizer } from "./normalizer.ts";
import { createPreTokenizer, marksFirstWord } from "./preTokenizer.ts";

export interface Pipeline {
  /** Highest id + 1, added tokens included. */
  readonly vocabSize: number;
  /** The id of a token, control tokens included. */
  readonly idOf: (token: string) => number | undefined;
  /**
   * Control tokens in the text are ordinary text, but for those within the spans that a template wrote; half a surrogate pair
   * counts as U+FFFD, which no UTF-8 can tell from it.
   */
  readonly encode: (text: string, written?: readonly Span[]) => number[];
  /** The text of the ids; control tokens and ids without a token are left out. */
  readonly decode: (ids: readonly number[]) => string;
  /** The texts of the control tokens. */
  readonly controlTokens: ReadonlySet<string>;
}

const schema = z.object({
  added_tokens: z.array(addedTokenSchema).default([]),
  normalizer: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
  decoder: z.unknown().optional(),
  model: z.looseObject({}),
});

/**
 * @param json the contents of tokenizer.json
 * @param where the file, for messages
 * @throws UserError if it is malformed, or has a rule that is not computed exactly, by name
 */
export function createPipeline(json: unknown, where: string): Pipeline {
  const file = checkValue(json, where, schema);
  checkDepth(file, where);
  const at = (part: keyof typeof file) => `${where}: ${part}`;
  if (file.normalizer != null && marksFirstWord(file.pre_tokenizer)) {
    refuse(at("pre_tokenizer"), '"prepend_scheme": "first" after a normalizer');
  }
  const normalize = createNormalizer(file.normalizer, at("normalizer"));
  const cut = createPreTokenizer(file.pre_tokenizer, at("pre_tokenizer"));
  const { vocabulary, idsOf } = createModel(file.model, at("model"));
  const joinTokens = createDecoder(file.decoder, at("decoder"));
  const added = createAddedTokens(
    file.added_tokens,
    (token) => vocabulary.idOf.get(token),
    vocabulary.idOf.size,
    normalize,
    at("added_tokens"),
  );
  const textOf = (id: number) => added.textOf.get(id) ?? vocabulary.tokenOf.get(id);
  let highestId = -1;
  for (const id of [...vocabulary.tokenOf.keys(), ...added.textOf.keys()])
    highestId = Math.max(highestId, id);
  if (highestId < 0) throw new UserError(`${where}: expected a vocabulary, found no token`);

  const pushOrdinary = (ids: number[], { text, start }: Part) => {
    for (const raw of added.cutRaw(text)) {
      if (raw.id !== undefined) {
        ids.push(raw.id);
        continue;
      }
      for (const part of added.cutNormalized(normalize(raw.text))) {
        if (part.id !== undefined) {
          ids.push(part.id);
          continue;
        }
        const words = cut(part.text, start + raw.start + part.start === 0);
        for (const word of words) for (const id of idsOf(word)) ids.push(id);
      }
    }
  };
  const limitedEncode = limited([file.normalizer, file.pre_tokenizer], where);
  const limitedDecode = limited(file.decoder, where);
  return {
    vocabSize: highestId + 1,
    idOf: (token) => added.idOf.get(token) ?? vocabulary.idOf.get(token),
    encode(text, written) {
      const wellFormed = text.toWellFormed();
      return limitedEncode(wellFormed, () => {
        const ids: number[] = [];
        const parts = written ? added.cutControl(wellFormed, written) : [whole(wellFormed)];
        for (const part of parts) {
          if (part.id !== undefined) ids.push(part.id);
          else pushOrdinary(ids, part);
        }
        return ids;
      });
    },
    decode(ids) {
      const tokens = ids.flatMap((id) => {
        const token = textOf(id);
        return token === undefined || added.special.has(token) ? [] : [token];
      });
      return tokens.length === 0
        ? ""
        : limitedDecode(tokens.join(""), () => joinTokens(tokens).join(""));
    },
    controlTokens: added.special,
  };
}

const whole = (text: string): Part => ({ text, start: 0 });

/** The usual expressions take a microsecond per character. */
const millisecondsFor = (text: string) => 2000 + Math.ceil(text.length / 100);

/** Runs what follows a file's rules on a text. @throws UserError where its expressions take time without end */
function limited(rules: unknown, where: string): <T>(text: string, run: () => T) => T {
  if (!JSON.stringify(rules ?? null).includes('"Regex"')) return (_, run) => run();
  return (text, run) => {
    const found = within(millisecondsFor(text), run);
    if (found !== undefined) return found.value;
    throw new UserError(
      `${where}: its expressions take too long for the text ${show(text)}: use another tokenizer`,
    );
  };
}
