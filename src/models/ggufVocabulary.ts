// What a GGUF file says of its tokens, checked and completed as llama.cpp does when it loads one.
// Reference: ggml-org/llama.cpp 00ad355e, src/llama-vocab.cpp, `llama_vocab::impl::load`; ggml-org/ggml, docs/gguf.md.
import { z } from "zod";
import { endTexts } from "../data/endTexts.ts";
import { firstOf, show, UserError } from "../errors.ts";
import { findMistakes } from "../settings.ts";
import { wordRules } from "./ggufWordRules.ts";

/** What `tokenizer.ggml.token_type` says of a token. */
export const tokenTypes = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

const id = z.int().nonnegative().optional();
const schema = z.object({
  model: z.string(),
  pre: z.string().optional(),
  tokens: z.array(z.string()).min(1),
  token_type: z.array(z.int()).optional(),
  merges: z.array(z.string()).optional(),
  scores: z.array(z.number()).optional(),
  bos_token_id: id,
  eos_token_id: id,
  eot_token_id: id,
  eom_token_id: id,
  unknown_token_id: id,
  padding_token_id: id,
  add_bos_token: z.boolean().optional(),
  add_eos_token: z.boolean().default(false),
  add_space_prefix: z.boolean().default(true),
});

export type Vocabulary = z.infer<typeof schema>;

const sentencePieceIds = { bos_token_id: 1, eos_token_id: 2, unknown_token_id: 0 };
const specialTokens = [
  "bos_token_id",
  "eos_token_id",
  "eot_token_id",
  "eom_token_id",
  "unknown_token_id",
] as const;

const prefix = "tokenizer.ggml.";

// Merges are looked for in all places of a token. Published ones have up to 512 characters, runs of spaces, and 3 million in all.
const maxTokenLength = 1024;
const maxVocabularyLength = 2 ** 24;

/**
 * The special tokens of a file, with llama.cpp's defaults for SentencePiece models. Its default for byte-level ones, 11, is
 * Falcon's, so these must name their own.
 *
 * @returns the tokens that end a response: end of text, of turn and of message, where the file names them, and those that
 *   llama.cpp knows by their text
 * @throws UserError for metadata that make no tokenizer
 */
export function ggufSpecialTokens(
  metadata: ReadonlyMap<string, unknown>,
  where: string,
): { readonly bosId?: number; readonly endIds: readonly number[] } {
  const given = readVocabulary(metadata, where);
  const { bos_token_id: bosId, eos_token_id, eot_token_id, eom_token_id } = given;
  const named = [eos_token_id, eot_token_id, eom_token_id].filter((end) => end !== undefined);
  const endIds = [...new Set([...named, ...endsByText(given)])];
  return { ...(bosId !== undefined && { bosId }), endIds };
}

/** Where a model calls functions, `<|end|>` ends a message with others behind it; beside Gemma's tokens, `</s>` is plain text. */
function endsByText({ tokens }: Vocabulary): number[] {
  const has = (...texts: readonly string[]) => texts.some((text) => tokens.includes(text));
  const isCalling = has("<|call|>", "<|calls|>") && has("<|return|>", "<|flush|>");
  const others = [...(isCalling ? ["<|end|>"] : []), ...(has("<|tool_response>") ? ["</s>"] : [])];
  return tokens.flatMap((token, tokenId) =>
    endTexts.has(token) && !others.includes(token) ? [tokenId] : [],
  );
}

/**
 * Checks what is used of the metadata, and completes it by llama.cpp's defaults.
 *
 * @throws UserError that names what is missing, or what contradicts itself
 */
export function readVocabulary(metadata: ReadonlyMap<string, unknown>, where: string): Vocabulary {
  const own = [...metadata].flatMap(([key, value]) =>
    key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [],
  );
  const values = Object.fromEntries(own);
  const problems = findMistakes(schema, [], values).map(({ text }) => text);
  if (problems.length > 0) {
    throw new UserError(
      `${where}: its metadata "${prefix}" make no tokenizer:\n${firstOf(problems, "\n")}`,
    );
  }
  const given = schema.parse(values);
  // llama.cpp's stand-in for a token without a text
  const tokens = given.tokens.map((token, tokenId) => token || `[EMPTY_${tokenId}]`);
  const defaults = given.model === "llama" ? sentencePieceIds : {};
  const known = Object.entries<number>(defaults).filter(([, tokenId]) => tokenId < tokens.length);
  const present = Object.entries(given).filter(([, value]) => value !== undefined);
  const complete: Vocabulary = { ...given, ...Object.fromEntries([...known, ...present]), tokens };
  checkTokens(complete, where);
  return { ...complete, token_type: withControlTokens(complete) };
}

/** llama.cpp takes what it ends at by its text for a control token, whatever type a file gives it. */
function withControlTokens(given: Vocabulary): number[] {
  const ends = new Set(endsByText(given));
  return given.tokens.map((_, tokenId) =>
    ends.has(tokenId) ? tokenTypes.control : typeOf(given, tokenId),
  );
}

function checkTokens(given: Vocabulary, where: string): void {
  const { length } = given.tokens;
  for (const name of ["token_type", "scores"] as const) {
    const found = given[name]?.length ?? length;
    if (found === length) continue;
    throw new UserError(`${where}: has ${length} tokens, but ${found} in ${prefix}${name}`);
  }
  for (const name of specialTokens) {
    if ((given[name] ?? 0) < length) continue;
    throw new UserError(`${where}: ${prefix}${name} ${given[name]} is not a token`);
  }
  const seen = new Set<string>();
  let characters = 0;
  for (const token of given.tokens) {
    characters += token.length;
    if (token.length > maxTokenLength || characters > maxVocabularyLength) {
      throw new UserError(
        `${where}: its tokens are too long to be a vocabulary: ${show(token)} has ${token.length} characters, ` +
          `expected at most ${maxTokenLength}, and ${maxVocabularyLength} of all tokens; take another file`,
      );
    }
    if (seen.has(token))
      throw new UserError(`${where}: the token ${show(token)} stands twice in it`);
    seen.add(token);
  }
  if (given.eos_token_id === undefined) {
    throw new UserError(`${where}: has no ${prefix}eos_token_id, the token that ends a text`);
  }
  if (addsBos(given) && given.bos_token_id === undefined) {
    throw new UserError(`${where}: has no ${prefix}bos_token_id, but asks for that token`);
  }
}

/** llama.cpp's default where a file says nothing. */
export function addsBos({ model, pre, add_bos_token }: Vocabulary): boolean {
  return add_bos_token ?? (model === "llama" || (wordRules.get(pre ?? "")?.addsBos ?? false));
}

export function typeOf({ token_type }: Vocabulary, tokenId: number): number {
  return token_type?.[tokenId] ?? tokenTypes.normal;
}
