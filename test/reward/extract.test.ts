import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { extractProgram } from "../../src/reward/extract.ts";
import { realData } from "../support/realData.ts";

const program = 'def solution():\n    """A question?"""\n    result = 2\n    return result';

describe("extractProgram", () => {
  test("cuts at the first blank line after the body starts", () => {
    expect(extractProgram(`${program}\n\nQuestion:\nWhat else?`)).toBe(program);
    expect(extractProgram(`${program}\n   \nprint(solution())`)).toBe(program);
  });

  test("a blank line inside the docstring is part of the question", () => {
    const text = 'def solution():\n    """One.\n\n    Two?"""\n    return 2';
    expect(extractProgram(`${text}\n\nmore`)).toBe(text);
  });

  test("a blank line before the first statement does not empty the program", () => {
    const text = 'def solution():\n    """A question?"""\n\n    return 2';
    expect(extractProgram(`${text}\n\nmore`)).toBe(text);
    expect(extractProgram("def solution():\n\n    return 3\n\nmore")).toBe(
      "def solution():\n\n    return 3",
    );
  });

  test("what stands before solution() is kept, blank lines and all", () => {
    const text = `import math\n\ndef half(x):\n    return x / 2\n\n${program}`;
    expect(extractProgram(`${text}\n\nmore`)).toBe(text);
  });

  test("an apostrophe or a quote inside a comment opens nothing", () => {
    const text = "def solution():\n    x = 2  # it's 2\n    return x";
    expect(extractProgram(`${text}\n\nmore`)).toBe(text);
  });

  test("Windows line ends and text without a program pass through", () => {
    expect(extractProgram("def solution():\r\n    return 1\r\n\r\nx")).toBe(
      "def solution():\n    return 1",
    );
    expect(extractProgram("no program here")).toBe("no program here");
    expect(extractProgram("")).toBe("");
  });

  test.skipIf(!realData)("leaves all 3,043 gold programs of SVAMP as they are", () => {
    const file = join(realData!, "svamp/svamp_python_sdp.json");
    const rows: { answer_cot: string }[] = JSON.parse(readFileSync(file, "utf8"));
    expect(rows).toHaveLength(3043);
    expect(rows.filter((row) => extractProgram(row.answer_cot) !== row.answer_cot)).toEqual([]);
  });
});
