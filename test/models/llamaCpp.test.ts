// Exported models in llama.cpp itself, through node-llama-cpp: the same tokens of a prompt, and answers that are greedy by our logits.
// node-llama-cpp is no dependency, because npm installs 725 MB of it; docs/export.md says how 85 MB of it are enough.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { formatPrompt, samplingPrompt } from "../../src/data/prompt.ts";
import { choosePrompt } from "../../src/data/promptChoice.ts";
import { loadTokenizer } from "../../src/data/tokenizer.ts";
import { sequenceLogits } from "../../src/model/logits.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { exportGguf } from "../../src/models/exportGguf.ts";
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
    readonly chats: number[][];
  };
}

const questions = Array.from({ length: 20 }, (_, i) => {
  const [a, b] = [3 + 7 * i, 2 + i];
  return i % 2 === 0
    ? `Tom has ${a} apples and buys ${b} bags of ${a + b}. How many apples does he have?`
    : `A "book" costs $${a}.50; Ann's shop sold ${b},000 of them\nlast year. What did it earn?`;
});

/** Logits that are so near are equal to llama.cpp, which adds up in another order, and with F16 rounds what it multiplies. */
const ties = { F32: 1e-3, F16: 0.05 };

/** By how much our logits have another token before llama.cpp's, at most; 0 where the answers are our own greedy ones. */
function largestGap(
  source: string,
  prompts: readonly number[][],
  answers: readonly number[][],
): number {
  const model = loadModel(source);
  const gaps = prompts.flatMap((prompt, i) => {
    const [logits] = sequenceLogits(model, [[...prompt, ...answers[i]!]]);
    return answers[i]!.map((token, t) => {
      const begin = (prompt.length - 1 + t) * model.config.vocabSize;
      const row = logits!.subarray(begin, begin + model.config.vocabSize);
      return row.reduce((a, b) => Math.max(a, b)) - row[token]!;
    });
  });
  disposeModel(model);
  return Math.max(...gaps);
}

/** @param chat whether the model has a chat template */
async function compare(
  source: string,
  dtype: keyof typeof ties,
  maxNewTokens: number,
  chat = false,
): Promise<void> {
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
  const chats = chat ? questions : [];
  const found = askLlamaCpp({ modelPath, texts, prompts, chats, maxNewTokens });
  expect(found).toMatchObject({ eosId, addsBos: false });
  expect(found.ids).toEqual([encode(odd), ...prompts]);
  expect(found.texts).toEqual(texts);
  const template = chat ? choosePrompt("chat", tokenizer) : undefined;
  const asChat = { programPrefix: "none", continuation: "", prompt: template } as const;
  expect(found.chats).toEqual(
    chats.map((question) => samplingPrompt(tokenizer, { question }, asChat).tokens),
  );
  expect(found.answers.map(({ length }) => length)).toEqual(questions.map(() => maxNewTokens));
  expect(largestGap(source, prompts, found.answers)).toBeLessThan(ties[dtype]);
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
      await compare(smollm2!, dtype, 24, true);
    },
  );
});
