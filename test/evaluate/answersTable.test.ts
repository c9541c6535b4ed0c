import { expect, test } from "vitest";
import { answersTable } from "../../src/evaluate/answersTable.ts";
import type { Answer } from "../../src/generate/answer.ts";
import type { Verdict } from "../../src/reward/judge.ts";
import { widthOf } from "../../src/terminal.ts";

const question =
  "Tom has 12 apples and buys 7 more at the market. How many apples does he have now?";
const program = (last: string) =>
  `def solution():\n    """${question}"""\n    apples = 12\n    more = 7\n    ${last}\n`;

function answer(text: string, verdict: Partial<Verdict>, asked = question): Answer {
  const example = { id: "t1", question: asked, answer: 19 };
  const score = verdict.correct ? 1 : 0;
  const outcome = { kind: "answer", value: 19 } as const;
  return {
    question: { example, prompt: { tokens: [], prefixTokens: [] } },
    response: { tokens: [], logprobs: [], isTruncated: false },
    text,
    verdict: { outcome, correct: false, extracted: true, score, ...verdict },
  } as unknown as Answer;
}

const error = { kind: "error", message: "NameError: name 'more' is not defined" } as const;
const answers = [
  answer(program("return apples + more"), { correct: true }),
  answer(program("return apples"), { outcome: { kind: "answer", value: 12 } }),
  answer(program("return apples + more"), { correct: true }),
  answer(program("return more"), { outcome: error, score: 0.3456 }),
  answer(program("return 0"), { correct: true }),
];

test("has the first right and the first wrong answers, each with the end of what was written", () => {
  expect(answersTable(answers, 100).split("\n")).toEqual([
    "question                           answer                              gold  outcome",
    "Tom has 12 apples and buys 7 mor…  …12 more = 7 return apples + more   19    right",
    "Tom has 12 apples and buys 7 mor…  …12 more = 7 return apples + more   19    right",
    "Tom has 12 apples and buys 7 mor…  …pples = 12 more = 7 return apples  19    wrong: 12",
    "Tom has 12 apples and buys 7 mor…  …apples = 12 more = 7 return more   19    0.35 error: NameError:…",
  ]);
});

test.each([60, 80, 200])("fits %i columns, whatever a model writes", (columns) => {
  const wide = "数学".repeat(80);
  const all = [
    ...answers,
    answer("\x1b[2J\x1b]0;owned\x07\u202e\n\n\tx", { outcome: error }, "\x1b[31m?"),
    answer(wide, { correct: true }, wide),
  ];
  for (const some of [answers, all.slice(5), [all[5]!], [answer("", {}, "")]]) {
    const lines = answersTable(some, columns).split("\n");
    for (const line of lines) {
      expect(line).not.toMatch(/\p{C}/u);
      expect(widthOf(line)).toBeLessThanOrEqual(columns);
    }
  }
});
