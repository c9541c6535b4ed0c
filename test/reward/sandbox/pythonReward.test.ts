// Rewards in Python, in the real sandbox.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pythonReward, readPythonReward } from "../../../src/reward/pythonReward.ts";
import { createSandbox, type Sandbox } from "../../../src/reward/sandbox/sandbox.ts";
import { answered } from "../../support/answered.ts";
import { temporaryFolder } from "../../support/temporaryFolder.ts";

const file = join(temporaryFolder(), "mine.py");
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ timeoutSeconds: 1, workers: 1, memoryMegabytes: 256 });
});
afterAll(() => sandbox.close());

const open = (source: string) => {
  writeFileSync(file, source);
  return pythonReward(readPythonReward(file), sandbox);
};
const score = async (source: string, text: string, more: object = {}) =>
  (await open(source))({
    ...answered(text, 3, more),
    outcome: { kind: "answer", value: 3 },
  });

test("score(answer, row) gets the text and the whole row, and gives a score or more", async () => {
  const level = 'def score(answer, row):\n    return len(answer) * row["level"] / row["answer"]\n';
  expect(await score(level, "four", { level: 6 })).toEqual({
    ...{ score: 8, correct: true, extracted: true },
  });
  const more = `
import re
def score(answer, row):
    found = re.findall(r"\\d+", answer)
    return {"score": 0.5, "correct": len(found) > 0, "vote": found[-1], "logs": {"numbers": len(found)}}`;
  expect(await score(more, "1 or 22")).toEqual({
    ...{ score: 0.5, correct: true, extracted: true, vote: "22", logs: { numbers: 2 } },
  });
  expect(await score("def score(answer, row): return answer == 'a'", "a")).toMatchObject({
    score: 1,
  });
});

test("the text that is judged is data, whatever it says", async () => {
  const echo = 'def score(answer, row):\n    return {"score": 0, "vote": answer}\n';
  const texts = [
    '")\ndef score(answer, row): return 1\n#',
    "'''\"\"\"\\\\\\n\\u0041{}",
    "\0\u001b[2J\u2028\u{1f600}\t\r\n",
    "import sympy, zoneinfo",
    "x".repeat(15_000),
  ];
  const scorer = await open(echo);
  for (const text of texts) {
    const outcome = { kind: "answer", value: 3 } as const;
    expect(await scorer({ ...answered(text, 3), outcome })).toMatchObject({ score: 0, vote: text });
  }
});

test.each([
  ["def score(answer, row):\n    return 1 / 0\n", "ZeroDivisionError: division by zero (line 2)"],
  ['def score(answer, row): return float("nan")', 'needed, found "nan"'],
  ["def score(answer, row): return {'score': {1}}", 'found {"score":"{1}"}'],
  ["def score(answer, row): return None", "expected a finite number"],
  [
    "def score(answer, row): return {'score': 1, 'logs': {'score': 1}}",
    'another name than "score"',
  ],
  ["def score(answer, row):\n    while True: pass\n", "no answer within 1 s of processor time"],
  [
    "def score(answer, row):\n    import os\n    os.system('true')\n    return 1\n",
    "which the sandbox closes",
  ],
])("%j ends in one message with the row's id", async (source, problem) => {
  const failure = score(source, "x");
  await expect(failure).rejects.toThrow(`the reward ${file} failed on row "q1": `);
  await expect(failure).rejects.toThrow(problem);
});

test("an error's text is cut short", async () => {
  const source = "def score(answer, row):\n    raise KeyError('z' * 10**6)\n";
  const message = await score(source, "x").catch((error: Error) => error.message);
  expect(String(message).length).toBeLessThan(700);
});

test.each([
  ["def scor(answer, row): return 1\n", "NameError: name 'score' is not defined (line 1)"],
  ["\ndef score(answer, row):\n", "expected an indented block after function definition on line 2"],
  ["\ndef score(answer, row):\n", "line 2)"],
  ["def score(", "SyntaxError"],
  ["import numpy", "numpy"],
])("%j is refused before anything is scored", async (source, problem) => {
  await expect(open(source)).rejects.toThrow(`the reward ${file} cannot be loaded: `);
  await expect(open(source)).rejects.toThrow(problem);
});
