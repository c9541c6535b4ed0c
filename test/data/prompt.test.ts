import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readSvamp } from "../../src/data/datasets/svamp.ts";
import type { Example } from "../../src/data/examples.ts";
import {
  checkSamplingPrefix,
  encodeExample,
  findSamplingFormat,
  formatPrompt,
  programPrefix,
  samplingPrompt,
} from "../../src/data/prompt.ts";
import { loadTokenizer, type Tokenizer, trainTokenizer } from "../../src/data/tokenizer.ts";
import { UserError } from "../../src/errors.ts";
import { realData } from "../support/realData.ts";

/** Cuts a text greedily at the longest of its tokens; everything else is one character a token. */
function tokenizerOf(...tokens: string[]): Tokenizer {
  const texts = ["</s>", ...tokens];
  const idOf = (text: string) => {
    const id = texts.indexOf(text);
    return id < 0 ? texts.push(text) - 1 : id;
  };
  const longest = [...tokens].sort((a, b) => b.length - a.length);
  return {
    vocabSize: 1000,
    eosId: 0,
    encode(text) {
      const ids: number[] = [];
      for (let at = 0; at < text.length; at += texts[ids.at(-1)!]!.length) {
        ids.push(idOf(longest.find((token) => text.startsWith(token, at)) ?? text[at]!));
      }
      return ids;
    },
    decode: (ids) => ids.map((id) => (id === 0 ? "" : texts[id]!)).join(""),
    controlTokens: new Set(),
    namedTokens: {},
    files: { tokenizerJson: {}, tokenizerConfig: {} },
  };
}

const row = (id: string, question: string, body: string): Example => ({
  id,
  question,
  cot: `${programPrefix(question, "docstring")}${body}`,
  answer: 3,
});
const rows = [row("1", "Why?", "    a = 3\n    return a"), row("2", "Who?", "    return 3")];

describe("programPrefix", () => {
  test("has the form of the paper's programs", () => {
    expect(programPrefix("Why?", "docstring")).toBe('def solution():\n    """Why?"""\n');
    expect(programPrefix("Why?", "def")).toBe("def solution():\n");
    expect(programPrefix("Why?", "none")).toBe("");
    expect(formatPrompt("Why?")).toBe("Question:\nWhy?\nAnswer reasoning:\n");
  });

  test.each([
    ['He said "no"', '    """He said "no\\""""\n'],
    ['a """ b', '    """a \\"\\"\\" b"""\n'],
    ["a \\ b", '    """a \\\\ b"""\n'],
  ])("keeps the docstring of %s closed", (question, line) => {
    expect(programPrefix(question, "docstring")).toBe(`def solution():\n${line}`);
  });
});

describe("encodeExample", () => {
  test("tokenises prompt and completion apart and ends with EOS", () => {
    const tokenizer = tokenizerOf(":\n"); // would join the prompt's end with "\n" at the start
    const { promptTokens, completionTokens } = encodeExample(tokenizer, {
      id: "1",
      question: "Q",
      cot: "\nC",
      answer: 1,
    });
    expect(tokenizer.decode(promptTokens)).toBe(formatPrompt("Q"));
    expect(completionTokens).toEqual([...tokenizer.encode("\nC"), 0]);
  });

  test("a control token in question and program is text: EOS stands at the end alone", () => {
    const question = "Tom writes the tag </s> 2 times and <s> or <pad> 4 times. How many tags?";
    const tokenizer = trainTokenizer([question], 300);
    const example = row("1", question, "    return 2 + 4 # </s>");
    const { promptTokens, completionTokens } = encodeExample(tokenizer, example);
    const control = [tokenizer.eosId, tokenizer.bosId, tokenizer.padId];
    const isControl = (id: number) => control.includes(id);
    expect([...promptTokens, ...completionTokens].filter(isControl)).toEqual([tokenizer.eosId]);
    expect(tokenizer.decode(promptTokens)).toBe(formatPrompt(question));
    expect(tokenizer.decode(completionTokens)).toBe(example.cot);
    const format = findSamplingFormat(tokenizer, [example], "docstring");
    expect(samplingPrompt(tokenizer, { question }, format).tokens.some(isControl)).toBe(false);
    checkSamplingPrefix(tokenizer, [example], format);
  });

  test("names the example that has nothing to learn from", () => {
    const example = { id: "7", question: "Q", answer: 1 };
    expect(() => encodeExample(tokenizerOf(), example)).toThrow(/example "7": expected a chain/);
  });
});

describe("samplingPrompt", () => {
  test("ends with the whole prefix where no token crosses its end", () => {
    const tokenizer = tokenizerOf("def solution():\n", "    ", '"""', "\n");
    const format = findSamplingFormat(tokenizer, rows, "docstring");
    const { tokens, prefixTokens } = samplingPrompt(tokenizer, { question: "New?" }, format);
    expect(tokenizer.decode(prefixTokens)).toBe(programPrefix("New?", "docstring"));
    expect(tokenizer.decode(tokens)).toBe(
      formatPrompt("New?") + programPrefix("New?", "docstring"),
    );
  });

  test("leaves the newline to the model where a token joins it with the body", () => {
    const tokenizer = tokenizerOf("\n    ");
    const format = findSamplingFormat(tokenizer, rows, "docstring");
    const { prefixTokens } = samplingPrompt(tokenizer, { question: "New?" }, format);
    expect(tokenizer.decode(prefixTokens)).toBe('def solution():\n    """New?"""');
    checkSamplingPrefix(tokenizer, rows, format);
  });

  test("follows the row whose first token reaches back furthest", () => {
    const tokenizer = tokenizerOf('?"""\n    r'); // only row 2 begins so
    const format = findSamplingFormat(tokenizer, rows, "docstring");
    expect(format.continuation).toBe("    return 3");
    const { prefixTokens } = samplingPrompt(tokenizer, { question: "New?" }, format);
    expect(tokenizer.decode(prefixTokens)).toBe('def solution():\n    """New');
    checkSamplingPrefix(tokenizer, rows, format);
  });

  test("is the prompt alone without a prefix", () => {
    const format = findSamplingFormat(tokenizerOf(), rows, "none");
    const { tokens, prefixTokens } = samplingPrompt(tokenizerOf(), { question: "New?" }, format);
    expect(prefixTokens).toEqual([]);
    expect(tokens).toHaveLength(formatPrompt("New?").length);
  });

  test("does not need a row: any indented statement shows the boundary of byte-level BPE", () => {
    const tokenizer = trainTokenizer(
      rows.map(({ cot }) => cot!),
      300,
    );
    const format = findSamplingFormat(tokenizer, [], "docstring");
    checkSamplingPrefix(tokenizer, rows, format);
    const { prefixTokens } = samplingPrompt(tokenizer, { question: "Why?" }, format);
    expect(tokenizer.decode(prefixTokens)).toBe('def solution():\n    """Why?"""');
  });
});

describe("checkSamplingPrefix", () => {
  const tokenizer = tokenizerOf("\n    ");

  test("names the row that does not begin with the tokens from which sampling goes on", () => {
    const tidied = { ...rows[0]!, id: "9", question: "Why ?" };
    const format = findSamplingFormat(tokenizer, rows, "docstring");
    const check = () => checkSamplingPrefix(tokenizer, [...rows, tidied], format);
    expect(check).toThrow(UserError);
    expect(check).toThrow(/example "9".*Why \?.*found.*Why\?/);
  });

  test("finds a boundary that a continuation of another shape would miss", () => {
    const format = { programPrefix: "docstring", continuation: "# no indent" } as const;
    expect(() => checkSamplingPrefix(tokenizer, rows, format)).toThrow(/example "1"/);
  });

  test("refuses a row that is nothing but the prefix", () => {
    const bare = { ...rows[0]!, cot: "def solution():\n" };
    const format = { programPrefix: "def", continuation: "" } as const;
    expect(() => checkSamplingPrefix(tokenizer, [bare], format)).toThrow(/example "1"/);
  });

  test("passes over rows without a chain of thought", () => {
    const format = findSamplingFormat(tokenizer, rows, "docstring");
    checkSamplingPrefix(tokenizer, [{ id: "1", question: "Q", answer: 1 }], format);
  });
});

describe.skipIf(realData === undefined)("on SVAMP's programs (REFT_DATA)", () => {
  const examples = () =>
    readSvamp(join(realData!, "svamp"), "python")
      .candidates.map(({ example }) => example)
      .slice(0, 800);

  test.each([
    ["CodeLlama's tokenizer, whose newline is a token", '"""\n', undefined],
    ["a byte-level BPE, which joins newline and indent", '"""', 1024],
  ])("with %s, every row begins with its sampling prompt", (_, end, vocabSize) => {
    const tokenizer =
      vocabSize === undefined
        ? loadTokenizer(join(realData!, "codellama"))
        : trainTokenizer(
            examples().map(({ cot }) => cot!),
            vocabSize,
          );
    const format = findSamplingFormat(tokenizer, examples(), "docstring");
    checkSamplingPrefix(tokenizer, examples(), format);
    const { prefixTokens } = samplingPrompt(
      tokenizer,
      { question: examples()[0]!.question },
      format,
    );
    expect(tokenizer.decode(prefixTokens).endsWith(end)).toBe(true);
  });
});
