import { expect, test } from "vitest";
import { choiceOf, readAnswer } from "../../src/data/answer.ts";
import { extractWrittenAnswer } from "../../src/reward/writtenAnswer.ts";

test("choiceOf names one of a to e", () => {
  expect(choiceOf(' "E". ')).toBe("e");
  expect(choiceOf("(b)")).toBe("b");
  expect(choiceOf("ab")).toBeUndefined();
  expect(choiceOf("f")).toBeUndefined();
  expect(choiceOf(5)).toBeUndefined();
});

test.each([
  "B",
  "(b",
  "b.",
  "b;",
  "“b”",
  "<b>.",
  "**(B)**",
  "['b']",
  "`b`",
  "$\\boxed{\\text{B}}$",
  "Ｂ",
])(
  "%j is a choice as gold answer, as a program's text and as the end of a written answer",
  (text) => {
    const written = extractWrittenAnswer(`The answer is: ${text}`);
    expect([choiceOf(text), written]).toEqual(["b", { kind: "answer", value: "b" }]);
  },
);

test("readAnswer gives the number, else the choice, else nothing", () => {
  expect(readAnswer(" 12,345.6 ")).toBe(12345.6);
  expect(readAnswer("$5")).toBe(5);
  expect(readAnswer(5)).toBe(5);
  expect(readAnswer("(C)")).toBe("c");
  for (const nothing of ["yes", "nan", "", "5 or 6", "1e999", Number.NaN, Number.POSITIVE_INFINITY])
    expect(readAnswer(nothing)).toBeUndefined();
});
