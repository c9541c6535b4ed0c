// Bad input: weights, configurations and tokenizers of models.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe } from "vitest";
import { choosePrompt } from "../../src/data/promptChoice.ts";
import { encodeConversation, renderPrompt } from "../../src/data/templatePrompt.ts";
import { createPipeline } from "../../src/data/tokenizer/pipeline.ts";
import { createTokenizer, loadTokenizer, trainTokenizer } from "../../src/data/tokenizer.ts";
import { openGguf } from "../../src/formats/gguf.ts";
import { type BlockFormat, blockFormats } from "../../src/formats/ggufBlocks.ts";
import type { GgufValue } from "../../src/formats/ggufHeader.ts";
import {
  type GgufDtype,
  ggufOverflows,
  narrowToGguf,
  roundedToGguf,
} from "../../src/formats/ggufQuantize.ts";
import { openSafetensors, writeSafetensors } from "../../src/formats/safetensors.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { ggufConfig, ggufWeights } from "../../src/models/ggufModel.ts";
import { tokenizerFromGguf } from "../../src/models/ggufTokenizer.ts";
import {
  anyBytes,
  changedBytes,
  changedJson,
  changedJsonFile,
  changedText,
  fuzz,
  isLong,
  refusing,
  textsOf,
} from "../support/fuzz.ts";
import { goldenPath } from "../support/golden.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const folder = temporaryFolder();
const path = join(folder, "file");
/** Pieces that make work without end, which takes a second to be ended: not in the short mode. */
const endless = (...pieces: string[]) => (isLong ? pieces : []);
const written = (bytes: Uint8Array | string, name = "file") => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};

describe("safetensors", () => {
  const values = Float32Array.from({ length: 12 }, (_, i) => i);
  writeSafetensors(
    path,
    new Map([
      ["a.weight", { dtype: "F32", shape: [3, 4], data: values }],
      ["b", { dtype: "BF16", shape: [2], data: values.slice(0, 2) }],
      ["c", { dtype: "F16", shape: [], data: values.slice(0, 1) }],
      ["ids", { dtype: "I64", shape: [1], data: BigInt64Array.of(7n) }],
    ]),
  );
  const whole = readFileSync(path);
  const headerLength = 8 + Number(whole.readBigUInt64LE());
  const header = JSON.parse(whole.subarray(8, headerLength).toString());
  const withHeader = (text: string) => {
    const json = Buffer.from(text);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    return new Uint8Array(Buffer.concat([length, json, whole.subarray(headerLength)]));
  };
  const files = fc.oneof(
    { weight: 3, arbitrary: changedJson(header).map(withHeader) },
    { weight: 2, arbitrary: changedBytes(whole) },
    { weight: 1, arbitrary: anyBytes },
  );
  fuzz("a file", files, (bytes) => {
    using file = openSafetensors(written(bytes));
    for (const name of file.tensors.keys()) {
      file.read(name);
      if (name !== "ids") file.readFloat32(name);
    }
    file.readFloat32("a.weight");
  });
});

describe("GGUF", () => {
  const names = ["types", "grouped-query", "llama3-rope", "qwen2"];
  const files = names.map((name) => readFileSync(goldenPath("gguf", `${name}.gguf`)));
  const changed = files.map((file) => changedBytes(file, Math.min(file.length, 4000)));
  fuzz("a file", fc.oneof(...changed, anyBytes), (bytes) => {
    using file = openGguf(written(bytes));
    for (const name of file.shapes.keys()) file.readFloat32(name);
    const config = ggufConfig(file);
    for (const { data } of ggufWeights(file, config).values()) data.length;
    createTokenizer(tokenizerFromGguf(file.metadata, file.path), file.path).encode("1 + 2 = x");
  });

  const tokens = ["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a", "Ġ", "Ġa", "ab"];
  const words = {
    tokens,
    token_type: [2, 3, 3, 1, 1, 1, 1, 1, 1, 6],
    eos_token_id: 2,
    bos_token_id: 1,
  };
  const vocabularies = [
    { ...words, model: "llama", scores: tokens.map((_, i) => -i), unknown_token_id: 0 },
    { ...words, model: "gpt2", pre: "llama-bpe", merges: ["Ġ a", "a b"], add_bos_token: true },
  ];
  const metadata = vocabularies.map((vocabulary) => {
    using file = openGguf(goldenPath("gguf", "grouped-query.gguf"));
    const own = Object.entries(vocabulary).map(([key, value]) => [`tokenizer.ggml.${key}`, value]);
    return {
      ...Object.fromEntries([...file.metadata, ...own]),
      "tokenizer.chat_template": "{{ 1 }}",
    };
  });
  fuzz("metadata", fc.oneof(...metadata.map(changedJson)), (text) => {
    const changes = new Map<string, GgufValue>(Object.entries(jsonOrNothing(text)));
    using file = openGguf(goldenPath("gguf", "grouped-query.gguf"));
    refusing(() => ggufConfig({ ...file, metadata: changes }));
    createTokenizer(tokenizerFromGguf(changes, "a.gguf"), "a.gguf").encode("a b");
  });
});

/** What a text of JSON says; nothing for another text. */
function jsonOrNothing(text: string): Record<string, GgufValue> {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

describe("blocks of GGUF", () => {
  const blocks = [...blockFormats.values()].map((format) =>
    fc
      .uint8Array({ minLength: format.bytes, maxLength: format.bytes })
      .map((bytes) => ({ format, bytes })),
  );
  const mark = 12345;
  fuzz("any bytes of any type", fc.oneof(...blocks), ({ format, bytes }) => {
    const { values, widen }: BlockFormat = format;
    const target = new Float32Array(values + 2).fill(mark);
    widen(new DataView(bytes.buffer), 0, target, 1);
    const [first, last] = [target[0], target[values + 1]];
    if (first !== mark || last !== mark) throw new Error("writes beside its block");
    if (values > 1 && target.subarray(1, -1).every((value) => value === mark))
      throw new Error("writes nothing");
  });

  const dtypes: GgufDtype[] = ["F32", "F16", "BF16", "Q8_0"];
  const numbers = fc.float32Array({ minLength: 64, maxLength: 64, noNaN: true });
  fuzz("numbers narrowed", fc.tuple(fc.constantFrom(...dtypes), numbers), ([dtype, given]) => {
    const values = given.map((value) => (Math.abs(value) < ggufOverflows[dtype] ? value : 1));
    const bytes = narrowToGguf(values, dtype);
    const format = [...blockFormats.values()].find(({ name }) => name === dtype)!;
    if (bytes.length !== (64 / format.values) * format.bytes) throw new Error("has another length");
    const rounded = roundedToGguf(values, dtype);
    for (let first = 0; first < 64; first += format.values) {
      const largest = Math.max(...values.subarray(first, first + format.values).map(Math.abs));
      const tolerance =
        largest * { F32: 0, F16: 2 ** -11, BF16: 2 ** -8, Q8_0: 1 / 200 }[dtype] + 2 ** -15;
      for (let i = first; i < first + format.values; i++)
        if (!(Math.abs(rounded[i]! - values[i]!) <= tolerance))
          throw new Error(`${values[i]} becomes ${rounded[i]}`);
    }
  });
});

describe("config.json and generation_config.json", () => {
  const names = ["grouped-query", "llama3-rope", "linear-rope", "qwen2-window", "qwen3", "mistral"];
  const configs = names.map((name) =>
    JSON.parse(readFileSync(goldenPath("models", name, "config.json"), "utf8")),
  );
  const changed = fc.oneof(...configs.map(changedJsonFile), anyBytes);
  const generation = { bos_token_id: 1, eos_token_id: [1, 2], pad_token_id: 0, temperature: 0.6 };
  fuzz("either changed", fc.tuple(changed, changedJsonFile(generation)), ([config, ends]) => {
    written(config, "config.json");
    written(ends, "generation_config.json");
    readModelConfig(folder);
  });
});

describe("a tokenizer's files", () => {
  const trained = trainTokenizer(["Hello Hello 12 12 12", "é"], 264).files.tokenizerJson as object;
  const vocab = {
    "[UNK]": 0,
    "<s>": 1,
    "</s>": 2,
    "<pad>": 3,
    "▁": 4,
    a: 5,
    b: 6,
    "▁a": 7,
    "##b": 8,
  };
  const split = {
    type: "Split",
    pattern: { Regex: " ?\\p{L}+|\\s+" },
    behavior: "Isolated",
    invert: false,
  };
  const added = ["<s>", "</s>", "<pad>"].map((content, i) => ({
    id: i + 1,
    content,
    special: true,
  }));
  const pieces = Object.keys(vocab).map((token, i) => [token, -i]);
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const variants = [
    trained,
    {
      added_tokens: added,
      normalizer: { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, replace] },
      decoder: {
        type: "Sequence",
        decoders: [{ ...replace, pattern: { String: "▁" }, content: " " }, { type: "Fuse" }],
      },
      model: {
        type: "BPE",
        vocab,
        merges: [["▁", "a"]],
        unk_token: "[UNK]",
        byte_fallback: true,
        fuse_unk: true,
      },
    },
    {
      added_tokens: added.map((token) => ({ ...token, lstrip: true, single_word: true })),
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        handle_chinese_chars: true,
        lowercase: true,
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      model: {
        type: "WordPiece",
        vocab,
        unk_token: "[UNK]",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
      },
    },
    {
      added_tokens: added,
      normalizer: { type: "NFKC" },
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
      decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
      model: { type: "Unigram", vocab: pieces, unk_id: 0, byte_fallback: false },
    },
    {
      added_tokens: added,
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          split,
          { type: "Digits", individual_digits: true },
          { type: "FixedLength", length: 5 },
        ],
      },
      model: { type: "WordLevel", vocab, unk_token: "[UNK]" },
    },
  ];
  const config = {
    bos_token: "<s>",
    eos_token: { content: "</s>", special: true },
    pad_token: "<pad>",
    chat_template: "{{ messages[0].content }}</s>",
  };
  const special = { bos_token: "<s>", eos_token: { content: "</s>", special: true } };
  const files = fc.tuple(
    fc.oneof(...variants.map((variant) => changedJsonFile(variant)), anyBytes),
    fc.oneof(
      { weight: 4, arbitrary: fc.constant(JSON.stringify(config)) },
      changedJsonFile(config),
    ),
    fc.oneof(
      { weight: 4, arbitrary: fc.constant(JSON.stringify(special)) },
      changedJsonFile(special),
    ),
    textsOf(["Hello", " 12", "</s>", "\n", "é", "\u{1f600}", "<s>"], 6),
  );
  fuzz("any of them changed", files, ([json, settings, map, text]) => {
    written(json, "tokenizer.json");
    written(settings, "tokenizer_config.json");
    written(map, "special_tokens_map.json");
    const tokenizer = loadTokenizer(folder);
    tokenizer.decode(tokenizer.encode(text));
    choosePrompt("chat", tokenizer);
  });

  const parts = textsOf(
    [
      ..."()[]{}|*+?^$.\\-&,".split(""),
      ...[
        "(?:",
        "(?i:",
        "(?=",
        "(?!",
        "(?<=",
        "(?<!",
        "(?>",
        "\\p{L}",
        "\\p{N}",
        "\\s",
        "\\S",
        "\\w",
      ],
      ...[
        "\\b",
        "\\d",
        "{1,3}",
        "{2}",
        "{,9}",
        "{99999999999}",
        "a",
        "[^",
        "[a-z]",
        "&&",
        "\\x{41}",
      ],
      ...["\\u0041", "++", "*+", "+?", "'s", "[\\r\\n]", "\\p{^Lu}"],
      ...endless("(?:a+)+", "(a|a)*", "(.*)*"),
    ],
    10,
  );
  fuzz(
    "an expression",
    fc.tuple(parts, fc.constantFrom("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "a b 12\n")),
    ([source, text]) => {
      const pattern = { Regex: source };
      const pre_tokenizer = { type: "Split", pattern, behavior: "Isolated", invert: false };
      createPipeline({ ...trained, pre_tokenizer }, "tokenizer.json").encode(text);
    },
  );
});

describe("templates of prompts", () => {
  const tokenizerJson = JSON.parse(
    readFileSync(goldenPath("chatTemplates", "byteLevel.json"), "utf8"),
  );
  const tokenizerConfig = { eos_token: "<|im_end|>" };
  const tokenizer = createTokenizer({ tokenizerJson, tokenizerConfig }, "tokenizer");
  const names = ["qwen2.5", "smollm2", "mistral-v3", "dated"];
  const templates = names.map((name) =>
    readFileSync(goldenPath("chatTemplates", `${name}.jinja`), "utf8"),
  );
  const pieces = textsOf(
    [
      ...[
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{%-",
        "-%}",
        "{% for x in messages %}",
        "{% endfor %}",
      ],
      ...[
        "{% if x %}",
        "{% else %}",
        "{% endif %}",
        "{% set x = 1 %}",
        "{{ messages[0].content }}",
      ],
      ...["messages", "[0]", "['role']", ".content", "|trim", "|length", "|tojson", "|join(', ')"],
      ...[
        "range(1000000000)",
        "range(5)",
        "loop.index",
        "namespace(x=1)",
        "x ~ 'a'",
        "raise_exception('x')",
      ],
      ...[
        "{% macro m(a) %}",
        "{% endmacro %}",
        "{{ m(m) }}",
        "{{ 'a' * 1000000000 }}",
        " is defined",
        "==",
        " in ",
      ],
      ...[
        "{% for x in range(50) %}",
        "{{ x.__class__ }}",
        "{{ x.constructor }}",
        "{{ messages.pop() }}",
      ],
      ...[
        ...endless(
          "{% set l = range(9999) %}{% for a in l %}{% for b in l %}{% endfor %}{% endfor %}",
          "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        ),
        "<|im_end|>",
      ],
    ],
    8,
  );
  const changed = fc.oneof({ weight: 2, arbitrary: pieces }, ...templates.map(changedText));
  const row = fc.record({ question: textsOf(["{{ x }}", "<|im_end|>", "How many?"], 3) });
  fuzz("a chat template", fc.tuple(changed, row), ([template, question]) => {
    const prompt = { kind: "chat", template } as const;
    renderPrompt(prompt, question, tokenizer);
    encodeConversation(prompt, question, "42", tokenizer);
  });
  fuzz("a template file", fc.tuple(changed, row), ([template, question]) => {
    renderPrompt({ kind: "file", name: "a.jinja", template }, question, tokenizer);
  });
});
