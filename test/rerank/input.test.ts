import { expect, test } from "vitest";
import { generateProblems } from "../../src/data/datasets/generated.ts";
import { formatPrompt } from "../../src/data/prompt.ts";
import { trainTokenizer } from "../../src/data/tokenizer.ts";
import { classifierSequence } from "../../src/rerank/input.ts";

const problems = generateProblems({ train: 8, answerOnly: 0, dev: 0, test: 0 }, 1).train;
const texts = problems.flatMap(({ question, cot }) => [formatPrompt(question), cot!]);
const tokenizer = trainTokenizer(texts, 400);
const [question, other] = problems.map((problem) => problem.question);

test("classifierSequence is question and answer as SFT has them, ended by EOS", () => {
  const { prompt, response } = classifierSequence(tokenizer, question!, "def solution():");
  expect(tokenizer.decode(prompt)).toBe(formatPrompt(question!));
  expect(tokenizer.decode(response)).toBe("def solution():");
  expect(response.at(-1)).toBe(tokenizer.eosId);
});

test("classifierSequence shares the prompt of answers to one question, for one tokenizer", () => {
  const first = classifierSequence(tokenizer, question!, "a");
  expect(classifierSequence(tokenizer, question!, "b").prompt).toBe(first.prompt);
  expect(classifierSequence(tokenizer, other!, "b").prompt).not.toEqual(first.prompt);
  const larger = trainTokenizer(texts, 500);
  expect(classifierSequence(larger, other!, "b").prompt).toEqual(
    larger.encode(formatPrompt(other!)),
  );
});
