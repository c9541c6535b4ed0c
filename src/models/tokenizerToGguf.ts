// A tokenizer as the metadata of a GGUF file: the inverse of ggufTokenizer.ts. llama.cpp has its own code for each rule that cuts
// words, and a file can only name one, so a tokenizer is written only where what is rebuilt of its metadata follows the same rules.
// Reference: ggml-org/llama.cpp v0.5.0 (de3ff815), conversion/base.py and src/llama-vocab.cpp; ggml-org/ggml, docs/gguf.md.
import { basename, dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { endTexts } from "../data/endTexts.ts";
import { addedTokenFields } from "../data/tokenizer/addedTokens.ts";
import { byteToChar } from "../data/tokenizer/byteLevel.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { show, UserError } from "../errors.ts";
import { checkValue } from "../formats/jsonl.ts";
import { say } from "../terminal.ts";
import { tokenizerFromGguf } from "./ggufTokenizer.ts";
import { tokenTypes } from "./ggufVocabulary.ts";
import { wordRules } from "./ggufWordRules.ts";

/** Plain values, with the numbers of an array typed as the file has them. */
type Metadata = Map<
  string,
  string | boolean | number | readonly string[] | Int32Array | Float32Array
>;

/** What the file says of the model that the tokenizer belongs to. */
export interface VocabularyUse {
  /** Rows of the embedding; those without a token are named as unused. */
  readonly vocabSize: number;
  /** The tokens that end a response. */
  readonly endIds: readonly number[];
  /** Whether the model was trained on texts without BOS and EOS around them, whatever its tokenizer adds. */
  readonly isAskedPlainly: boolean;
}

const schema = z.object({
  added_tokens: z.array(addedTokenFields).default([]),
  normalizer: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
  post_processor: z.unknown().optional(),
  decoder: z.unknown().optional(),
  model: z.looseObject({
    type: z.string().optional(),
    vocab: z.unknown(),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])).default([]),
    byte_fallback: z.boolean().nullish(),
    ignore_merges: z.boolean().nullish(),
    unk_token: z.string().nullish(),
  }),
});
type TokenizerJson = z.infer<typeof schema>;

/**
 * @param where the tokenizer's folder, for messages
 * @returns the keys "tokenizer."
 * @throws UserError that names what a GGUF file cannot express
 */
export function tokenizerToGguf(tokenizer: Tokenizer, use: VocabularyUse, where: string): Metadata {
  const { tokenizerJson } = tokenizer.files;
  const json = checkValue(tokenizerJson, `${where}/tokenizer.json`, schema);
  if ((json.model.type ?? "BPE") !== "BPE") {
    throw cannotExpress(where, `a model of the type ${show(json.model.type)}, expected BPE`);
  }
  const own: Metadata = new Map([
    ...(json.model.byte_fallback === true
      ? sentencePieceKeys(json, use, where)
      : byteLevelKeys(json, use, where)),
    ...specialKeys(tokenizer, json, use, where),
  ]);
  const metadata: Metadata = new Map(
    [...own].map(([key, value]) => [`tokenizer.ggml.${key}`, value]),
  );
  const pre = own.get("pre");
  checkRebuilt(pre === qwen2Rule ? withoutNfc(json, where) : json, metadata, where);
  return new Map([...metadata, ...chatTemplates(tokenizer)]);
}

function cannotExpress(where: string, what: string): UserError {
  return new UserError(
    `${where}: a GGUF file cannot express its tokenizer: ${what}. llama.cpp would give other tokens than those the model was ` +
      "trained on; export a Hugging Face folder, which has the tokenizer as it is",
  );
}

const qwen2Rule = "qwen2";

/** Qwen normalises texts to NFC before it cuts them; llama.cpp does not, in any of the files that are published of these models. */
function withoutNfc(json: TokenizerJson, where: string): TokenizerJson {
  const all = flatten(json.normalizer, "normalizers");
  const others = all.filter(({ type }) => type !== "NFC");
  if (others.length === all.length) return json;
  say(`note: ${where}: its tokenizer normalises texts (NFC), llama.cpp will not`);
  const normalizer = others.length === 0 ? null : { type: "Sequence", normalizers: others };
  return { ...json, normalizer };
}

function byteLevelKeys(json: TokenizerJson, use: VocabularyUse, where: string): Metadata {
  const wanted = canonicalWords(json.pre_tokenizer);
  const [pre] =
    [...wordRules].find(
      ([, { preTokenizer, ignoreMerges }]) =>
        ignoreMerges === (json.model.ignore_merges ?? false) &&
        isDeepStrictEqual(canonicalWords(preTokenizer), wanted),
    ) ?? [];
  if (pre === undefined) {
    throw cannotExpress(
      where,
      `of its rule that cuts words, ${show(json.pre_tokenizer ?? null)}` +
        `${json.model.ignore_merges ? " with ignore_merges" : ""}, docs/models.md knows no name in llama.cpp`,
    );
  }
  return new Map<string, string | readonly string[] | Int32Array>([
    ["model", "gpt2"],
    ["pre", pre],
    ...tokensAndTypes(json, use, where),
    ["merges", mergesOf(json).map((pair) => pair.join(" "))],
  ]);
}

/** Scores take the place of merges: the token that is made first has the highest one. */
function sentencePieceKeys(json: TokenizerJson, use: VocabularyUse, where: string): Metadata {
  const keys = tokensAndTypes(json, use, where);
  const ranks = new Map<string, number>();
  for (const pair of mergesOf(json)) {
    const merged = pair.join("");
    if (!ranks.has(merged)) ranks.set(merged, ranks.size);
  }
  const scores = (keys.get("tokens") as readonly string[]).map(
    (token) => -(ranks.get(token) ?? ranks.size),
  );
  return new Map<string, string | boolean | readonly string[] | Int32Array | Float32Array>([
    ["model", "llama"],
    ["pre", "default"],
    ...keys,
    ["scores", Float32Array.from(scores)],
    [
      "add_space_prefix",
      flatten(json.normalizer, "normalizers").some(({ type }) => type === "Prepend"),
    ],
  ]);
}

function mergesOf({ model }: TokenizerJson): (readonly [string, string])[] {
  return model.merges.map((merge) => {
    if (typeof merge !== "string") return merge;
    const space = merge.indexOf(" ", 1);
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
}

/** Every token's id, those of the added tokens included. */
function vocabularyOf(json: TokenizerJson): Map<string, number> {
  const added = json.added_tokens.map(({ content, id }) => [content, id] as const);
  return new Map([...Object.entries(json.model.vocab as Record<string, number>), ...added]);
}

function tokensAndTypes(
  json: TokenizerJson,
  { vocabSize }: VocabularyUse,
  where: string,
): Map<string, readonly string[] | Int32Array> {
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const types = new Int32Array(vocabSize).fill(tokenTypes.unused);
  const isFallback = json.model.byte_fallback === true;
  for (const [token, id] of vocabularyOf(json)) {
    if (types[id] !== tokenTypes.unused) {
      throw cannotExpress(where, `${show(token)} and ${show(tokens[id])} have the same id ${id}`);
    }
    tokens[id] = token;
    const isByte = isFallback && /^<0x[0-9A-F]{2}>$/.test(token);
    types[id] = isByte ? tokenTypes.byte : tokenTypes.normal;
  }
  for (const { id, content, special } of json.added_tokens) {
    const isUnknown = isFallback && content === json.model.unk_token;
    if (special) types[id] = isUnknown ? tokenTypes.unknown : tokenTypes.control;
    else types[id] = tokenTypes.userDefined;
  }
  return new Map<string, readonly string[] | Int32Array>([
    ["tokens", tokens],
    ["token_type", types],
  ]);
}

// --- Special tokens ---

const unknownSchema = z.looseObject({
  unk_token: z.union([z.string(), z.looseObject({ content: z.string() })]).nullish(),
});

function specialKeys(
  tokenizer: Tokenizer,
  json: TokenizerJson,
  { endIds, isAskedPlainly }: VocabularyUse,
  where: string,
): Metadata {
  const { bosId, eosId, padId, files } = tokenizer;
  const ids = vocabularyOf(json);
  const { unk_token } = unknownSchema.safeParse(files.tokenizerConfig).data ?? {};
  const unknown = typeof unk_token === "object" ? unk_token?.content : unk_token;
  const adds = tokensAround(json.post_processor, where);
  const isAdded = (id: number | undefined, among: readonly string[]) =>
    !isAskedPlainly && among.some((token) => ids.get(token) === id);
  const entries = {
    bos_token_id: bosId,
    eos_token_id: eosId,
    ...otherEnds(
      endIds.filter((id) => id !== eosId),
      ids,
      where,
    ),
    unknown_token_id: unknown === undefined ? undefined : ids.get(unknown),
    padding_token_id: padId,
    add_bos_token: isAdded(bosId, adds.before),
    add_eos_token: isAdded(eosId, adds.after),
  };
  return new Map(
    Object.entries(entries).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}

/** Beside the end of a text a file can name that of a turn and that of a message; others have to be what llama.cpp knows by its text. */
function otherEnds(endIds: readonly number[], ids: ReadonlyMap<string, number>, where: string) {
  const known = new Set([...endTexts].map((text) => ids.get(text)));
  const unknown = endIds.filter((id) => !known.has(id));
  if (unknown.length > 2) {
    throw cannotExpress(
      where,
      `${unknown.length + 1} tokens end a response, and a file has room for 3; name fewer in eos_token_id of config.json and generation_config.json`,
    );
  }
  const named = [...unknown, ...endIds.filter((id) => known.has(id))].slice(0, 2);
  const message = ids.get("<|eom_id|>");
  const [first, second] = named.toSorted((a, b) => Number(a === message) - Number(b === message));
  if (second === undefined && first !== undefined && first === message)
    return { eom_token_id: first };
  return { eot_token_id: first, eom_token_id: second };
}

const processorSchema = z.object({
  single: z.array(
    z.union([
      z.object({ SpecialToken: z.object({ id: z.string() }) }),
      z.object({ Sequence: z.object({ id: z.literal("A") }) }),
    ]),
  ),
});

/** The tokens that a post-processor puts around a text: at most one on each side. */
function tokensAround(
  json: unknown,
  where: string,
): { readonly before: readonly string[]; readonly after: readonly string[] } {
  const parts = flatten(json, "processors").filter(({ type }) => type !== "ByteLevel");
  if (parts.length === 0) return { before: [], after: [] };
  const { data } = processorSchema.safeParse(parts[0]);
  const single = data?.single.map((part) => ("SpecialToken" in part ? part.SpecialToken.id : null));
  const text = single?.indexOf(null) ?? -1;
  const [before, after] = [single?.slice(0, text) ?? [], single?.slice(text + 1) ?? []];
  if (parts.length > 1 || text < 0 || before.length > 1 || after.length > 1) {
    throw cannotExpress(where, `its post_processor is ${show(json)}`);
  }
  const isToken = (token: string | null) => token !== null;
  return { before: before.filter(isToken), after: after.filter(isToken) };
}

// --- Chat templates ---

const templateSchema = z.looseObject({
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))])
    .nullish(),
});

/** Those of files beside the tokenizer count before those in tokenizer_config.json, as in transformers. */
function chatTemplates({ files }: Tokenizer): Metadata {
  const given = templateSchema.safeParse(files.tokenizerConfig).data?.chat_template ?? [];
  const templates = new Map(
    typeof given === "string"
      ? [["default", given]]
      : given.map(({ name, template }) => [name, template]),
  );
  for (const [name, content] of files.asTheyCame ?? []) {
    if (!name.endsWith(".jinja")) continue;
    const isNamed = dirname(name) !== ".";
    templates.set(
      isNamed ? basename(name, ".jinja") : "default",
      new TextDecoder().decode(content),
    );
  }
  const named = [...templates].filter(([name]) => name !== "default");
  const usual = templates.get("default");
  return new Map<string, string | readonly string[]>([
    ...(usual === undefined ? [] : [["tokenizer.chat_template", usual] as const]),
    ...(named.length === 0
      ? []
      : [["tokenizer.chat_templates", named.map(([name]) => name)] as const]),
    ...named.map(([name, template]) => [`tokenizer.chat_template.${name}`, template] as const),
  ]);
}

// --- The comparison ---

/** @throws UserError naming each part of the tokenizer that would be another one when it is read from the file */
function checkRebuilt(json: TokenizerJson, metadata: Metadata, where: string): void {
  const plain = new Map(
    [...metadata].map(([key, value]) => [key, ArrayBuffer.isView(value) ? [...value] : value]),
  );
  const rebuilt = schema.parse(tokenizerFromGguf(plain, where).tokenizerJson);
  const [found, wanted] = [canonical(rebuilt), canonical(json)];
  const parts = Object.keys(wanted) as (keyof typeof wanted)[];
  const others = parts.filter((part) => !isDeepStrictEqual(found[part], wanted[part]));
  if (others.length === 0) return;
  throw cannotExpress(where, `${others.join(", ")} of tokenizer.json would be read as another one`);
}

/** A tokenizer.json without what makes no difference to the ids of a text or the text of ids. */
function canonical(json: TokenizerJson) {
  const { model } = json;
  const vocabulary = vocabularyOf(json);
  const isFallback = model.byte_fallback === true;
  return {
    added_tokens: json.added_tokens
      .map(({ id, content, special, normalized, ...place }) => {
        const flags = { ...place, normalized: json.normalizer != null && (normalized ?? true) };
        return special ? { id, content } : { id, content, flags };
      })
      .toSorted((a, b) => a.id - b.id),
    normalizer: flatten(json.normalizer, "normalizers"),
    pre_tokenizer: isFallback ? flatten(json.pre_tokenizer) : canonicalWords(json.pre_tokenizer),
    decoder: flatten(json.decoder, "decoders").map((part) =>
      part.type === "ByteLevel" ? { type: part.type } : part,
    ),
    vocab: vocabulary,
    merges: mergesOf(json),
    byte_fallback: isFallback,
    ignore_merges: model.ignore_merges ?? false,
    unk_token: coversBytes(vocabulary, isFallback) ? null : (model.unk_token ?? null),
    dropout: model.dropout ?? null,
    continuing_subword_prefix: model.continuing_subword_prefix || null,
    end_of_word_suffix: model.end_of_word_suffix || null,
  };
}

/** Whether no text has a character that the vocabulary lacks. */
function coversBytes(vocabulary: ReadonlyMap<string, number>, isFallback: boolean): boolean {
  const hex = (byte: number) => byte.toString(16).toUpperCase().padStart(2, "0");
  const isInUtf8 = (byte: number) => byte < 0xf5 && byte !== 0xc0 && byte !== 0xc1;
  return byteToChar.every(
    (char, byte) => !isInUtf8(byte) || vocabulary.has(isFallback ? `<0x${hex(byte)}>` : char),
  );
}

interface Part {
  readonly type?: unknown;
  readonly [key: string]: unknown;
}

/** The parts of a sequence, in order; one part alone; none. */
function flatten(json: unknown, key = "pretokenizers"): Part[] {
  if (json == null) return [];
  const part = json as Part;
  const inner = part[key];
  if (part.type !== "Sequence" || !Array.isArray(inner)) return [part];
  return inner.flatMap((one) => flatten(one, key));
}

/** The spelling of LLaMA 3's and Qwen2's own files, and that of llama.cpp; they differ in the long s (U+017F). */
const contractions = [
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
  "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])",
] as const;

/** Different spellings of one rule that cuts words become one. */
function canonicalWords(json: unknown): readonly Part[] {
  return flatten(json).map((part): Part => {
    if (part.type === "ByteLevel") {
      const { type, add_prefix_space, use_regex = true } = part;
      return { type, add_prefix_space, use_regex };
    }
    if (part.type === "Digits" && part.individual_digits === true) {
      return { type: "Split", regex: "\\p{N}", behavior: "Isolated", invert: false };
    }
    const { Regex } = (part.pattern ?? {}) as { Regex?: unknown };
    if (part.type !== "Split" || typeof Regex !== "string") return part;
    const regex = Regex.replace(contractions[0], () => contractions[1]);
    return { type: "Split", regex, behavior: part.behavior, invert: part.invert ?? false };
  });
}
