// Trains byte-level BPE: start from the 256 bytes, and again and again join the neighbours that
// occur together most often. Reference: Sennrich et al., arXiv 1508.07909, algorithm 1.
import { UserError } from "../errors.ts";
import { byteToChar, gpt2Words } from "./tokenizer/byteLevel.ts";
import { compileOniguruma } from "./tokenizer/oniguruma.ts";
import { split } from "./tokenizer/split.ts";

/** In the order of their ids: padding is 0 and never the end of a sequence. */
const specialTokens = ["<pad>", "<s>", "</s>"] as const;
const minVocabSize = specialTokens.length + 256;

/** How GPT-2 cuts a text; the `ByteLevel` pre-tokenizer does the same. No merge crosses a cut. */
const wordPattern = compileOniguruma(gpt2Words, "ByteLevel");

/** A word as the ids of its parts so far, and how often the texts hold it. */
interface Word {
  ids: readonly number[];
  readonly count: number;
}

/** How often two neighbours occur, and the words that they were seen in. */
interface Pair {
  count: number;
  readonly words: Set<Word>;
}

/**
 * Trains on texts; the result does not depend on their order, and equals what the `BpeTrainer` of
 * Hugging Face's tokenizers finds.
 *
 * @returns the contents of `tokenizer.json` and `tokenizer_config.json`
 * @throws UserError if vocabSize leaves no room for the special tokens and the bytes
 */
export function trainBpe(texts: Iterable<string>, vocabSize: number) {
  if (!Number.isInteger(vocabSize) || vocabSize < minVocabSize) {
    throw new UserError(
      `vocabulary size: expected a whole number of at least ${minVocabSize} ` +
        `(${specialTokens.length} special tokens and 256 bytes), found ${vocabSize}`,
    );
  }
  const tokens = [...specialTokens, ...[...byteToChar].sort()];
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  // An id is below vocabSize, so this numbers pairs uniquely and sorts them by their ids.
  const pairKey = (left: number, right: number) => left * vocabSize + right;
  const pairs = countPairs(splitWords(texts, idOf), pairKey);
  const merges: [string, string][] = [];

  while (idOf.size < vocabSize) {
    const best = mostFrequentPair(pairs);
    if (best === undefined) break;
    const [left, right] = [Math.floor(best / vocabSize), best % vocabSize];
    const merged = tokens[left]! + tokens[right]!;
    // Should two ways lead to one token ("ab" + "c", "a" + "bc"), it keeps its id.
    const id = idOf.get(merged) ?? tokens.push(merged) - 1;
    idOf.set(merged, id);
    merges.push([tokens[left]!, tokens[right]!]);
    for (const word of pairs.get(best)!.words) {
      addPairs(pairs, word, -1, pairKey);
      word.ids = mergeNeighbours(word.ids, left, right, id);
      addPairs(pairs, word, 1, pairKey);
    }
    pairs.delete(best);
  }
  const added = specialTokens.map((content, id) => ({ id, content, special: true }));
  return { tokenizerJson: byteLevelJson(idOf, merges, added), tokenizerConfig };
}

function splitWords(texts: Iterable<string>, idOf: ReadonlyMap<string, number>): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of split(text.toWellFormed(), wordPattern, "Isolated"))
      counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  return [...counts].map(([word, count]) => ({
    ids: Array.from(encoder.encode(word), (byte) => idOf.get(byteToChar[byte]!)!),
    count,
  }));
}

type PairKey = (left: number, right: number) => number;

function countPairs(words: readonly Word[], pairKey: PairKey): Map<number, Pair> {
  const pairs = new Map<number, Pair>();
  for (const word of words) addPairs(pairs, word, 1, pairKey);
  return pairs;
}

function addPairs(pairs: Map<number, Pair>, word: Word, sign: 1 | -1, pairKey: PairKey): void {
  for (let i = 0; i + 1 < word.ids.length; i++) {
    const key = pairKey(word.ids[i]!, word.ids[i + 1]!);
    let pair = pairs.get(key);
    if (pair === undefined) {
      pair = { count: 0, words: new Set() };
      pairs.set(key, pair);
    }
    pair.count += sign * word.count;
    if (sign > 0) pair.words.add(word);
  }
}

/** Ties go to the pair with the lowest ids. A pair seen once is a word by heart, not a pattern. */
function mostFrequentPair(pairs: ReadonlyMap<number, Pair>): number | undefined {
  let best: number | undefined;
  let bestCount = 2;
  for (const [key, { count }] of pairs) {
    if (count > bestCount || (count === bestCount && (best === undefined || key < best))) {
      best = key;
      bestCount = count;
    }
  }
  return best;
}

function mergeNeighbours(
  ids: readonly number[],
  left: number,
  right: number,
  merged: number,
): number[] {
  const result: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      result.push(merged);
      i++;
    } else {
      result.push(ids[i]!);
    }
  }
  return result;
}

/** A token that is found in a text before anything else is cut. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Whether decoding leaves it out. */
  readonly special: boolean;
}

/** How tokenizer.json writes added tokens: found as they are, whatever stands around them. */
export function addedTokensJson(tokens: readonly AddedToken[]) {
  return tokens.map(({ id, content, special }) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special,
  }));
}

/** Words as GPT-2 cuts them, their bytes as printable characters. */
export const byteLevel = {
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
};

/** tokenizer.json of a byte-level BPE. */
export function byteLevelJson(
  vocab: ReadonlyMap<string, number>,
  merges: readonly (readonly [string, string])[],
  addedTokens: readonly AddedToken[],
) {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokensJson(addedTokens),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: { ...byteLevel, add_prefix_space: true }, // as the library writes it; no effect here
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab),
      merges,
    },
  };
}

const tokenizerConfig = {
  tokenizer_class: "PreTrainedTokenizerFast",
  bos_token: "<s>",
  eos_token: "</s>",
  pad_token: "<pad>",
  clean_up_tokenization_spaces: false,
};
