import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createTokenizer } from "../../src/data/tokenizer.ts";
import { UserError } from "../../src/errors.ts";
import { tokenizerFromGguf } from "../../src/models/ggufTokenizer.ts";
import { ggufSpecialTokens } from "../../src/models/ggufVocabulary.ts";
import { wordRules } from "../../src/models/ggufWordRules.ts";
import { goldenPath } from "../support/golden.ts";
import { realData } from "../support/realData.ts";

interface TokenizerJson {
  readonly added_tokens: readonly { id: number; content: string }[];
  readonly model: { vocab: Record<string, number>; merges: [string, string][] };
}

type Metadata = Record<string, unknown>;

/** As llama.cpp's converter writes them. */
function metadataOf(own: Metadata): Map<string, unknown> {
  return new Map(Object.entries(own).map(([key, value]) => [`tokenizer.ggml.${key}`, value]));
}

const trained: {
  tokenizerJson: TokenizerJson;
  edges: { text: string; ids: number[] }[];
} = JSON.parse(readFileSync(goldenPath("tokenizers", "trained.json"), "utf8"));

const { vocab, merges } = trained.tokenizerJson.model;
const tokens = Object.keys(vocab).toSorted((a, b) => vocab[a]! - vocab[b]!);
const size = tokens.length;
/** Three control tokens, then bytes and what was merged. */
const types = tokens.map((_, id) => (id < 3 ? 3 : 1));
const mergeTexts = merges.map((pair) => pair.join(" "));

/** The byte-level BPE of the golden file. */
function byteLevel(changes: Metadata = {}): Map<string, unknown> {
  return metadataOf({
    model: "gpt2",
    pre: "gpt-2",
    tokens,
    token_type: types,
    merges: mergeTexts,
    bos_token_id: 1,
    eos_token_id: 2,
    padding_token_id: 0,
    ...changes,
  });
}

const build = (metadata: ReadonlyMap<string, unknown>) => {
  const files = tokenizerFromGguf(metadata, "model.gguf");
  return { ...createTokenizer(files, "model.gguf"), files };
};

describe("a byte-level tokenizer", () => {
  test("is rebuilt as the tokenizer.json that it came from", () => {
    expect(build(byteLevel()).files.tokenizerJson).toEqual(trained.tokenizerJson);
  });

  test("cuts numbers as its rule says: gpt-2 not at all, smollm digit by digit, LLaMA 3 in threes", () => {
    const numbers = { tokens: [...tokens, "11", "111", "1111"], merges: ["1 1", "11 1", "11 11"] };
    const parts = (pre: string) => {
      const tokenizer = build(byteLevel({ ...numbers, token_type: undefined, pre }));
      return tokenizer.encode("1111").map((id) => tokenizer.decode([id]));
    };
    expect(parts("gpt-2")).toEqual(["1111"]);
    expect(parts("smollm")).toEqual(["1", "1", "1", "1"]);
    expect(parts("llama-bpe")).toEqual(["111", "1"]);
  });

  test("finds user-defined tokens in a text, but no control tokens, which decoding leaves out", () => {
    const more = { tokens: [...tokens, "<think>", "[PAD]"], token_type: [...types, 4, 5] };
    const tokenizer = build(byteLevel(more));
    const ids = tokenizer.encode("<think>a</s>");
    expect(ids).toEqual([size, ...tokenizer.encode("a</s>")]);
    expect(ids).not.toContain(2);
    expect(tokenizer.decode([...ids, 2])).toBe("<think>a</s>");
    expect(tokenizer.vocabSize).toBe(size + 1); // the last one only fills the embedding up
  });

  test("pads with a token that is not EOS: the one that is named, else the unknown one, else none", () => {
    const padIdOf = (changes: Metadata) => build(byteLevel(changes)).padId;
    expect(padIdOf({ padding_token_id: 0 })).toBe(0);
    expect(padIdOf({ padding_token_id: 2, unknown_token_id: 1 })).toBe(1);
    expect(padIdOf({ padding_token_id: 2, unknown_token_id: 2 })).toBeUndefined();
    expect(padIdOf({ padding_token_id: undefined })).toBeUndefined();
  });

  test.each<[Metadata, RegExp]>([
    [{ model: "bert" }, /of the kind "bert".*supported are "gpt2".*"llama"/],
    [{ pre: "deepseek-llm" }, /cuts words by "deepseek-llm".*those of GPT-2, SmolLM, LLaMA 3/],
    [{ pre: undefined }, /cuts words by null/],
    [{ merges: undefined }, /has no tokenizer\.ggml\.merges/],
    [{ tokens: undefined }, /make no tokenizer:.*tokens/s],
    [{ token_type: [1, 1] }, /has \d+ tokens, but 2 in tokenizer\.ggml\.token_type/],
    [{ eos_token_id: size }, /eos_token_id \d+ is not a token/],
    [{ eot_token_id: size }, /eot_token_id \d+ is not a token/],
    [{ eos_token_id: undefined }, /has no tokenizer\.ggml\.eos_token_id/],
    [{ bos_token_id: undefined, add_bos_token: true }, /has no tokenizer\.ggml\.bos_token_id, but/],
    [
      { tokens: tokens.with(9, "x".repeat(2000)) },
      /too long to be a vocabulary: "x+\.\.\. has 2000 ch/,
    ],
    [{ merges: ["\u001b[31m"] }, /the merge "\\u001b\[31m" is not two tokens/],
    [
      { tokens: [...tokens.slice(1), "a\u0007"].with(5, "a\u0007") },
      /the token "a\\u0007" stands twice/,
    ],
    [{ model: "llama" }, /has no tokenizer\.ggml\.scores/],
  ])("that cannot be rebuilt is refused by name: %o", (changes, message) => {
    expect(() => build(byteLevel(changes))).toThrow(UserError);
    expect(() => build(byteLevel(changes))).toThrow(message);
  });
});

describe("the rules that cut words", () => {
  // Rust's tokenizers with rules of their own: scripts/golden/word_rules.py.
  const golden: {
    texts: string[];
    tokens: string[];
    merges: string[];
    ids: Record<string, number[][]>;
  } = JSON.parse(readFileSync(goldenPath("tokenizers", "wordRules.json"), "utf8"));
  const own = { tokens: golden.tokens, merges: golden.merges, token_type: undefined };

  test.each(Object.keys(golden.ids))("%s gives the ids of Rust's tokenizers", (pre) => {
    const tokenizer = build(byteLevel({ ...own, pre, bos_token_id: 1 }));
    golden.texts.forEach((text, i) => {
      expect(tokenizer.encode(text), text).toEqual(golden.ids[pre]![i]);
    });
  });

  test("every name has one of these rules", () => {
    const ruleOf = (name: string) => JSON.stringify(wordRules.get(name));
    const known = new Set([...Object.keys(golden.ids)].map(ruleOf));
    for (const name of wordRules.keys()) expect(known, name).toContain(ruleOf(name));
  });

  test("LLaMA 3's names begin texts with BOS where a file does not say so, the others do not", () => {
    const addsBos = (pre: string, add_bos_token?: boolean) => {
      const { tokenizerConfig } = build(byteLevel({ pre, add_bos_token })).files;
      return (tokenizerConfig as { add_bos_token: boolean }).add_bos_token;
    };
    expect(["llama-bpe", "llama3", "llama-v3", "falcon3"].map((pre) => addsBos(pre))).toEqual(
      Array(4).fill(true),
    );
    expect(["dbrx", "gpt-2", "qwen2", "minicpm5"].map((pre) => addsBos(pre))).toEqual(
      Array(4).fill(false),
    );
    expect([addsBos("llama3", false), addsBos("gpt-2", true)]).toEqual([false, true]);
  });
});

describe("special tokens", () => {
  const ends = (changes: Metadata) => ggufSpecialTokens(byteLevel(changes), "model.gguf");

  test("that end a text, a turn or a message all end a response", () => {
    expect(ends({})).toEqual({ bosId: 1, endIds: [2] });
    expect(ends({ eot_token_id: 7, eom_token_id: 8 }).endIds).toEqual([2, 7, 8]);
    expect(ends({ eot_token_id: 2 }).endIds).toEqual([2]);
  });

  test("that llama.cpp ends at by their text are control tokens that end a response", () => {
    const named = (...texts: string[]) => {
      const all = [...tokens, ...texts];
      return byteLevel({ tokens: all, token_type: all.map((_, id) => types[id] ?? 1) });
    };
    const chat = named("<|im_start|>", "<|im_end|>", "<|end|>", "<｜end▁of▁sentence｜>");
    expect(ggufSpecialTokens(chat, "model.gguf").endIds).toEqual([2, size + 1, size + 2, size + 3]);
    const { controlTokens, decode } = build(chat);
    expect(controlTokens).toContain("<|im_end|>");
    expect(controlTokens).not.toContain("<|im_start|>");
    expect(decode([size, size + 1])).toBe("<|im_start|>");
  });

  test("that are known by their text end nothing where those beside them say otherwise", () => {
    const endTextsOf = (...texts: string[]) => {
      const all = ["<s>", "<eos>", "x", ...texts];
      const metadata = byteLevel({ tokens: all, token_type: undefined, eos_token_id: 2 });
      return ggufSpecialTokens(metadata, "model.gguf").endIds.map((id) => all[id]);
    };
    expect(endTextsOf("<|end|>", "<|call|>")).toEqual(["x", "<eos>", "<|end|>", "<|call|>"]);
    expect(endTextsOf("<|end|>", "<|call|>", "<|return|>")).toEqual([
      ...["x", "<eos>", "<|call|>", "<|return|>"],
    ]);
    expect(endTextsOf("<|end|>", "<|calls|>", "<|flush|>")).not.toContain("<|end|>");
    expect(endTextsOf("</s>")).toContain("</s>");
    expect(endTextsOf("</s>", "<|tool_response>")).not.toContain("</s>");
  });

  test("of a SentencePiece model are 1, 2 and 0 where it does not say so", () => {
    const scores = tokens.map((_, id) => -id);
    const silent = { bos_token_id: undefined, eos_token_id: undefined };
    const metadata = byteLevel({ ...silent, model: "llama", scores });
    expect(ggufSpecialTokens(metadata, "model.gguf")).toEqual({ bosId: 1, endIds: [2] });
    expect(build(metadata)).toMatchObject({ bosId: 1, eosId: 2 });
  });

  test("begin and end the texts of other tools where the file says so", () => {
    const processorOf = (changes: Metadata) => {
      const { tokenizerJson } = build(byteLevel(changes)).files;
      return (tokenizerJson as { post_processor: { single: object[] } | null }).post_processor;
    };
    const [begin, end] = ["<s>", "</s>"].map((id) => ({ SpecialToken: { id, type_id: 0 } }));
    const text = { Sequence: { id: "A", type_id: 0 } };
    expect(processorOf({})).toBeNull();
    expect(processorOf({ add_bos_token: true })!.single).toEqual([begin, text]);
    expect(processorOf({ add_bos_token: true, add_eos_token: true })!.single).toEqual([
      begin,
      text,
      end,
    ]);
    expect(processorOf({ add_eos_token: true })!.single).toEqual([text, end]);
  });
});

test("chat templates go along as tokenizer_config.json has them", () => {
  const templateOf = (...entries: [string, string][]) => {
    const { tokenizerConfig } = build(new Map([...byteLevel(), ...entries])).files;
    return (tokenizerConfig as { chat_template: unknown }).chat_template;
  };
  expect(templateOf()).toBeUndefined();
  expect(templateOf(["tokenizer.chat_template", "A"])).toBe("A");
  expect(
    templateOf(["tokenizer.chat_template", "A"], ["tokenizer.chat_template.tool_use", "B"]),
  ).toEqual([
    { name: "default", template: "A" },
    { name: "tool_use", template: "B" },
  ]);
});

describe.skipIf(realData === undefined)("a SentencePiece tokenizer (REFT_DATA)", () => {
  test("CodeLlama's is rebuilt from its scores, all 61,249 merges in their order", () => {
    const file = join(realData!, "codellama", "tokenizer.json");
    const expected: TokenizerJson = JSON.parse(readFileSync(file, "utf8"));
    const pieces: string[] = [];
    for (const [piece, id] of Object.entries(expected.model.vocab)) pieces[id] = piece;
    for (const { id, content } of expected.added_tokens) pieces[id] = content;
    const special = new Set(expected.added_tokens.map(({ id }) => id));
    const typeOf = (id: number) => (id === 0 ? 2 : special.has(id) ? 3 : id < 259 ? 6 : 1);
    const { tokenizerJson } = tokenizerFromGguf(
      metadataOf({
        model: "llama",
        tokens: pieces,
        token_type: pieces.map((_, id) => typeOf(id)),
        // Ranks, as in LLaMA's SentencePiece model, where runs of spaces come last.
        scores: pieces.map((piece, id) => (/^▁▁+$/.test(piece) ? -1e9 : -id)),
        bos_token_id: 1,
        eos_token_id: 2,
        unknown_token_id: 0,
      }),
      "codellama.gguf",
    );
    // In a GGUF file the infilling tokens are of the vocabulary, too.
    const whole = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
    expect(tokenizerJson).toEqual({ ...expected, model: { ...expected.model, vocab: whole } });
  });
});

test("docs/models.md names all rules that cut words, and no other", () => {
  const page = readFileSync("docs/models.md", "utf8");
  const table = /\| rule .*?\n\n/s.exec(page)![0];
  const named = [...table.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
  expect(named.toSorted()).toEqual([...wordRules.keys()].toSorted());
});
