// Programs as models write them, found in their completions, run in the real sandbox and judged.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createJudge, type Judge } from "../../src/reward/judge.ts";
import { createSandbox, type Sandbox } from "../../src/reward/sandbox/sandbox.ts";
import { answered } from "../support/answered.ts";

let sandbox: Sandbox;
let judge: Judge;
beforeAll(async () => {
  sandbox = await createSandbox({ timeoutSeconds: 10, workers: 1, memoryMegabytes: 512 });
  judge = createJudge(sandbox, "python");
});
afterAll(() => sandbox.close());

const program =
  "import sys\nsys.setrecursionlimit(2000)\n\ndef solution():\n    a = 3\n\n    return add(a, TERM)";
const helpers =
  "\n\nTERM = 4\n\ndef add(x, y):\n    # It's a sum.\n\n    return x + y\n\nclass Unused:\n    size: int = 3\n";

test.each([
  ["a blank line within", "def solution():\n    a = 3 + 4\n\n    return a"],
  ["helpers after it", program + helpers],
  ["helpers within", "def solution():\n    def f(x):\n\n        return x + 4\n\n    return f(3)"],
  ["a fence after it", "def solution():\n    return 7\n```\n"],
  ["a fence around it", `Sure:\n\`\`\`python\n${program}${helpers}\`\`\`\nIt's 7.`],
  ["tabs and Windows line ends", "def solution():\r\n\ta = 3\r\n\r\n\treturn a + 4\r\n"],
  [
    "names in Greek",
    "def solution():\n    naïve_ünits = 3\n    π = 4\n    return naïve_ünits + π\n",
  ],
  ["an exit behind it", "def solution():\n    return 7\nexit()\n"],
  ["its call and a print", "def solution():\n    return 7\nprint(solution())\nprint(missing)"],
  [
    "another program",
    "def solution():\n    return 7\n\nQuestion:\nMore?\ndef solution():\n    return 8",
  ],
  ["a docstring that asks twice", 'def solution():\n    """One.\n\nTwo?"""\n\n    return 7'],
  ["a decorator", "import functools\n@functools.cache\ndef solution() -> int:\n    return 7"],
])("a program with %s comes to 7", async (_, text) => {
  expect((await judge(answered(text, 7))).outcome).toEqual({ kind: "answer", value: 7 });
});

test.each([
  ["no-answer", "def solution():\n    print(7)\n"],
  ["error", "def solution(n):\n    return n\n"],
  ["error", "def solution():\n    return int(input())\n"],
  ["error", "def solution():\n    a = 3 +\n    return 7"],
  ["error", "def solution():\n    return 7 apples"],
  ["error", "I do not know."],
])("the outcome is %s for %j", async (kind, text) => {
  expect((await judge(answered(text, 7))).outcome.kind).toBe(kind);
});

test("a program comes to the same, wherever the text behind it was cut off", async () => {
  const rest = `${helpers}\n@property\ndef more(x=[1, 2], *rest):\n    try:\n        import math as m\n    except (KeyError, ValueError) as e:\n        raise e\n    return {"a": f"{x}"}["a"] if x else lambda y: y\n`;
  const own = program.replace("add(a, TERM)", "a + 4");
  const outcomes = await Promise.all(
    Array.from(rest, (_, cut) => judge(answered(own + rest.slice(0, cut), 7))),
  );
  expect(outcomes.filter(({ correct }) => !correct)).toEqual([]);
});
