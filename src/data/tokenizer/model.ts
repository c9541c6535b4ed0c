// Models of tokenizer.json: the ids of a word. @huggingface/tokenizers searches for the parts of a word; around it stands what it
// does otherwise than Rust's tokenizers. Reference: huggingface/tokenizers 0.23, models/.
import { z } from "zod";
import { show, UserError } from "../../errors.ts";
import { checkValue } from "../../formats/jsonl.ts";
import { createBpe } from "./bpeModel.ts";
import { byteTokens } from "./byteLevel.ts";
import { kindOf, refuse } from "./check.ts";
import { openLibraryModel } from "./library.ts";
import { readVocabulary, type Vocabulary, vocabularyOf } from "./vocabulary.ts";

export interface WordModel {
  readonly vocabulary: Vocabulary;
  /** The ids of a word. @throws UserError if it has a part without a token, and there is no unknown token */
  readonly idsOf: (word: string) => readonly number[];
}

const untyped = z.object({
  type: z.undefined(),
  vocab: z.unknown().optional(),
  merges: z.array(z.unknown()),
});
const wordLevel = z.object({ vocab: z.unknown().optional(), unk_token: z.string() });
const wordPiece = z.object({
  vocab: z.unknown().optional(),
  unk_token: z.string(),
  continuing_subword_prefix: z.string(),
  max_input_chars_per_word: z.int().nonnegative(),
});
const unigram = z.object({
  vocab: z.array(z.tuple([z.string(), z.number()])).min(1),
  unk_id: z.int().nonnegative().nullish(),
  byte_fallback: z.boolean().default(false),
});

/** @throws UserError for a model that is malformed, or of another kind */
export function createModel(json: unknown, where: string): WordModel {
  const kind = untyped.safeParse(json).success ? "BPE" : kindOf(json, where); // GPT-2's file names none
  switch (kind) {
    case "BPE":
      return createBpe(json, where);
    case "WordPiece":
      return createWordPiece(checkValue(json, where, wordPiece), where);
    case "WordLevel":
      return createWordLevel(checkValue(json, where, wordLevel), where);
    case "Unigram":
      return createUnigram(checkValue(json, where, unigram), where);
    default:
      return refuse(where, `the model ${show(kind)}`);
  }
}

function createWordLevel(
  { vocab, unk_token }: z.infer<typeof wordLevel>,
  where: string,
): WordModel {
  const vocabulary = readVocabulary(vocab, `${where}.vocab`);
  const unknown = unknownId(unk_token, vocabulary, where);
  return { vocabulary, idsOf: (word) => [vocabulary.idOf.get(word) ?? unknown] };
}

function createWordPiece(options: z.infer<typeof wordPiece>, where: string): WordModel {
  const vocabulary = readVocabulary(options.vocab, `${where}.vocab`);
  unknownId(options.unk_token, vocabulary, where);
  const vocab = Object.fromEntries(vocabulary.idOf);
  const library = openLibraryModel("WordPiece", { ...options, vocab });
  return {
    vocabulary,
    idsOf: (word) => library.encode([word]).map((token) => vocabulary.idOf.get(token)!),
  };
}

function unknownId(token: string, { idOf }: Vocabulary, where: string): number {
  const id = idOf.get(token);
  if (id !== undefined) return id;
  throw new UserError(`${where}: expected "unk_token" ${show(token)} to be in "vocab"`);
}

function createUnigram(options: z.infer<typeof unigram>, where: string): WordModel {
  const { vocab, unk_id, byte_fallback } = options;
  if (unk_id == null || unk_id >= vocab.length) {
    throw new UserError(
      `${where}: expected "unk_id" to be a place in "vocab", found ${show(unk_id)}`,
    );
  }
  const vocabulary = vocabularyOf(
    vocab.map(([token], id): [string, number] => [token, id]),
    where,
  );
  const { idOf } = vocabulary;
  const library = openLibraryModel("Unigram", { vocab, unk_id });
  library.scores[unk_id] = vocab[unk_id]![1]; // the library would give the unknown token, as a text, another score
  const idsOfPiece = (piece: string): number[] => {
    const id = idOf.get(piece);
    if (id !== undefined) return [id];
    const bytes = byte_fallback ? byteTokens(piece).map((token) => idOf.get(token)) : [undefined];
    return bytes.includes(undefined) ? [unk_id] : (bytes as number[]);
  };
  const isUnknown = (piece: string) => (idOf.get(piece) ?? unk_id) === unk_id;
  return {
    vocabulary,
    idsOf: (word) => joinNeighbours(library.tokenize(word), isUnknown).flatMap(idsOfPiece),
  };
}

/** Neighbours of which the same is said become one piece. */
function joinNeighbours(pieces: readonly string[], joins: (piece: string) => boolean): string[] {
  const joined: string[] = [];
  let isOpen = false;
  for (const piece of pieces) {
    const isJoined = joins(piece);
    if (isJoined && isOpen) joined[joined.length - 1] += piece;
    else joined.push(piece);
    isOpen = isJoined;
  }
  return joined;
}
