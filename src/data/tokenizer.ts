// A Hugging Face tokenizer as the project uses it: exact text in both directions, and no special
// token that nobody asked for.
import { join } from "node:path";
import { z } from "zod";
import { show, UserError } from "../errors.ts";
import { isThere } from "../folders.ts";
import { checkValue, parseJson, readText, withoutByteOrderMark } from "../formats/jsonl.ts";
import { trainBpe } from "./bpe.ts";
import type { Span } from "./tokenizer/addedTokens.ts";
import { createPipeline } from "./tokenizer/pipeline.ts";
import {
  configName,
  jsonName,
  readTokenizerFiles,
  specialTokensName,
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
  /**
   * Token ids of a text; no control token is added, and one that the text spells out is ordinary text, but for where a template
   * wrote it.
   *
   * @param written what of the text a template wrote
   */
  encode(text: string, written?: readonly Span[]): number[];
  /** The exact text of the ids; control tokens are left out. */
  decode(ids: readonly number[]): string;
  /** The texts of its control tokens. */
  readonly controlTokens: ReadonlySet<string>;
  /** The texts of its named control tokens, as templates call them: `bos_token`, `eos_token`. */
  readonly namedTokens: Readonly<Record<string, string>>;
  readonly files: TokenizerFiles;
}

const specialTokenSchema = z
  .union([z.string(), z.looseObject({ content: z.string() })], {
    error: "expected a token's text, or an object with its content",
  })
  .nullish()
  .transform((token) => (typeof token === "object" ? token?.content : token));
const tokenizerConfigSchema = z.looseObject({
  bos_token: specialTokenSchema,
  eos_token: specialTokenSchema,
  pad_token: specialTokenSchema,
  unk_token: specialTokenSchema,
  sep_token: specialTokenSchema,
  cls_token: specialTokenSchema,
  mask_token: specialTokenSchema,
});
const anyJson: z.ZodType<unknown> = z.unknown();

/**
 * Reads `tokenizer.json` and `tokenizer_config.json` of a Hugging Face model folder.
 *
 * @throws UserError if a file is missing or broken, or names no end-of-sequence token
 */
export function loadTokenizer(folder: string): Tokenizer {
  const [jsonPath, configPath] = tokenizerPaths(folder);
  const other = ["tokenizer.model", "vocab.json"].find((name) => isThere(join(folder, name)));
  if (other !== undefined && !isThere(jsonPath)) {
    throw new UserError(
      `${jsonPath}: no such file; the folder has ${other}, from which it can be made: ` +
        "in Python, transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
    );
  }
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
  const own = checkValue(files.tokenizerConfig, configPath, tokenizerConfigSchema);
  const config = Object.hasOwn(own, "eos_token")
    ? own
    : { ...readSpecialTokensMap(files, where), ...own };
  const pipeline = createPipeline(files.tokenizerJson, jsonPath);
  const { vocabSize, idOf: find, encode, decode, controlTokens } = pipeline;
  const idOf = (token: string | null | undefined) => (token == null ? undefined : find(token));

  const eosId = idOf(config.eos_token);
  if (eosId === undefined) {
    throw new UserError(
      `${configPath}: expected "eos_token" to name a token of ${jsonPath}, ` +
        `found ${show(config.eos_token ?? null)}; name the token that ends a text there`,
    );
  }
  const bosId = idOf(config.bos_token);
  const padId = idOf(config.pad_token);
  return {
    vocabSize,
    eosId,
    ...(bosId === undefined ? {} : { bosId }),
    ...(padId === undefined || padId === eosId ? {} : { padId }),
    encode,
    decode,
    controlTokens,
    namedTokens: namedTokens(config),
    files,
  };
}

/** Where older folders, whose tokenizer_config.json says nothing of them, have the special tokens. */
function readSpecialTokensMap({ asTheyCame }: TokenizerFiles, where: string) {
  const content = asTheyCame?.get(specialTokensName);
  if (content === undefined) return {};
  const text = withoutByteOrderMark(Buffer.from(content).toString());
  return parseJson(text, join(where, specialTokensName), tokenizerConfigSchema);
}

function namedTokens(config: z.infer<typeof tokenizerConfigSchema>): Record<string, string> {
  const names = ["bos", "eos", "unk", "pad", "sep", "cls", "mask"] as const;
  const named = names.map((name) => [`${name}_token`, config[`${name}_token`]] as const);
  return Object.fromEntries(named.flatMap(([name, text]) => (text == null ? [] : [[name, text]])));
}
