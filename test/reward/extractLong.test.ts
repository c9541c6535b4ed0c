// Texts whose shape made the search for a program take time that grows with the square of their length, or the stack overflow.
import { expect, test } from "vitest";
import { extractProgram } from "../../src/reward/extract.ts";
import { processorSeconds } from "../support/processorSeconds.ts";

const simple = "def solution():\n    a = 3\n\n    return a";

test("a long text is searched in a moment, whatever it repeats", () => {
  const seconds = processorSeconds(() => {
    const chain = Array.from({ length: 3000 }, (_, i) => `a${i} = a${i + 1}\n`).join("");
    expect(extractProgram(`def solution():\n    return a0\n${chain}`)).toContain("a3000");
    for (const part of [
      ...["It's prose.\n", "So 3 + 4 = 7 (see below\n", "f(a,\n", "x = 3\nprose here\n"],
      ...["x=1;", '"""\n', "def solution(\n", "</s>", "</code> ", "<answer>", "x<code>"],
    ]) {
      const long = part.repeat(30_000 / part.length);
      expect(extractProgram(`${simple}\n${long}`)).toMatch(/^def solution\(\):\n {4}a = 3/);
      extractProgram(`${long}\n${simple}`);
    }
  });
  expect(seconds).toBeLessThan(20);
});

test("what is nested too deep for the grammar, and for Python, is left as it is", () => {
  const seconds = processorSeconds(() => {
    for (const [open, close] of [
      ["[", ""],
      ["f(", ")"],
      ["", "()"],
      ["-", ""],
    ] as const) {
      const deep = `${open.repeat(20_000)}a${close.repeat(20_000)}`;
      expect(extractProgram(`def solution():\n    return ${deep}`)).toContain(deep);
    }
  });
  expect(seconds).toBeLessThan(20);
});
