// Texts whose shape made the search for a program take time that grows with the square of their length, or the stack overflow.
import { expect, test } from "vitest";
import { extractProgram } from "../../src/reward/extract.ts";
import { processorSeconds } from "../support/processorSeconds.ts";

/** The program in a text, which has to be found within some seconds. */
function soonExtracted(text: string): string {
  let program = "";
  const seconds = processorSeconds(() => {
    program = extractProgram(text);
  });
  expect(seconds, text.slice(0, 80)).toBeLessThan(5);
  return program;
}

const simple = "def solution():\n    a = 3\n\n    return a";

test("a long text is searched in a moment, whatever it repeats", () => {
  const chain = Array.from({ length: 3000 }, (_, i) => `a${i} = a${i + 1}\n`).join("");
  expect(soonExtracted(`def solution():\n    return a0\n${chain}`)).toContain("a3000");
  for (const part of [
    ...["It's prose.\n", "So 3 + 4 = 7 (see below\n", "f(a,\n", "x = 3\nprose here\n"],
    ...["x=1;", '"""\n', "def solution(\n", "</s>", "</code> ", "<answer>", "x<code>"],
  ]) {
    const long = part.repeat(30_000 / part.length);
    expect(soonExtracted(`${simple}\n${long}`)).toMatch(/^def solution\(\):\n {4}a = 3/);
    soonExtracted(`${long}\n${simple}`);
  }
});

test("what is nested too deep for the grammar, and for Python, is left as it is", () => {
  for (const [open, close] of [
    ["[", ""],
    ["f(", ")"],
    ["", "()"],
    ["-", ""],
  ] as const) {
    const deep = `${open.repeat(20_000)}a${close.repeat(20_000)}`;
    expect(soonExtracted(`def solution():\n    return ${deep}`)).toContain(deep);
  }
});
