import { describe, expect, test } from "vitest";
import { generateProblem, generateProblems } from "../../../src/data/datasets/generated.ts";
import { templates } from "../../../src/data/datasets/generatedTemplates.ts";
import { trainTokenizer } from "../../../src/data/tokenizer.ts";
import { Rng } from "../../../src/rng.ts";

const sizes = { train: 600, answerOnly: 1500, dev: 100, test: 200 };
const problems = generateProblems(sizes, 1);
const all = [...problems.train, ...problems.answerOnly, ...problems.dev, ...problems.test];

/** Computes a straight-line program of `name = operand [operator operand]`, as Python would. */
function runProgram(cot: string): number {
  const [signature, ...lines] = cot.split("\n");
  expect(signature).toBe("def solution():");
  const values = new Map<string, number>();
  const read = (operand: string) => values.get(operand) ?? Number(operand);
  for (const line of lines) {
    const match = /^ {4}(?:([a-z]) = |return )(\S+)(?: ([-+*/]) (\S+))?$/.exec(line);
    expect(match, line).not.toBeNull();
    const [, name, left, operator, right] = match!;
    const [a, b] = [read(left!), read(right ?? "0")];
    const result = { "+": a + b, "-": a - b, "*": a * b, "/": a / b }[operator ?? "+"]!;
    if (name === undefined) return result;
    values.set(name, result);
  }
  throw new Error("no return");
}

describe("generateProblems", () => {
  test("gives every split its size, ids of its own, and programs to the training rows only", () => {
    expect(problems.train).toHaveLength(600);
    expect(problems.answerOnly).toHaveLength(1500);
    expect(problems.dev).toHaveLength(100);
    expect(problems.test).toHaveLength(200);
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(problems.train.every(({ cot }) => cot !== undefined)).toBe(true);
    for (const split of [problems.answerOnly, problems.dev, problems.test]) {
      expect(split.some((example) => "cot" in example)).toBe(false);
    }
  });

  test("never asks a question twice", () => {
    expect(new Set(all.map(({ question }) => question)).size).toBe(all.length);
  });

  test("comes to every gold answer by its program", () => {
    for (const { cot, answer } of problems.train) {
      expect(runProgram(cot!)).toBeCloseTo(answer as number, 9);
    }
  });

  test("has answers that are positive and whole, or whole in cents", () => {
    for (const { answer } of all) {
      expect(answer).toBeGreaterThan(0);
      expect(Math.round((answer as number) * 100) / 100).toBe(answer);
    }
  });

  test("computes with numbers of the question and constants that its words stand for", () => {
    const constants = ["2", "3", "4", "7", "12", "60", "100"];
    for (const { question, cot } of problems.train) {
      const known = [...question.match(/\d+/g)!, ...constants];
      for (const [number] of cot!.matchAll(/\d+/g)) expect(known).toContain(number);
      const given = question.match(/\d+/g)!;
      expect(new Set(given).size).toBe(given.length);
    }
  });

  test("is the same for the same seed and another for another", () => {
    expect(generateProblems(sizes, 1)).toEqual(problems);
    const other = generateProblems(sizes, 2);
    expect(other.test[0]!.question).not.toBe(problems.test[0]!.question);
  });

  test("keeps dev and test whatever the other sizes are; a smaller split starts a larger one", () => {
    const smaller = generateProblems({ ...sizes, train: 50, answerOnly: 0 }, 1);
    expect(smaller.test).toEqual(problems.test);
    expect(smaller.dev).toEqual(problems.dev);
    expect(smaller.train).toEqual(problems.train.slice(0, 50));
    expect(generateProblems({ ...sizes, test: 10 }, 1).train).toEqual(problems.train);
  });

  test("puts a distractor into about half of the problems", () => {
    const unused = problems.train.filter(({ question, cot }) => {
      const used = cot!.match(/\d+/g)!;
      return question.match(/\d+/g)!.some((number) => !used.includes(number));
    });
    expect(unused.length / 600).toBeGreaterThan(0.42);
    expect(unused.length / 600).toBeLessThan(0.56);
  });

  test("is short: 45 tokens a question and 24 a program with a vocabulary of 1,024", () => {
    const texts = all.map(({ question, cot }) => question + (cot ?? ""));
    const tokenizer = trainTokenizer(texts, 1024);
    const questions = all.map(({ question }) => tokenizer.encode(question).length);
    const programs = problems.train.map(({ cot }) => tokenizer.encode(cot!).length);
    expect(Math.max(...questions)).toBeLessThanOrEqual(45);
    expect(Math.max(...programs)).toBeLessThanOrEqual(24);
    const numbers = new Set(all.flatMap(({ question }) => question.match(/\d+/g)!));
    expect([...numbers].filter((number) => tokenizer.encode(` ${number}`).length > 1)).toEqual([]);
  });
});

describe.each(templates)("the template $name", (template) => {
  const rng = Rng.named(1, template.name);
  const many = Array.from({ length: 200 }, () => generateProblem(rng, template));

  test("fills every slot, in every wording, with a program that is right", () => {
    for (const { question, cot, answer } of many) {
      expect(question).not.toMatch(/[{}|#]|undefined/);
      expect(question).not.toMatch(/\b[Aa] [aeiou]/); // "a apple"
      expect(question).toMatch(/\?/);
      expect(runProgram(cot)).toBeCloseTo(answer, 9);
    }
  });

  test("has more than one wording, and numbers enough to tell wrong programs from right ones", () => {
    const wordings = new Set(many.map(({ question }) => question.replace(/\d+/g, "0")));
    expect(wordings.size).toBeGreaterThan(50);
    expect(new Set(many.map(({ answer }) => answer)).size).toBeGreaterThan(4);
  });
});

test("names are unique and there are at least 40 templates", () => {
  expect(new Set(templates.map(({ name }) => name)).size).toBe(templates.length);
  expect(templates.length).toBeGreaterThanOrEqual(40);
});
