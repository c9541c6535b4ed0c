// Added tokens: found in a text before anything else is cut. Control tokens (special ones) are found only in what a template
// wrote: everywhere else they are ordinary text.
// Reference: huggingface/tokenizers 0.23, tokenizer/added_vocabulary.rs, with encode_special_tokens.
import { z } from "zod";
import { show, UserError } from "../../errors.ts";
import type { TextMap } from "./normalizer.ts";
import { literal } from "./oniguruma.ts";
import { rustWord } from "./preTokenizer.ts";

/** An added token as tokenizer.json has it. */
export const addedTokenFields = z.object({
  id: z.int().nonnegative(),
  content: z.string(),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().optional(),
  special: z.boolean().default(false),
});
export const addedTokenSchema = addedTokenFields.transform((token) => ({
  ...token,
  normalized: token.normalized ?? !token.special,
}));
export type AddedTokenOptions = z.infer<typeof addedTokenSchema>;

/** An added token with the text that is searched for. */
interface SoughtToken extends AddedTokenOptions {
  readonly sought: string;
}

/** A part of a text: an added token that was found there, or what lies between. */
export interface Part {
  readonly text: string;
  readonly start: number;
  readonly id?: number;
}

/** A part of a text, by its first character and the one after its last, in UTF-16 units. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface AddedTokens {
  /** Cuts out the control tokens that stand wholly within the spans. */
  readonly cutControl: (text: string, within: readonly Span[]) => Part[];
  /** Cuts out the tokens that are looked for in the text as it came. */
  readonly cutRaw: (text: string) => Part[];
  /** Cuts out those that are looked for in the normalized text. */
  readonly cutNormalized: (text: string) => Part[];
  readonly idOf: ReadonlyMap<string, number>;
  /** What a decoder is given for an id: the token in its normalized form. */
  readonly textOf: ReadonlyMap<number, string>;
  /** Contents of special tokens, which decoding leaves out. */
  readonly special: ReadonlySet<string>;
}

const endsWithWord = new RegExp(`[${rustWord}]$`, "u");
const startsWithWord = new RegExp(`^[${rustWord}]`, "u");

/**
 * @param idInModel the id of a token in the model's own vocabulary
 * @param modelSize number of tokens in it: the first id of a token that it has not
 * @throws UserError if Rust would give a token another id than the file, or could not tell two tokens apart
 */
export function createAddedTokens(
  given: readonly AddedTokenOptions[],
  idInModel: (token: string) => number | undefined,
  modelSize: number,
  normalize: TextMap,
  where: string,
): AddedTokens {
  const idOf = new Map<string, number>();
  const tokens = new Map<string, SoughtToken>();
  let nextId = modelSize;
  for (const token of given) {
    const { id, content, normalized } = token;
    if (content === "") continue;
    const right = idInModel(content) ?? idOf.get(content) ?? nextId++;
    if (id !== right) {
      throw new UserError(
        `${where}: expected the added token ${show(content)} to have the id ${right}, as Rust's tokenizers number it, found ${id}`,
      );
    }
    idOf.set(content, id);
    tokens.set(content, { ...token, sought: normalized ? normalize(content) : content });
  }
  const all = [...tokens.values()];
  const control = all.filter(({ special }) => special);
  const ordinary = ({ special }: SoughtToken) => !special;
  return {
    cutControl: createCut(
      control.map((token) => ({ ...token, sought: token.content })),
      where,
      (token) => isFoundAsWritten(token, where),
    ),
    cutRaw: createCut(
      all.filter(({ normalized }) => !normalized),
      where,
      ordinary,
    ),
    cutNormalized: createCut(
      all.filter(({ normalized }) => normalized),
      where,
      ordinary,
    ),
    idOf,
    textOf: new Map(all.map(({ id, sought }) => [id, sought])),
    special: new Set(control.map(({ content }) => content)),
  };
}

/** @throws UserError for a control token that Rust looks for in the normalized text, whose places are not those of the template's */
function isFoundAsWritten({ content, normalized }: SoughtToken, where: string): boolean {
  if (!normalized) return true;
  throw new UserError(
    `${where}: the template writes the control token ${show(content)}, which has "normalized": true there; ` +
      "that is not computed: expected false, as tokenizers of chat models have it",
  );
}

/**
 * Of the tokens that begin first in a text, the longest is found.
 *
 * @param counts whether a token that was found is cut out, or part of the text after all
 */
function createCut(
  tokens: readonly SoughtToken[],
  where: string,
  counts: (token: SoughtToken) => boolean,
): (text: string, within?: readonly Span[]) => Part[] {
  if (tokens.length === 0) return (text) => (text === "" ? [] : [{ text, start: 0 }]);
  const bySought = new Map(tokens.map((token) => [token.sought, token]));
  if (bySought.size < tokens.length || bySought.has("")) {
    throw new UserError(
      `${where}: two added tokens are the same, or one is empty, after normalization`,
    );
  }
  const longestFirst = [...bySought.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(longestFirst.map(literal).join("|"), "gu");
  return (text, within = [{ start: 0, end: text.length }]) => {
    const parts: Part[] = [];
    let done = 0;
    const matches = within.flatMap(({ start, end }) =>
      [...text.slice(start, end).matchAll(pattern)].map((match) => ({
        token: bySought.get(match[0])!,
        index: start + match.index,
      })),
    );
    for (const { token, index } of matches) {
      const found = counts(token) ? place(token, text, index, done) : undefined;
      if (!found) continue;
      if (done < found.start) parts.push({ text: text.slice(done, found.start), start: done });
      parts.push({ ...found, id: token.id });
      done = found.start + found.text.length;
    }
    if (done < text.length) parts.push({ text: text.slice(done), start: done });
    return parts;
  };
}

/**
 * What a token takes of a text, spaces beside it included where it asks for them; undefined where it does not count, or where
 * nothing is left of it: tokens of spaces may be taken as what stands beside others.
 */
function place(
  { sought, single_word, lstrip, rstrip }: SoughtToken,
  text: string,
  found: number,
  done: number,
): Part | undefined {
  let [start, end] = [found, found + sought.length];
  if (
    single_word &&
    (endsWithWord.test(text.slice(0, start)) || startsWithWord.test(text.slice(end)))
  )
    return undefined;
  if (lstrip) {
    while (start > 0 && /\p{White_Space}/u.test(text[start - 1]!)) start--;
    start = Math.max(start, done);
  }
  if (rstrip) end += /^\p{White_Space}*/u.exec(text.slice(end))![0].length;
  return start < end ? { text: text.slice(start, end), start } : undefined;
}
