// Every rule of tokenizer.json, and the sequences of rules that model families use, against Hugging Face's Rust tokenizers on
// 2,144 odd texts: scripts/golden/tokenizer_differential.py.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createDecoder } from "../../../src/data/tokenizer/decoder.ts";
import { createNormalizer } from "../../../src/data/tokenizer/normalizer.ts";
import { createPipeline } from "../../../src/data/tokenizer/pipeline.ts";
import { createPreTokenizer } from "../../../src/data/tokenizer/preTokenizer.ts";
import { goldenPath } from "../../support/golden.ts";

interface Outputs {
  /** Of the first inputs. */
  readonly shown: readonly unknown[];
  /** Of the outputs of 200 inputs each. */
  readonly hashes: readonly string[];
}

interface Rule extends Outputs {
  readonly name: string;
  readonly settings: unknown;
}

interface WholeTokenizer {
  readonly name: string;
  readonly model: string;
  readonly shown: readonly (readonly number[])[];
  readonly ids: readonly string[];
  /** Of the ids, decoded. */
  readonly texts: readonly string[];
  /** How many texts decoding gives back. */
  readonly exact: number;
  readonly size: number;
  /** Of ids that no text gives, decoded. */
  readonly decoded: readonly string[];
}

const golden: {
  readonly texts: readonly string[];
  readonly tokenLists: readonly (readonly string[])[];
  readonly normalizers: readonly Rule[];
  readonly preTokenizers: readonly Rule[];
  readonly decoders: readonly Rule[];
  readonly models: Readonly<Record<string, object>>;
  readonly tokenizers: readonly WholeTokenizer[];
  readonly long: Readonly<Record<string, readonly string[]>>;
} = JSON.parse(readFileSync(goldenPath("tokenizers", "differential.json"), "utf8"));
const { texts, tokenLists } = golden;

const blockSize = 200;

/** The hash of each block of outputs. */
function digest(outputs: readonly unknown[]): string[] {
  return Array.from({ length: Math.ceil(outputs.length / blockSize) }, (_, block) => {
    const lines = outputs.slice(block * blockSize, (block + 1) * blockSize);
    const text = lines.map((line) => JSON.stringify(line)).join("\n");
    return createHash("sha256").update(text).digest("hex").slice(0, 16);
  });
}

function expectOutputs(outputs: readonly unknown[], { shown, hashes }: Outputs): void {
  expect(outputs.slice(0, shown.length)).toEqual(shown);
  expect(digest(outputs)).toEqual(hashes);
}

describe("createNormalizer changes texts as Rust does", () => {
  test.each(golden.normalizers)("$name", (rule) => {
    expectOutputs(texts.map(createNormalizer(rule.settings, "normalizer")), rule);
  });
});

describe("createPreTokenizer cuts texts as Rust does", () => {
  test.each(golden.preTokenizers)("$name", (rule) => {
    const cut = createPreTokenizer(rule.settings, "pre_tokenizer");
    const filled = texts.filter((text) => text !== "");
    expectOutputs(
      filled.map((text) => cut(text, true)),
      rule,
    );
  });
});

describe("createDecoder joins tokens as Rust does", () => {
  test.each(golden.decoders)("$name", (rule) => {
    const decode = createDecoder(rule.settings, "decoder");
    expectOutputs(
      tokenLists.map((tokens) => decode(tokens).join("")),
      rule,
    );
  });
});

describe("createPipeline gives Rust's ids and Rust's texts", () => {
  test.each(golden.tokenizers)("$name", ({ name, model, ...given }) => {
    const { encode, decode, vocabSize } = createPipeline(
      { ...given, model: golden.models[model] },
      name,
    );
    const ids = texts.map((text) => encode(text));
    expectOutputs(ids, { shown: given.shown, hashes: given.ids });
    const decoded = ids.map(decode);
    expect(digest(decoded)).toEqual(given.texts);
    expect(decoded.filter((text, i) => text === texts[i])).toHaveLength(given.exact);
    expect(digest(oddIds(given.size).map(decode))).toEqual(given.decoded);
    expect(vocabSize).toBeGreaterThanOrEqual(given.size); // a vocabulary may have gaps
  });

  test.each(["bytes", "long pieces"])("words of 100,000 characters: %s", (model) => {
    const { encode } = createPipeline({ model: golden.models[model] }, model);
    const mixed = Array.from({ length: 100_000 }, (_, i) =>
      String.fromCharCode(97 + ((i * i * 7 + i * 13) % 26)),
    );
    const words = ["a".repeat(100_000), "ab".repeat(50_000), mixed.join("")];
    expect(words.map((word) => digest([encode(word)])[0])).toEqual(golden.long[model]);
  });
});

/** One id beyond the vocabulary is among them. */
function oddIds(size: number): number[][] {
  return Array.from({ length: 200 }, (_, row) =>
    Array.from(
      { length: (row % 12) + 1 },
      (_, place) => (row * row * 31 + place * 977) % (size + 1),
    ),
  );
}
