import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createTokenizer, loadTokenizer, trainTokenizer } from "../../src/data/tokenizer.ts";
import { UserError } from "../../src/errors.ts";
import { tokenizerFromGguf } from "../../src/models/ggufTokenizer.ts";
import { ggufSpecialTokens } from "../../src/models/ggufVocabulary.ts";
import { tokenizerToGguf } from "../../src/models/tokenizerToGguf.ts";
import { observed } from "../../src/observer.ts";
import { goldenPath } from "../support/golden.ts";
import { realData } from "../support/realData.ts";

type Json = Record<string, unknown>;

const trained: { tokenizerJson: Json; edges: { text: string; ids: number[] }[] } = JSON.parse(
  readFileSync(goldenPath("tokenizers", "trained.json"), "utf8"),
);
const texts = trained.edges.map(({ text }) => text).filter(({ length }) => length < 500);
const model = trained.tokenizerJson.model as Json;
const own = { bos_token: "<s>", eos_token: "</s>", pad_token: "<pad>" };

function tokenizerWith(json: Json = {}, config: Json = {}, asTheyCame?: Map<string, Uint8Array>) {
  const tokenizerJson = { ...trained.tokenizerJson, ...json };
  const files = { tokenizerJson, tokenizerConfig: { ...own, ...config } };
  return createTokenizer({ ...files, ...(asTheyCame && { asTheyCame }) }, "folder");
}

function metadataOf(
  tokenizer = tokenizerWith(),
  use: Partial<Parameters<typeof tokenizerToGguf>[1]> = {},
): Map<string, unknown> {
  const { vocabSize, eosId } = tokenizer;
  const whole = { vocabSize, endIds: [eosId], isAskedPlainly: false, ...use };
  const metadata = tokenizerToGguf(tokenizer, whole, "folder");
  return new Map(
    [...metadata].map(([key, value]) => [key, ArrayBuffer.isView(value) ? [...value] : value]),
  );
}

const split = (Regex: string) => ({
  type: "Split",
  pattern: { Regex },
  behavior: "Isolated",
  invert: false,
});
const sequence = (...pretokenizers: object[]) => ({ type: "Sequence", pretokenizers });
const bytes = (use_regex: boolean) => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex,
});
const llama3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

test("a tokenizer that was trained here comes back as the same tokenizer.json and the same ids", () => {
  const tokenizer = trainTokenizer(
    ["Question:\nTom has 12 pens.\n", "def solution():\n    x = 12\n"],
    300,
  );
  const rebuilt = tokenizerFromGguf(metadataOf(tokenizer), "model.gguf");
  expect(rebuilt.tokenizerJson).toEqual(JSON.parse(JSON.stringify(tokenizer.files.tokenizerJson)));
  const { encode } = createTokenizer(rebuilt, "model.gguf");
  for (const text of texts) expect(encode(text)).toEqual(tokenizer.encode(text));
});

test.each<[string, Json | null, boolean, string]>([
  ["GPT-2's", bytes(true), false, "trillion"],
  ["SmolLM's", sequence({ type: "Digits", individual_digits: true }, bytes(true)), false, "smollm"],
  ["LLaMA 3's", sequence(split(llama3), bytes(false)), true, "llama-bpe"],
  ["LLaMA 3's without whole words", sequence(split(llama3), bytes(false)), false, "dbrx"],
  ["Qwen2's", sequence(split(llama3.replace("{1,3}", "")), bytes(false)), false, "qwen2"],
])("%s rule has its name in llama.cpp", (_, pre_tokenizer, ignore_merges, pre) => {
  const tokenizer = tokenizerWith({ pre_tokenizer, model: { ...model, ignore_merges } });
  expect(metadataOf(tokenizer).get("tokenizer.ggml.pre")).toBe(pre);
});

test("Qwen2's normalisation is left out with a note, as in llama.cpp's own files; no other is", () => {
  const pre_tokenizer = sequence(split(llama3.replace("{1,3}", "")), bytes(false));
  const convert = (normalizer: Json) => metadataOf(tokenizerWith({ pre_tokenizer, normalizer }));
  const said: string[] = [];
  const onMessage = (text: string) => said.push(text);
  observed({ onMessage }, () => convert({ type: "NFC" }));
  expect(said).toEqual(["note: folder: its tokenizer normalises texts (NFC), llama.cpp will not"]);
  expect(() => convert({ type: "Lowercase" })).toThrow(/: normalizer of tokenizer\.json/);
});

const wordPiece = {
  type: "WordPiece",
  unk_token: "<pad>",
  continuing_subword_prefix: "##",
  max_input_chars_per_word: 100,
  vocab: { "<pad>": 0, "<s>": 1, "</s>": 2 },
};
const added = (changes: Json) => [
  ...(trained.tokenizerJson.added_tokens as Json[]),
  {
    id: Object.keys(model.vocab as Json).length,
    content: "<think>",
    special: false,
    normalized: false,
    ...changes,
  },
];

test.each<[Json, RegExp]>([
  [
    { pre_tokenizer: null },
    /of its rule that cuts words, null, docs\/models\.md knows no name in llama\.cpp/,
  ],
  [{ pre_tokenizer: bytes(true), model: { ...model, ignore_merges: true } }, /with ignore_merges/],
  [{ pre_tokenizer: { ...bytes(true), add_prefix_space: true } }, /cuts words/],
  [{ normalizer: { type: "NFC" } }, /: normalizer of tokenizer\.json/],
  [{ added_tokens: added({ lstrip: true }) }, /: added_tokens of/],
  [{ added_tokens: added({ single_word: true }) }, /: added_tokens of/],
  [{ model: wordPiece }, /a model of the type "WordPiece"/],
  [
    { post_processor: { type: "RobertaProcessing", sep: ["</s>", 2], cls: ["<s>", 1] } },
    /its post_processor is \{"type":"RobertaProcessing"/,
  ],
])("what a GGUF file cannot express is refused by name, with what to do: %#", (json, message) => {
  const convert = () => metadataOf(tokenizerWith(json));
  expect(convert).toThrow(UserError);
  expect(convert).toThrow(message);
  expect(convert).toThrow("export a Hugging Face folder, which");
});

test("added tokens have their types, and rows without a token are unused", () => {
  const tokenizer = tokenizerWith({ added_tokens: added({}) });
  const { vocabSize } = tokenizer;
  const metadata = metadataOf(tokenizer, { vocabSize: vocabSize + 2 });
  const types = metadata.get("tokenizer.ggml.token_type") as number[];
  expect(types.slice(0, 4)).toEqual([3, 3, 3, 1]);
  expect(types.slice(-3)).toEqual([4, 5, 5]);
  expect((metadata.get("tokenizer.ggml.tokens") as string[]).slice(-3)).toEqual([
    "<think>",
    `[PAD${vocabSize}]`,
    `[PAD${vocabSize + 1}]`,
  ]);
});

describe("special tokens", () => {
  const processor = {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  };
  const keys = (...args: Parameters<typeof metadataOf>) =>
    Object.fromEntries(
      [...metadataOf(...args)].flatMap(([key, value]) =>
        /_id$|add_(bos|eos)/.test(key) ? [[key.replace("tokenizer.ggml.", ""), value]] : [],
      ),
    );

  test("are those of the tokenizer, and nothing is added to a text", () => {
    const ids = { bos_token_id: 1, eos_token_id: 2, padding_token_id: 0 };
    expect(keys()).toEqual({ ...ids, add_bos_token: false, add_eos_token: false });
    expect(keys(tokenizerWith({}, { unk_token: { content: "<pad>" } }))).toMatchObject({
      unknown_token_id: 0,
    });
  });

  test("are added where tokenizer.json adds them, but not to a model that was trained without", () => {
    const tokenizer = tokenizerWith({ post_processor: processor });
    expect(keys(tokenizer)).toMatchObject({ add_bos_token: true, add_eos_token: false });
    expect(keys(tokenizer, { isAskedPlainly: true })).toMatchObject({ add_bos_token: false });
  });

  test("that end a response are the end of a text, of a turn and of a message", () => {
    expect(keys(undefined, { endIds: [7, 2] })).toMatchObject({ eos_token_id: 2, eot_token_id: 7 });
    const message = tokenizerWith({
      added_tokens: added({ content: "<|eom_id|>", special: true }),
    });
    const id = message.vocabSize - 1;
    expect(keys(message, { endIds: [2, id, 7] })).toMatchObject({
      eot_token_id: 7,
      eom_token_id: id,
    });
    expect(keys(message, { endIds: [2, id] })).not.toHaveProperty("eot_token_id");
    expect(() => keys(undefined, { endIds: [1, 2, 7, 8] })).toThrow(
      "4 tokens end a response, and a file has room for 3",
    );
  });

  test("that llama.cpp ends at by their text need no room in the file", () => {
    const count = Object.keys(model.vocab as Json).length;
    const [first, second, third] = [count, count + 1, count + 2];
    const chat = tokenizerWith({
      added_tokens: [
        ...added({ content: "<|im_end|>", special: true }),
        ...added({ id: second, content: "<|endoftext|>", special: true }).slice(-1),
        ...added({ id: third, content: "<|end|>", special: true }).slice(-1),
      ],
    });
    const endIds = [2, first, second, third, 7];
    expect(keys(chat, { endIds })).toMatchObject({ eot_token_id: 7, eom_token_id: first });
    const metadata = metadataOf(chat, { endIds });
    expect(ggufSpecialTokens(metadata, "model.gguf").endIds.toSorted((a, b) => a - b)).toEqual([
      ...[2, 7, first, second, third],
    ]);
  });
});

test("chat templates go along under their names; those in files count first", () => {
  const templates = (config: Json, files?: Map<string, Uint8Array>) =>
    Object.fromEntries(
      [...metadataOf(tokenizerWith({}, config, files))].filter(([key]) =>
        key.startsWith("tokenizer.chat"),
      ),
    );
  expect(templates({})).toEqual({});
  expect(templates({ chat_template: "A" })).toEqual({ "tokenizer.chat_template": "A" });
  const named = [
    { name: "default", template: "A" },
    { name: "tool_use", template: "B" },
  ];
  const both = { "tokenizer.chat_template": "A", "tokenizer.chat_template.tool_use": "B" };
  expect(templates({ chat_template: named })).toEqual({
    ...both,
    "tokenizer.chat_templates": ["tool_use"],
  });
  const files = new Map([
    ["chat_template.jinja", Buffer.from("A")],
    [join("additional_chat_templates", "tool_use.jinja"), Buffer.from("B")],
  ]);
  expect(templates({ chat_template: "old" }, files)).toEqual({
    ...both,
    "tokenizer.chat_templates": ["tool_use"],
  });
});

describe.skipIf(realData === undefined)("CodeLlama's tokenizer (REFT_DATA)", () => {
  test("has scores in place of merges, and gives the same ids when it is read again", () => {
    const tokenizer = loadTokenizer(join(realData!, "codellama"));
    const metadata = metadataOf(tokenizer, { vocabSize: 32_016 });
    expect(metadata.get("tokenizer.ggml.model")).toBe("llama");
    expect(metadata.get("tokenizer.ggml.add_space_prefix")).toBe(true);
    expect(metadata.get("tokenizer.ggml.add_bos_token")).toBe(true);
    expect((metadata.get("tokenizer.ggml.token_type") as number[]).slice(0, 5)).toEqual([
      2, 3, 3, 6, 6,
    ]);
    const rebuilt = createTokenizer(tokenizerFromGguf(metadata, "model.gguf"), "model.gguf");
    for (const text of texts) expect(rebuilt.encode(text)).toEqual(tokenizer.encode(text));
  });
});
