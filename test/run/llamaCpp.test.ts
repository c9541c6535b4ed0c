// Exported models in llama.cpp itself, through node-llama-cpp: the same tokens of a prompt, the same greedy answers.
// node-llama-cpp is no dependency, because npm installs 725 MB of it; docs/export.md says how 85 MB of it are enough.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
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

const folder = process.env.REFT_LLAMA_CPP;
if (folder === undefined)
  console.log(
    "llama.cpp: not tried, because REFT_LLAMA_CPP names no folder with node-llama-cpp (docs/export.md)",
  );

/** test/support/askLlamaCpp.mjs has its own process, which can be ended. */
function askLlamaCpp(request: object) {
  const script = fileURLToPath(new URL("../support/askLlamaCpp.mjs", import.meta.url));
  const parameters = [script, folder!, JSON.stringify(request)];
  const output = execFileSync(process.execPath, parameters, { encoding: "utf8", timeout: 500_000 });
  return JSON.parse(output) as {
    readonly eosId: number;
    readonly addsBos: boolean;
    readonly ids: number[][];
    readonly texts: string[];
    readonly answers: number[][];
  };
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

async function compare(source: string, dtype: GgufDtype, maxNewTokens: number): Promise<void> {
  const output = join(temporaryFolder(), "gguf");
  exportGguf(source, output, { dtype, modelfile: false });
  const tokenizer = loadTokenizer(source);
  const { encode, decode, eosId } = tokenizer;
  const sampling = { programPrefix: "docstring", continuation: "    x = 1" } as const;
  const prompts = questions.map(
    (question) => samplingPrompt(tokenizer, { question }, sampling).tokens,
  );
  const odd = `${formatPrompt('1,234 .5 , "a" ! ?')}def f():\n\n    x = 'it\\'s' + "naïve 🙂"  # 12345\t.\n`;
  const texts = [odd, ...prompts.map((prompt) => decode(prompt))];
  const modelPath = join(output, "model.gguf");
  const found = askLlamaCpp({ modelPath, texts, prompts, maxNewTokens });
  expect(found).toMatchObject({ eosId, addsBos: false });
  expect(found.ids).toEqual([encode(odd), ...prompts]);
  expect(found.texts).toEqual(texts);
  expect(found.answers).toEqual(await ourAnswers(source, prompts, maxNewTokens));
}

describe.skipIf(folder === undefined)("llama.cpp (REFT_LLAMA_CPP)", () => {
  test("writes what a tiny model with a tokenizer of our own writes", async () => {
    const home = temporaryFolder();
    const source = join(home, "model");
    writeTinyModel(source, writeTinyData(home));
    await compare(source, "F32", 24);
  });

  test.skipIf(smollm2 === undefined).each(["F32", "F16"] as const)(
    "writes what SmolLM2 writes (npm run model:smollm2): %s",
    { timeout: 600_000 },
    async (dtype) => {
      await compare(smollm2!, dtype, 24);
    },
  );
});
