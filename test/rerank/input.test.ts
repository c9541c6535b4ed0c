import { expect, test } from "vitest";
import { generateProblems } from "../../src/data/datasets/generated.ts";
import { formatPrompt } from "../../src/data/prompt.ts";
import { trainTokenizer } from "../../src/data/tokenizer.ts";
import { classifierSequences } from "../../src/rerank/input.ts";

const problems = generateProblems({ train: 8, answerOnly: 0, dev: 0, test: 0 }, 1).train;
const texts = problems.flatMap(({ question, cot }) => [formatPrompt(question), cot!]);
const tokenizer = trainTokenizer(texts, 400);
const [question] = problems.map((problem) => problem.question);

test("classifierSequences are question and answer as SFT has them, ended by EOS", () => {
  const [first] = classifierSequences(tokenizer, question!, ["def solution():"]);
  const { prompt, response } = first!;
  expect(tokenizer.decode(prompt)).toBe(formatPrompt(question!));
  expect(tokenizer.decode(response)).toBe("def solution():");
  expect(response.at(-1)).toBe(tokenizer.eosId);
});

test("classifierSequences share the prompt", () => {
  const [first, second] = classifierSequences(tokenizer, question!, ["a", "b"]);
  expect(second!.prompt).toBe(first!.prompt);
});
