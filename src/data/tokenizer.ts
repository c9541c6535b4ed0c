// A Hugging Face tokenizer as the project uses it: exact text in both directions, and no special
// token that nobody asked for. Wraps @huggingface/tokenizers.
import { join } from "node:path";
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { messageOf, UserError } from "../errors.ts";
import { trainBpe } from "./bpe.ts";
import { parseJson, readText } from "./jsonl.ts";
import {
  configName,
  jsonName,
  readTokenizerFiles,
  type TokenizerFiles,
  writeTokenizerFiles,
} from "./tokenizerFiles.ts";

export interface Tokenizer {
  /** Highest id + 1, added tokens included. */
  readonly vocabSize: number;
  readonly eosId: number;
  readonly bosId?: number;
  /** Absent where the configuration names none, or names EOS: padding must not look like an end. */
  readonly padId?: number;
  /** Token ids of a text; no special token is added. */
  encode(text: string): number[];
  /** The exact text of the ids; special tokens are left out. */
  decode(ids: readonly number[]): string;
  readonly files: TokenizerFiles;
}

// Only what is needed here is checked; the library reads the rest.
const tokenizerJsonSchema = z.looseObject({
  model: z.looseObject({
    vocab: z.union([z.record(z.string(), z.number()), z.array(z.unknown())]),
  }),
  added_tokens: z.array(z.looseObject({ id: z.int().nonnegative(), content: z.string() })),
});
const specialTokenSchema = z
  .union([z.string(), z.looseObject({ content: z.string() })])
  .nullish()
  .transform((token) => (typeof token === "object" ? token?.content : token));
const tokenizerConfigSchema = z.looseObject({
  bos_token: specialTokenSchema,
  eos_token: specialTokenSchema,
  pad_token: specialTokenSchema,
});
const anyJson: z.ZodType<unknown> = z.unknown();

/**
 * Reads `tokenizer.json` and `tokenizer_config.json` of a Hugging Face model folder.
 *
 * @throws UserError if a file is missing or broken, or names no end-of-sequence token
 */
export function loadTokenizer(folder: string): Tokenizer {
  const [jsonPath, configPath] = tokenizerPaths(folder);
  const tokenizerJson = parseJson(readText(jsonPath), jsonPath, anyJson);
  const tokenizerConfig = parseJson(readText(configPath), configPath, anyJson);
  const asTheyCame = readTokenizerFiles(folder);
  return createTokenizer({ tokenizerJson, tokenizerConfig, asTheyCame }, folder);
}

/** Writes its files, and those that came with it, into a folder. @throws UserError if the disk does not take them */
export function saveTokenizer(tokenizer: Tokenizer, folder: string): void {
  writeTokenizerFiles(tokenizer.files, folder);
}

/**
 * Trains a byte-level BPE tokenizer with the special tokens `<pad>` 0, `<s>` 1 and `</s>` 2.
 * The same texts in the same order give the same tokenizer. Its files are read by Rust's and by
 * JavaScript's tokenizers alike.
 *
 * @param vocabSize at least 259 (the special tokens and 256 bytes); the result is smaller where
 *   the texts hold fewer pairs that occur twice
 * @throws UserError if vocabSize is too small
 */
export function trainTokenizer(texts: Iterable<string>, vocabSize: number): Tokenizer {
  return createTokenizer(trainBpe(texts, vocabSize), "trained tokenizer");
}

function tokenizerPaths(folder: string): readonly [string, string] {
  return [join(folder, jsonName), join(folder, configName)];
}

/**
 * @param where the folder, or what takes its place in messages
 * @throws UserError if the files are broken, or name no end-of-sequence token
 */
export function createTokenizer(files: TokenizerFiles, where: string): Tokenizer {
  const [jsonPath, configPath] = tokenizerPaths(where);
  check(tokenizerJsonSchema, files.tokenizerJson, jsonPath);
  const config = check(tokenizerConfigSchema, files.tokenizerConfig, configPath);
  const library = openLibrary(files, jsonPath);
  const idOf = (token: string | null | undefined): number | undefined =>
    token == null ? undefined : library.token_to_id(token);

  const eosId = idOf(config.eos_token);
  if (eosId === undefined) {
    throw new UserError(
      `${configPath}: expected "eos_token" to name a token of ${jsonPath}, ` +
        `found ${JSON.stringify(config.eos_token ?? null)}`,
    );
  }
  const bosId = idOf(config.bos_token);
  const padId = idOf(config.pad_token);
  let highestId = -1;
  for (const id of library.get_vocab().values()) highestId = Math.max(highestId, id);

  return {
    vocabSize: highestId + 1,
    eosId,
    ...(bosId === undefined ? {} : { bosId }),
    ...(padId === undefined || padId === eosId ? {} : { padId }),
    encode: (text) => library.encode(text, { add_special_tokens: false }).ids,
    decode(ids) {
      // A model's vocabulary can be padded beyond the tokenizer's; such an id has no text.
      const known = ids.filter((id) => library.id_to_token(id) !== undefined);
      if (known.length === 0) return ""; // the library refuses an empty list
      return library.decode(known, {
        skip_special_tokens: true,
        clean_up_tokenization_spaces: false, // would take away the space before a comma
      });
    },
    files,
  };
}

function check<T>(schema: z.ZodType<T>, value: unknown, path: string): T {
  return parseJson(JSON.stringify(value), path, schema);
}

function openLibrary(files: TokenizerFiles, jsonPath: string): HuggingFaceTokenizer {
  try {
    return new HuggingFaceTokenizer(
      files.tokenizerJson as object, // checked to be an object by its schema
      files.tokenizerConfig as object,
    );
  } catch (error) {
    throw new UserError(
      `${jsonPath}: expected a tokenizer in the format of Hugging Face tokenizers, ` +
        `found one that does not load (${messageOf(error)})`,
    );
  }
}
