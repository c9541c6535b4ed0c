import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readSvamp } from "../../src/data/datasets/svamp.ts";
import { inPlainWriting, plainQuestion } from "../../src/data/plainQuestions.ts";
import { programPrefix } from "../../src/data/prompt.ts";
import { realData } from "../support/realData.ts";

describe("plain writing", () => {
  test.each([
    ["Ann's 2,000.0 cards, and Bo's 3.5.", "ann 's 2000 cards and bo 's 3.5 ."],
    ["Is it $1.50?  Yes , it is .", "is it $1.50 ? yes it is ."],
    [
      "There are 107.0 trees in the park . How many?",
      "there are 107 trees in the park . how many ?",
    ],
    ["1, 2, 300 of 10.05", "1 2 300 of 10.05"],
    ["85,90,78; 1,2,300; 1,234,567.5, 12,000,", "85 90 78; 1 2 300; 1234567.5 12000"],
    ["Wait... what?!", "wait ... what ?!"],
  ])("%s", (question, plain) => {
    expect(plainQuestion(question)).toBe(plain);
    expect(plainQuestion(plain)).toBe(plain);
  });

  test("changes the docstring with the question, and nothing else of the program", () => {
    const question = "Ann's $& cards?";
    const body = '\n    cards = "Ann\'s $& cards?"\n    return 1';
    const cot = `def solution():\n    """${question}"""${body}`;
    expect(inPlainWriting({ id: "1", question, cot, answer: 1 })).toEqual({
      id: "1",
      question: "ann 's $& cards ?",
      cot: `def solution():\n    """ann 's $& cards ?"""${body}`,
      answer: 1,
    });
  });
});

test.skipIf(realData === undefined)("SVAMP's test questions are in it already (REFT_DATA)", () => {
  const { candidates, test: asked } = readSvamp(join(realData!, "svamp"), "python");
  for (const { question } of asked) expect(plainQuestion(question)).toBe(question);
  const learned = candidates.map(({ example }) => example);
  for (const { question, cot } of learned.map(inPlainWriting))
    expect(cot!.startsWith(programPrefix(question, "docstring"))).toBe(true);
  const isPlain = ({ question }: { question: string }) => plainQuestion(question) === question;
  expect(learned.filter(isPlain).length / learned.length).toBeCloseTo(0.36, 1);
});
