// Run by node, with a folder that has node-llama-cpp and a request as JSON: what llama.cpp makes of a GGUF file, as JSON.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, request] = process.argv.slice(2);
const { modelPath, texts, prompts, chats, maxNewTokens } = JSON.parse(request);
const path = createRequire(join(folder, "package.json")).resolve("node-llama-cpp");
const { getLlama, JinjaTemplateChatWrapper } = await import(pathToFileURL(path).href);
const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({
  ...{ contextSize: 512, batchSize: 512, threads: 1 },
  // By default keys and values are rounded to 16 bits.
  ...{ experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32" },
});
const sequence = context.getSequence();

async function answerTo(prompt) {
  const answer = [];
  await sequence.clearHistory();
  for await (const token of sequence.evaluate(prompt, { temperature: 0 })) {
    answer.push(token);
    if (answer.length === maxNewTokens) break;
  }
  return answer;
}

/** A question put by the chat template in the file. */
function chatTokens(question) {
  const template = model.fileInfo.metadata.tokenizer.chat_template;
  const wrapper = new JinjaTemplateChatWrapper({ template });
  const chatHistory = [
    { type: "user", text: question },
    { type: "model", response: [""] },
  ];
  return wrapper.generateContextState({ chatHistory }).contextText.tokenize(model.tokenizer);
}

const ids = texts.map((text) => model.tokenize(text));
const answers = [];
for (const prompt of prompts) answers.push(await answerTo(prompt));
const result = {
  eosId: model.tokens.eos,
  addsBos: model.tokens.shouldPrependBosToken,
  ids,
  texts: ids.map((tokens) => model.detokenize(tokens)),
  answers,
  chats: chats.map(chatTokens),
};
process.stdout.write(JSON.stringify(result), () => process.exit(0));
