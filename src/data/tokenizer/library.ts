// The models of @huggingface/tokenizers: how a word is merged, searched or cut into its parts. The package declares no types for
// them, so they are declared here.
import { Tokenizer } from "@huggingface/tokenizers";

interface LibraryModels {
  readonly BPE: { bpe(word: string): string[] };
  readonly WordPiece: { encode(words: readonly string[]): string[] };
  readonly Unigram: { tokenize(word: string): string[]; readonly scores: number[] };
}

/** @param options of the model, checked before: the library takes what it is given */
export function openLibraryModel<Type extends keyof LibraryModels>(
  type: Type,
  options: object,
): LibraryModels[Type] {
  const rules = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  const json = { ...rules, added_tokens: [], model: { ...options, type } };
  return new Tokenizer(json, {}).model as unknown as LibraryModels[Type];
}
