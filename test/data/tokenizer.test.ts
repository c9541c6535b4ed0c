import { createHash } from "node:crypto";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import {
  loadTokenizer,
  saveTokenizer,
  type Tokenizer,
  trainTokenizer,
} from "../../src/data/tokenizer.ts";
import { UserError } from "../../src/errors.ts";
import { goldenPath } from "../support/golden.ts";
import { realData, realTexts } from "../support/realData.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

interface Encoded {
  readonly text: string;
  readonly ids: number[];
}

const golden: {
  texts: string[];
  vocabSize: number;
  tokenizerJson: { model: { vocab: Record<string, number>; merges: [string, string][] } };
  tokenizerConfig: unknown;
  edges: Encoded[];
} = JSON.parse(readFileSync(goldenPath("tokenizers", "trained.json"), "utf8"));

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

describe("trainTokenizer", () => {
  const trained = trainTokenizer(golden.texts, golden.vocabSize);

  test("finds what Rust's BpeTrainer finds and writes the files that transformers loads", () => {
    expect(trained.files.tokenizerJson).toEqual(golden.tokenizerJson);
    expect(trained.files.tokenizerConfig).toEqual(golden.tokenizerConfig);
    expect(trained.vocabSize).toBe(Object.keys(golden.tokenizerJson.model.vocab).length);
  });

  test("encodes as Rust does and decodes exactly", () => {
    for (const { text, ids } of golden.edges) {
      expect(trained.encode(text)).toEqual(ids);
      expect(trained.decode(ids)).toBe(text);
    }
  });

  test("does not depend on the order of the texts, only on what they hold", () => {
    const reversed = trainTokenizer(golden.texts.toReversed(), golden.vocabSize);
    expect(reversed.files).toEqual(trained.files);
    const fewer = trainTokenizer(golden.texts.slice(0, 20), golden.vocabSize);
    expect(fewer.files).not.toEqual(trained.files);
  });

  test("stops at the size that was asked for", () => {
    const small = trainTokenizer(golden.texts, 300);
    expect(small.vocabSize).toBe(300);
    const { merges } = (small.files.tokenizerJson as typeof golden.tokenizerJson).model;
    expect(merges).toEqual(golden.tokenizerJson.model.merges.slice(0, 41)); // 300 - 3 - 256
  });

  test("pads with a token of its own, not with the end of a sequence", () => {
    expect(trained).toMatchObject({ padId: 0, bosId: 1, eosId: 2 });
  });

  test("a frequent number is one token with the space before it", () => {
    const tokenizer = trainTokenizer(["a 48 b 7 c 125 d"].concat("a 48 b 7 c 125 d"), 300);
    expect(tokenizer.encode(" 48 7 125")).toHaveLength(3);
  });

  test.each([258, 300.5, Number.NaN])("refuses a vocabulary of %d", (size) => {
    expect(() => trainTokenizer(["a"], size)).toThrow(/at least 259/);
  });
});

describe("loadTokenizer", () => {
  const config = { eos_token: "</s>" };
  const write = (tokenizerJson: unknown, tokenizerConfig: unknown): Tokenizer => {
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizerJson));
    writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(tokenizerConfig));
    return loadTokenizer(folder);
  };

  test("reads what saveTokenizer wrote", () => {
    const trained = trainTokenizer(golden.texts, 300);
    saveTokenizer(trained, folder);
    const loaded = loadTokenizer(folder);
    expect(loaded.files).toMatchObject(trained.files);
    expect(loaded).toMatchObject({ vocabSize: 300, padId: 0, bosId: 1, eosId: 2 });
    expect(loaded.encode(golden.texts[0]!)).toEqual(trained.encode(golden.texts[0]!));
  });

  test("adds no special token, whatever the file's post-processor adds", () => {
    const postProcessor = {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    };
    const tokenizer = write({ ...golden.tokenizerJson, post_processor: postProcessor }, config);
    expect(tokenizer.encode("Tom")).toEqual(trainedIds("Tom"));
  });

  test("decoding leaves out special tokens and ids without a text, and keeps every space", () => {
    const tokenizer = write(golden.tokenizerJson, {
      ...config,
      clean_up_tokenization_spaces: true,
    });
    const ids = [1, ...tokenizer.encode("Tom , ok ."), 2, 0, 99_999];
    expect(tokenizer.decode(ids)).toBe("Tom , ok .");
    expect(tokenizer.decode([2, 99_999])).toBe("");
    expect(tokenizer.decode([])).toBe("");
    // This decoder of the library would fail on an id without a text.
    const decoder = { type: "Replace", pattern: { String: "Ġ" }, content: " " };
    expect(write({ ...golden.tokenizerJson, decoder }, config).decode([99_999, 2])).toBe("");
  });

  test("counts added tokens beyond the vocabulary", () => {
    const json = structuredClone(golden.tokenizerJson) as typeof golden.tokenizerJson & {
      added_tokens: { id: number; content: string }[];
    };
    const { length: size } = Object.keys(json.model.vocab);
    json.added_tokens.push({ ...json.added_tokens[0]!, id: size, content: "<extra>" });
    expect(write(json, config).vocabSize).toBe(size + 1);
  });

  test("a padding token that is EOS is no padding token", () => {
    expect(write(golden.tokenizerJson, { ...config, pad_token: "</s>" }).padId).toBeUndefined();
    expect(write(golden.tokenizerJson, { ...config, pad_token: null }).padId).toBeUndefined();
    const named = { ...config, pad_token: { content: "<pad>" } };
    expect(write(golden.tokenizerJson, named).padId).toBe(0);
  });

  test.each([
    [{}, config, /tokenizer\.json: "model"/],
    [
      { ...golden.tokenizerJson, decoder: { type: "Nonsense" } },
      config,
      /decoder: the decoder "Nonsense" is not supported/,
    ],
    [golden.tokenizerJson, {}, /tokenizer_config\.json: expected "eos_token".*found null/],
    [golden.tokenizerJson, { eos_token: "<end>" }, /expected "eos_token".*found "<end>"/],
  ])("broken files number %# are the user's error", (json, given, message) => {
    expect(() => write(json, given)).toThrow(UserError);
    expect(() => write(json, given)).toThrow(message);
  });

  test("a link to nothing in the place of a file that goes along is named", () => {
    saveTokenizer(trainTokenizer(golden.texts, 300), folder);
    symlinkSync("nowhere", join(folder, "chat_template.jinja"));
    expect(() => loadTokenizer(folder)).toThrow(/chat_template\.jinja: found a link to something/);
  });

  test.each([{ content: "</s>", lstrip: false }, "</s>"])(
    "special_tokens_map.json names %j where tokenizer_config.json is silent",
    (eos_token) => {
      const { eos_token: _, ...silent } = config;
      writeFileSync(
        join(folder, "special_tokens_map.json"),
        JSON.stringify({ eos_token, pad_token: "<pad>", additional_special_tokens: ["<s>"] }),
      );
      expect(write(golden.tokenizerJson, silent)).toMatchObject({ eosId: 2, padId: 0 });
      expect(() => write(golden.tokenizerJson, { ...silent, eos_token: null })).toThrow(
        /found null/,
      );
    },
  );

  test.each(["tokenizer.model", "vocab.json"])(
    "a folder that has %s alone is refused with what to do",
    (name) => {
      writeFileSync(join(folder, name), "");
      expect(() => loadTokenizer(folder)).toThrow(
        `tokenizer.json: no such file; the folder has ${name}, from which it can be made: in Python, transformers: AutoTokenizer`,
      );
    },
  );

  test("a special token that is no text is named with what was expected", () => {
    expect(() => write(golden.tokenizerJson, { ...config, eos_token: 2 })).toThrow(
      /tokenizer_config\.json: "eos_token": expected a token's text, or an object with its content, found 2$/,
    );
  });

  test("a missing or cut file is named", () => {
    expect(() => loadTokenizer(folder)).toThrow(/tokenizer\.json: no such file/);
    for (const [name, content] of [
      ["", "an empty file"],
      [
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "a Git LFS pointer; fetch the real file",
      ],
    ] as const) {
      writeFileSync(join(folder, "tokenizer.json"), name);
      expect(() => loadTokenizer(folder)).toThrow(
        `tokenizer.json: expected JSON, found ${content}`,
      );
    }
    writeFileSync(join(folder, "tokenizer.json"), '{"model":');
    expect(() => loadTokenizer(folder)).toThrow(/tokenizer\.json: expected JSON/);
  });
});

function trainedIds(text: string): number[] {
  return trainTokenizer(golden.texts, golden.vocabSize).encode(text);
}

describe.skipIf(realData === undefined)("CodeLlama's tokenizer on real data (REFT_DATA)", () => {
  const expected: {
    texts: number;
    tokens: number;
    sha256: string;
    edges: (Encoded & { decoded: string })[];
  } = JSON.parse(readFileSync(goldenPath("tokenizers", "codellama.json"), "utf8"));
  const tokenizer = realData && loadTokenizer(join(realData, "codellama"));

  test("has 32,000 tokens and 4 for infilling, and no padding token but EOS", () => {
    expect(tokenizer).toMatchObject({ vocabSize: 32_004, bosId: 1, eosId: 2 });
    expect(tokenizer).not.toHaveProperty("padId");
  });

  test("encodes and decodes texts of all shapes as Rust does", () => {
    for (const { text, ids, decoded } of expected.edges) {
      expect((tokenizer as Tokenizer).encode(text)).toEqual(ids);
      expect((tokenizer as Tokenizer).decode(ids)).toBe(decoded);
    }
  });

  test("gives Rust's ids for every SVAMP and GSM8K text, and every text back", {
    timeout: 300_000,
  }, () => {
    const hash = createHash("sha256");
    let [texts, tokens] = [0, 0];
    for (const text of realTexts(realData as string)) {
      const ids = (tokenizer as Tokenizer).encode(text);
      hash.update(`${ids.join(",")}\n`);
      texts++;
      tokens += ids.length;
      if ((tokenizer as Tokenizer).decode(ids) !== text)
        expect.fail(`decoded differently: ${text}`);
    }
    expect({ texts, tokens, sha256: hash.digest("hex") }).toEqual({
      texts: expected.texts,
      tokens: expected.tokens,
      sha256: expected.sha256,
    });
  });
});

test("a control token is one only within what a template wrote", () => {
  const tokenizer = trainTokenizer(["a b"], 259);
  const { bosId, eosId, encode } = tokenizer;
  expect(
    encode("<s>a</s>b</s>", [
      { start: 0, end: 3 },
      { start: 9, end: 13 },
    ]),
  ).toEqual([bosId, ...encode("a</s>b"), eosId]);
  expect(
    encode("<s>", [
      { start: 0, end: 2 },
      { start: 2, end: 3 },
    ]),
  ).toEqual(encode("<s>")); // in two parts
  expect([...tokenizer.controlTokens]).toEqual(["<pad>", "<s>", "</s>"]);
  expect(tokenizer.namedTokens).toEqual({
    bos_token: "<s>",
    eos_token: "</s>",
    pad_token: "<pad>",
  });
});
