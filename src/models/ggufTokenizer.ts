// Rebuilds a tokenizer from the metadata of a GGUF file, where llama.cpp keeps tokens, merges or scores, and the name of
// the rule that cuts a text into words, but not the rule itself.
// Reference: ggml-org/llama.cpp 00ad355e, src/llama-vocab.cpp; ggml-org/ggml, docs/gguf.md.
import { type AddedToken, addedTokensJson, byteLevelJson } from "../data/bpe.ts";
import type { TokenizerFiles } from "../data/tokenizerFiles.ts";
import { show, UserError } from "../errors.ts";
import { addsBos, readVocabulary, tokenTypes, typeOf, type Vocabulary } from "./ggufVocabulary.ts";
import { wordRules } from "./ggufWordRules.ts";

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
  const given = readVocabulary(metadata, where);
  const tokenizerConfig = {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: tokenOf(given, given.bos_token_id),
    eos_token: tokenOf(given, given.eos_token_id),
    unk_token: tokenOf(given, given.unknown_token_id),
    pad_token: tokenOf(given, paddingId(given)),
    add_bos_token: addsBos(given),
    add_eos_token: given.add_eos_token,
    clean_up_tokenization_spaces: false,
    chat_template: chatTemplate(metadata),
  };
  return { tokenizerJson: tokenizerJson(given, where), tokenizerConfig };
}

/** One template, or several by their names, as tokenizer_config.json has them; undefined where there is none. */
function chatTemplate(metadata: ReadonlyMap<string, unknown>) {
  const key = "tokenizer.chat_template";
  const named = [...metadata].flatMap(([found, template]) =>
    found.startsWith(`${key}.`) ? [{ name: found.slice(key.length + 1), template }] : [],
  );
  const template = metadata.get(key);
  if (named.length === 0) return template;
  return [...(template === undefined ? [] : [{ name: "default", template }]), ...named];
}

function tokenOf({ tokens }: Vocabulary, tokenId: number | undefined): string | null {
  return tokenId === undefined ? null : tokens[tokenId]!;
}

/** Padding must not look like the end of a text; the unknown token stands in nothing that a model learns. */
function paddingId(given: Vocabulary): number | undefined {
  const { padding_token_id, unknown_token_id, eos_token_id, tokens } = given;
  const candidates = [padding_token_id, unknown_token_id];
  return candidates.find(
    (tokenId) => tokenId !== undefined && tokenId !== eos_token_id && tokenId < tokens.length,
  );
}

function tokenizerJson(given: Vocabulary, where: string) {
  switch (given.model) {
    case "gpt2":
      return byteLevelTokenizer(given, where);
    case "llama":
      return sentencePieceTokenizer(given, where);
    default:
      throw new UserError(
        `${where}: its tokenizer is of the kind ${show(given.model)} (tokenizer.ggml.model), which is not supported; ` +
          'supported are "gpt2" (byte-level BPE) and "llama" (SentencePiece BPE)',
      );
  }
}

function byteLevelTokenizer(given: Vocabulary, where: string) {
  const rule = wordRules.get(given.pre ?? "");
  if (rule === undefined) {
    throw new UserError(
      `${where}: its tokenizer cuts words by ${show(given.pre ?? null)} (tokenizer.ggml.pre), which is not ` +
        "supported; supported are those of GPT-2, SmolLM, LLaMA 3, Qwen2 and a few more (docs/models.md): " +
        "import the model's Hugging Face folder, which has the rule",
    );
  }
  if (given.merges === undefined) throw new UserError(`${where}: has no tokenizer.ggml.merges`);
  const merges = given.merges.map((merge): [string, string] => {
    const space = merge.indexOf(" ", 1); // a token may begin with one
    if (space > 0) return [merge.slice(0, space), merge.slice(space + 1)];
    throw new UserError(
      `${where}: the merge ${show(merge)} is not two tokens with a space between`,
    );
  });
  const json = byteLevelJson(vocabulary(given), merges, addedTokens(given));
  return {
    ...json,
    pre_tokenizer: rule.preTokenizer,
    post_processor: postProcessor(given),
    model: { ...json.model, ignore_merges: rule.ignoreMerges },
  };
}

/** As Hugging Face converts LLaMA's SentencePiece models: BPE on characters, bytes for those without a token. */
function sentencePieceTokenizer(given: Vocabulary, where: string) {
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
function mergesFromScores(given: Vocabulary, scores: readonly number[]): [string, string][] {
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

/** Without the rows that only fill the embedding up. */
function vocabulary(given: Vocabulary): Map<string, number> {
  const ids = given.tokens.map((token, tokenId) => [token, tokenId] as const);
  return new Map(ids.filter(([, tokenId]) => typeOf(given, tokenId) !== tokenTypes.unused));
}

function addedTokens(given: Vocabulary): AddedToken[] {
  const { unknown, control, userDefined } = tokenTypes;
  return given.tokens.flatMap((content, tokenId) => {
    const type = typeOf(given, tokenId);
    const special = type === unknown || type === control;
    return special || type === userDefined ? [{ id: tokenId, content, special }] : [];
  });
}

/** Adds BOS and EOS where the model is used to them; this project asks for no special tokens, other tools do. */
function postProcessor(given: Vocabulary) {
  const begin = addsBos(given) ? given.bos_token_id : undefined;
  const end = given.add_eos_token ? given.eos_token_id : undefined;
  if (begin === undefined && end === undefined) return null;
  const special = (tokenId: number | undefined, type_id: number) =>
    tokenId === undefined ? [] : [{ SpecialToken: { id: given.tokens[tokenId]!, type_id } }];
  const text = (id: string, type_id: number) => [
    ...special(begin, type_id),
    { Sequence: { id, type_id } },
    ...special(end, type_id),
  ];
  const used = [begin, end].filter((tokenId) => tokenId !== undefined);
  return {
    type: "TemplateProcessing",
    single: text("A", 0),
    pair: [...text("A", 0), ...text("B", 1)],
    special_tokens: Object.fromEntries(
      used.map((tokenId) => {
        const token = given.tokens[tokenId]!;
        return [token, { id: token, ids: [tokenId], tokens: [token] }];
      }),
    ),
  };
}
