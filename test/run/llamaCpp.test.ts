// Exported models in llama.cpp itself, through node-llama-cpp: the same tokens of a prompt, the same greedy answers.
// node-llama-cpp is no dependency, because npm installs 725 MB of it; docs/export.md says how 85 MB of it are enough.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { formatPrompt, samplingPrompt } from "../../src/data/prompt.ts";
import { loadTokenizer } from "../../src/data/tokenizer.ts";
import { createGenerator } from "../../src/generate/generate.ts";
import type { GgufDtype } from "../../src/model/ggufQuantize.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { Rng } from "../../src/rng.ts";
import { exportGguf } from "../../src/run/exportGguf.ts";
import { smollm2 } from "../support/smollm2.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { writeTinyData, writeTinyModel } from "../support/tiny.ts";

/** What is used of node-llama-cpp 3.22.1. */
interface LlamaCpp {
  getLlama(options: { gpu: false; build: "never"; logLevel: string }): Promise<{
    loadModel(options: { modelPath: string }): Promise<LlamaModel>;
    dispose(): Promise<void>;
  }>;
}
interface LlamaModel {
  readonly tokens: { readonly eos: number | null; readonly shouldPrependBosToken: boolean };
  tokenize(text: string): number[];
  detokenize(tokens: readonly number[]): string;
  createContext(options: { contextSize: number; batchSize: number }): Promise<{
    getSequence(): {
      evaluate(tokens: readonly number[], options: { temperature: number }): AsyncIterable<number>;
      clearHistory(): Promise<void>;
    };
  }>;
}

const folder = process.env.REFT_LLAMA_CPP;
if (folder === undefined)
  console.log(
    "llama.cpp: not tried, because REFT_LLAMA_CPP names no folder with node-llama-cpp (docs/export.md)",
  );

async function openInLlamaCpp(modelPath: string) {
  const path = createRequire(join(folder!, "package.json")).resolve("node-llama-cpp");
  const { getLlama }: LlamaCpp = await import(pathToFileURL(path).href);
  const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" });
  return { model: await llama.loadModel({ modelPath }), close: () => llama.dispose() };
}

const questions = Array.from({ length: 20 }, (_, i) => {
  const [a, b] = [3 + 7 * i, 2 + i];
  return i % 2 === 0
    ? `Tom has ${a} apples and buys ${b} bags of ${a + b}. How many apples does he have?`
    : `A "book" costs $${a}.50; Ann's shop sold ${b},000 of them\nlast year. What did it earn?`;
});

/** Our own greedy answers, token by token, up to what ends one. */
async function ourAnswers(source: string, prompts: readonly number[][], maxNewTokens: number) {
  const model = loadModel(source);
  const longest = Math.max(...prompts.map((tokens) => tokens.length));
  const shape = { slots: prompts.length, maxTokens: longest + maxNewTokens, temperature: 0 };
  const generator = createGenerator(model, shape);
  const requests = prompts.map((tokens) => ({ tokens, rng: Rng.named(0, "unused") }));
  const responses = await generator.generate(requests, { maxNewTokens, eosIds: [] });
  generator.dispose();
  disposeModel(model);
  return responses.map(({ tokens }) => tokens);
}

async function theirAnswers(model: LlamaModel, prompts: readonly number[][], maxNewTokens: number) {
  const context = await model.createContext({ contextSize: 512, batchSize: 512 });
  const sequence = context.getSequence();
  const answers: number[][] = [];
  for (const prompt of prompts) {
    const answer: number[] = [];
    await sequence.clearHistory();
    for await (const token of sequence.evaluate(prompt, { temperature: 0 })) {
      answer.push(token);
      if (answer.length === maxNewTokens) break;
    }
    answers.push(answer);
  }
  return answers;
}

async function compare(source: string, dtype: GgufDtype, maxNewTokens: number) {
  const output = join(temporaryFolder(), "gguf");
  exportGguf(source, output, { dtype, modelfile: false });
  const { model, close } = await openInLlamaCpp(join(output, "model.gguf"));
  const tokenizer = loadTokenizer(source);
  expect(model.tokens).toMatchObject({ eos: tokenizer.eosId, shouldPrependBosToken: false });
  const sampling = { programPrefix: "docstring", continuation: "    x = 1" } as const;
  const prompts = questions.map((question) => samplingPrompt(tokenizer, question, sampling).tokens);
  for (const prompt of prompts) expect(model.tokenize(tokenizer.decode(prompt))).toEqual(prompt);
  const text = `${formatPrompt('1,234 .5 , "a" ! ?')}def f():\n\n    x = 'it\\'s' + "naïve 🙂"  # 12345\t.\n`;
  expect(model.tokenize(text)).toEqual(tokenizer.encode(text));
  expect(model.detokenize(tokenizer.encode(text))).toBe(text);
  const ours = await ourAnswers(source, prompts, maxNewTokens);
  const theirs = await theirAnswers(model, prompts, maxNewTokens);
  await close();
  return { ours, theirs };
}

describe.skipIf(folder === undefined)("llama.cpp (REFT_LLAMA_CPP)", () => {
  test("writes what a tiny model with a tokenizer of our own writes", async () => {
    const home = temporaryFolder();
    const source = join(home, "model");
    writeTinyModel(source, writeTinyData(home));
    const { ours, theirs } = await compare(source, "F32", 24);
    expect(theirs).toEqual(ours);
  });

  test.skipIf(smollm2 === undefined).each(["F32", "F16"] as const)(
    "writes what SmolLM2 writes (npm run model:smollm2): %s",
    { timeout: 600_000 },
    async (dtype) => {
      const { ours, theirs } = await compare(smollm2!, dtype, 24);
      expect(theirs).toEqual(ours);
    },
  );
});
