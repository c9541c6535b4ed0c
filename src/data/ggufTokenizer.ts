// Rebuilds a tokenizer from the metadata of a GGUF file, where llama.cpp keeps tokens, merges or scores, and the name of
// the rule that cuts a text into words, but not the rule itself.
// Reference: ggml-org/llama.cpp, src/llama-vocab.cpp; ggml-org/ggml, docs/gguf.md.
import { z } from "zod";
import { UserError } from "../errors.ts";
import { type AddedToken, addedTokensJson, byteLevel, byteLevelJson } from "./bpe.ts";
import type { TokenizerFiles } from "./tokenizer.ts";

/** What `tokenizer.ggml.token_type` says of a token. */
const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5 } as const;

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
  unknown_token_id: id,
  padding_token_id: id,
  add_bos_token: z.boolean().optional(),
  add_eos_token: z.boolean().optional(),
  add_space_prefix: z.boolean().default(true),
});

type Metadata = z.infer<typeof schema>;

/** Words as LLaMA 3 cuts them: numbers in threes, line ends apart. */
const llama3Words =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const split = (regex: string) => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});
const sequence = (...pretokenizers: readonly object[]) => ({ type: "Sequence", pretokenizers });

/** By `tokenizer.ggml.pre`: how byte-level tokenizers cut a text before they merge. */
const wordRules: ReadonlyMap<string, { preTokenizer: object; ignoreMerges: boolean }> = new Map([
  ["gpt-2", { preTokenizer: byteLevel, ignoreMerges: false }],
  ["smollm", { preTokenizer: sequence(split("\\p{N}"), byteLevel), ignoreMerges: false }],
  [
    "llama-bpe",
    {
      preTokenizer: sequence(split(llama3Words), { ...byteLevel, use_regex: false }),
      ignoreMerges: true,
    },
  ],
]);

/**
 * @param metadata of the whole file
 * @param where the file, for messages
 * @returns the contents of `tokenizer.json` and `tokenizer_config.json`
 * @throws UserError for a tokenizer of another kind, and for metadata that is missing or contradicts itself
 */
export function tokenizerFromGguf(
  metadata: ReadonlyMap<string, unknown>,
  where: string,
): TokenizerFiles {
  const prefix = "tokenizer.ggml.";
  const own = [...metadata].flatMap(([key, value]) =>
    key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [],
  );
  const parsed = schema.safeParse(Object.fromEntries(own));
  if (!parsed.success) {
    throw new UserError(
      `${where}: its metadata "${prefix}" make no tokenizer:\n${z.prettifyError(parsed.error)}`,
    );
  }
  const given = parsed.data;
  checkLengths(given, where);
  const tokenizerConfig = {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: tokenOf(given, given.bos_token_id),
    eos_token: tokenOf(given, given.eos_token_id),
    unk_token: tokenOf(given, given.unknown_token_id),
    pad_token: tokenOf(given, paddingId(given)),
    add_bos_token: addsBos(given),
    add_eos_token: given.add_eos_token ?? false,
    clean_up_tokenization_spaces: false,
    chat_template: metadata.get("tokenizer.chat_template"),
  };
  return { tokenizerJson: tokenizerJson(given, where), tokenizerConfig };
}

function checkLengths(given: Metadata, where: string): void {
  const { length } = given.tokens;
  for (const name of ["token_type", "scores"] as const) {
    const found = given[name]?.length ?? length;
    if (found === length) continue;
    throw new UserError(`${where}: has ${length} tokens, but ${found} in tokenizer.ggml.${name}`);
  }
  for (const name of ["bos_token_id", "eos_token_id", "unknown_token_id"] as const) {
    if ((given[name] ?? 0) < length) continue;
    throw new UserError(`${where}: tokenizer.ggml.${name} ${given[name]} is not a token`);
  }
}

function tokenOf({ tokens }: Metadata, tokenId: number | undefined): string | null {
  return tokenId === undefined ? null : tokens[tokenId]!;
}

/** Padding must not look like the end of a text; the unknown token stands in nothing that a model learns. */
function paddingId(given: Metadata): number | undefined {
  const { padding_token_id, unknown_token_id, eos_token_id, tokens } = given;
  const candidates = [padding_token_id, unknown_token_id];
  return candidates.find(
    (tokenId) => tokenId !== undefined && tokenId !== eos_token_id && tokenId < tokens.length,
  );
}

/** llama.cpp's default where a file says nothing. */
function addsBos({ model, add_bos_token }: Metadata): boolean {
  return add_bos_token ?? model === "llama";
}

function tokenizerJson(given: Metadata, where: string) {
  switch (given.model) {
    case "gpt2":
      return byteLevelTokenizer(given, where);
    case "llama":
      return sentencePieceTokenizer(given, where);
    default:
      throw new UserError(
        `${where}: its tokenizer is of the kind "${given.model}" (tokenizer.ggml.model), which is not supported; ` +
          'supported are "gpt2" (byte-level BPE) and "llama" (SentencePiece BPE)',
      );
  }
}

function byteLevelTokenizer(given: Metadata, where: string) {
  const rule = wordRules.get(given.pre ?? "");
  if (rule === undefined) {
    const known = [...wordRules.keys()].map((name) => `"${name}"`).join(", ");
    throw new UserError(
      `${where}: its tokenizer cuts words by ${JSON.stringify(given.pre ?? null)} (tokenizer.ggml.pre), which is not ` +
        `supported; supported are ${known}: import the model's Hugging Face folder, which has the rule`,
    );
  }
  if (given.merges === undefined) throw new UserError(`${where}: has no tokenizer.ggml.merges`);
  const merges = given.merges.map((merge) => merge.split(" ") as [string, string]);
  const json = byteLevelJson(vocabulary(given), merges, addedTokens(given));
  return {
    ...json,
    pre_tokenizer: rule.preTokenizer,
    post_processor: postProcessor(given),
    model: { ...json.model, ignore_merges: rule.ignoreMerges },
  };
}

/** As Hugging Face converts LLaMA's SentencePiece models: BPE on characters, bytes for those without a token. */
function sentencePieceTokenizer(given: Metadata, where: string) {
  if (given.scores === undefined) throw new UserError(`${where}: has no tokenizer.ggml.scores`);
  const [word, space] = ["▁", " "];
  const replace = (from: string, to: string) => ({
    type: "Replace",
    pattern: { String: from },
    content: to,
  });
  const prefixed = given.add_space_prefix;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokensJson(addedTokens(given)),
    normalizer: {
      type: "Sequence",
      normalizers: [
        ...(prefixed ? [{ type: "Prepend", prepend: word }] : []),
        replace(space, word),
      ],
    },
    pre_tokenizer: null,
    post_processor: postProcessor(given),
    decoder: {
      type: "Sequence",
      decoders: [
        replace(word, space),
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefixed ? [{ type: "Strip", content: space, start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: tokenOf(given, given.unknown_token_id),
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary(given)),
      merges: mergesFromScores(given, given.scores),
    },
  };
}

/** Every way to join two tokens to a third, the third with the highest score first. */
function mergesFromScores(given: Metadata, scores: readonly number[]): [string, string][] {
  const idOf = new Map(
    given.tokens.flatMap((token, tokenId) => {
      const isText = typeOf(given, tokenId) === tokenTypes.normal;
      return isText ? [[token, tokenId] as const] : [];
    }),
  );
  const byScore = [...idOf.values()].sort((a, b) => scores[b]! - scores[a]!);
  return byScore.flatMap((merged) => {
    const token = given.tokens[merged]!;
    const pairs = Array.from({ length: token.length - 1 }, (_, i): [string, string] => [
      token.slice(0, i + 1),
      token.slice(i + 1),
    ]);
    return pairs
      .filter(([left, right]) => idOf.has(left) && idOf.has(right))
      .sort((a, b) => idOf.get(a[0])! - idOf.get(b[0])! || idOf.get(a[1])! - idOf.get(b[1])!);
  });
}

function typeOf({ token_type }: Metadata, tokenId: number): number {
  return token_type?.[tokenId] ?? tokenTypes.normal;
}

/** Without the rows that only fill the embedding up. */
function vocabulary(given: Metadata): Map<string, number> {
  const ids = given.tokens.map((token, tokenId) => [token, tokenId] as const);
  return new Map(ids.filter(([, tokenId]) => typeOf(given, tokenId) !== tokenTypes.unused));
}

function addedTokens(given: Metadata): AddedToken[] {
  const { unknown, control, userDefined } = tokenTypes;
  return given.tokens.flatMap((content, tokenId) => {
    const type = typeOf(given, tokenId);
    const special = type === unknown || type === control;
    return special || type === userDefined ? [{ id: tokenId, content, special }] : [];
  });
}

/** Adds BOS where the model is used to it; this project asks for no special tokens, other tools do. */
function postProcessor(given: Metadata) {
  const bos = tokenOf(given, given.bos_token_id);
  if (!addsBos(given) || bos === null) return null;
  const text = (name: string, type_id: number) => [
    { SpecialToken: { id: bos, type_id } },
    { Sequence: { id: name, type_id } },
  ];
  return {
    type: "TemplateProcessing",
    single: text("A", 0),
    pair: [...text("A", 0), ...text("B", 1)],
    special_tokens: { [bos]: { id: bos, ids: [given.bos_token_id], tokens: [bos] } },
  };
}
