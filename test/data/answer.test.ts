import { expect, test } from "vitest";
import { choiceOf, readAnswer } from "../../src/data/answer.ts";
import { extractWrittenAnswer } from "../../src/reward/writtenAnswer.ts";
import { processorSeconds } from "../support/processorSeconds.ts";

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
  "(B) 42",
  "B) 42",
  "b) 42",
  "b ) 42",
  "[B] 42",
  "B. 42",
  "B: 42",
  "(B) Paris",
  "**(B)** 42",
  "**B.** 42",
  "option (B) 42",
  "\\boxed{(B)\\ 42}",
  "\\boxed{\\text{(B) }42}",
  "\\boxed{\\textbf{(B)}\\ 42}",
  "\\mathbf{B.}\\ 42",
  "(B) 42 (a total)",
])(
  "%j is a choice as gold answer, as a program's text and as the end of a written answer",
  (text) => {
    const written = extractWrittenAnswer(`The answer is: ${text}`);
    expect([choiceOf(text), written]).toEqual(["b", { kind: "answer", value: "b" }]);
  },
);

test.each([
  "A.M.",
  "A/C",
  "A, B",
  "(A) or (B)",
  "a) 12 b) 13",
  "(A) 12, (B) 13",
  "A: 12, B: 13",
  "A. B",
  "a dog",
  "Ann) 5",
  "B 42",
  "e.g. 42",
  "(a+b) 2",
])("%j with a text behind it is no choice, or several", (text) => {
  expect([readAnswer(text), extractWrittenAnswer(`The answer is: ${text}`).kind]).toEqual([
    undefined,
    "no-answer",
  ]);
});

test.each(["A. Smith", "B: Paris", "E. coli"])("%j is a name, or a text of its own", (text) => {
  expect(readAnswer(text)).toBeUndefined(); // else A. Smith were equal to A. Jones
});

test("a letter that repeats without end is read in a moment", () => {
  const seconds = processorSeconds(() => {
    for (const part of ["a) ", "a) 1 b", "(", "*", "a. ", "a: }"]) {
      readAnswer(`(A) 1 ${part.repeat(20_000)}`);
      readAnswer(`(A${part.repeat(20_000)}`);
      extractWrittenAnswer(`The answer is: a) ${part.repeat(20_000)}`);
    }
  });
  expect(seconds).toBeLessThan(20);
});

test("readAnswer gives the number, else the choice, else nothing", () => {
  expect(readAnswer(" 12,345.6 ")).toBe(12345.6);
  expect(readAnswer("$5")).toBe(5);
  expect(readAnswer(5)).toBe(5);
  expect(readAnswer("(C)")).toBe("c");
  for (const nothing of ["yes", "nan", "", "5 or 6", "1e999", Number.NaN, Number.POSITIVE_INFINITY])
    expect(readAnswer(nothing)).toBeUndefined();
});
