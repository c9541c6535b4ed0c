// A real pretrained LLaMA, imported from weights of 4 bits, against transformers on the same weights: scripts/golden/smollm2.py.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readSvamp } from "../../src/data/datasets/svamp.ts";
import { checkSamplingPrefix, findSamplingFormat, samplingPrompt } from "../../src/data/prompt.ts";
import { loadTokenizer } from "../../src/data/tokenizer.ts";
import { createGenerator } from "../../src/generate/generate.ts";
import { sequenceLogits } from "../../src/model/logits.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { createScorer } from "../../src/model/score.ts";
import { Rng } from "../../src/rng.ts";
import { goldenPath, largestDifference, readGolden, rowOf } from "../support/golden.ts";
import { realData, realTexts } from "../support/realData.ts";
import { smollm2 } from "../support/smollm2.ts";

describe.skipIf(smollm2 === undefined)("SmolLM2-135M-Instruct (npm run model:smollm2)", () => {
  const model = smollm2 ? loadModel(smollm2) : undefined;
  const golden = readGolden("smollm2", "golden.safetensors");
  const row = (name: string, index: number, length: number) =>
    rowOf(golden.get(name)!, index, length);
  const prompts = [...golden.get("lengths")!.values].map((length, i) => row("tokens", i, length));
  afterAll(() => model && disposeModel(model));

  test("logits equal transformers'", () => {
    const { shape, values } = golden.get("logits")!;
    const [, longest, kept] = shape as [number, number, number];
    const { vocabSize } = model!.config;
    sequenceLogits(model!, prompts).forEach((found, i) => {
      const every = found.filter((_, place) => (place % vocabSize) % (vocabSize / kept) === 0);
      const start = i * longest * kept;
      const expected = values.subarray(start, start + prompts[i]!.length * kept);
      expect(largestDifference(every, expected)).toBeLessThan(1e-3);
    });
  });

  test("the loss of every token equals transformers'", () => {
    const sequences = prompts.map((tokens) => ({
      prompt: tokens.slice(0, 1),
      response: tokens.slice(1),
    }));
    const scorer = createScorer(model!);
    const { logprobs } = scorer.score(sequences, 1024);
    scorer.dispose();
    logprobs.forEach((found, i) => {
      expect(largestDifference(found, row("logprobs", i, found.length))).toBeLessThan(1e-3);
    });
  });

  test("greedy text equals transformers'", async () => {
    const lengths = [...golden.get("greedyLengths")!.values];
    const expected = lengths.map((length, i) => row("greedyTokens", i, length));
    const maxNewTokens = Math.max(...lengths);
    const longest = Math.max(...prompts.map((tokens) => tokens.length));
    const generator = createGenerator(model!, {
      slots: prompts.length,
      maxTokens: longest + maxNewTokens,
      temperature: 0,
    });
    const requests = prompts.map((tokens) => ({ tokens, rng: Rng.named(0, "unused") }));
    const responses = await generator.generate(requests, { maxNewTokens, eosIds: [] });
    generator.dispose();
    const found = responses.map(({ tokens }, i) => tokens.slice(0, lengths[i]));
    expect(found).toEqual(expected);
  });
});

describe.skipIf(smollm2 === undefined)("its tokenizer (npm run model:smollm2)", () => {
  const tokenizer = smollm2 ? loadTokenizer(smollm2) : undefined;
  const expected: {
    texts: number;
    tokens: number;
    sha256: string;
    edges: { text: string; ids: number[] }[];
  } = JSON.parse(readFileSync(goldenPath("smollm2", "tokenizer.json"), "utf8"));

  test("ends with 2 and pads with 0", () => {
    expect(tokenizer).toMatchObject({ vocabSize: 49_152, bosId: 1, eosId: 2, padId: 0 });
  });

  test("encodes odd texts as Rust's does", () => {
    for (const { text, ids } of expected.edges) expect(tokenizer!.encode(text), text).toEqual(ids);
  });

  test.skipIf(realData === undefined)(
    "equals Rust's on every text of SVAMP and GSM8K, and decodes each exactly (REFT_DATA)",
    () => {
      const hash = createHash("sha256");
      let [texts, tokens] = [0, 0];
      for (const text of realTexts(realData!)) {
        const ids = tokenizer!.encode(text);
        hash.update(`${ids.join(",")}\n`);
        texts++;
        tokens += ids.length;
        if (tokenizer!.decode(ids) !== text) expect.fail(`decoded differently: ${text}`);
      }
      const { edges: _, ...whole } = expected;
      expect({ texts, tokens, sha256: hash.digest("hex") }).toEqual(whole);
    },
  );

  test.skipIf(realData === undefined)(
    "every training program of SVAMP begins with the tokens from which sampling goes on (REFT_DATA)",
    () => {
      const { candidates } = readSvamp(join(realData!, "svamp"), "python");
      const rows = candidates.map(({ example }) => example);
      expect(rows.length).toBeGreaterThan(3000);
      const format = findSamplingFormat(tokenizer!, rows, "docstring");
      checkSamplingPrefix(tokenizer!, rows, format);
      // The newline belongs to the first token of the body: "\n" and the spaces after it are one.
      const { question } = rows[0]!;
      const { prefixTokens } = samplingPrompt(tokenizer!, { question }, format);
      expect(tokenizer!.decode(prefixTokens)).toBe(`def solution():\n    """${question}"""`);
    },
  );
});
