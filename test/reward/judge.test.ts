import { expect, test } from "vitest";
import { createJudge } from "../../src/reward/judge.ts";
import type { Outcome } from "../../src/reward/outcome.ts";
import { answered } from "../support/answered.ts";

const options = { partialReward: 0.1 };

function recordingSandbox(outcome: Outcome) {
  const programs: string[] = [];
  const run = async (program: string) => {
    programs.push(program);
    return outcome;
  };
  return { programs, sandbox: { run, close: async () => {} } };
}

test("a program is cut where it ends, run, and its answer compared", async () => {
  const { programs, sandbox } = recordingSandbox({ kind: "answer", value: 4 });
  const judge = createJudge(sandbox, "python", options);
  const verdict = await judge(answered("def solution():\n    return 4\n\nQuestion:", "4.0"));
  expect(programs).toEqual(["def solution():\n    return 4"]);
  expect(verdict).toMatchObject({ score: 1, correct: true, outcome: { kind: "answer", value: 4 } });
});

test("with paperParity a program ends at its first blank line", async () => {
  const { programs, sandbox } = recordingSandbox({ kind: "answer", value: 4 });
  const text = "def solution():\n    a = 4\n\n    return a";
  await createJudge(sandbox, "python", { paperParity: true })(answered(text, 4));
  await createJudge(sandbox, "python")(answered(text, 4));
  expect(programs).toEqual(["def solution():\n    a = 4", text]);
});

test("a written answer is read, and nothing is run", async () => {
  const { programs, sandbox } = recordingSandbox({ kind: "answer", value: 4 });
  const judge = createJudge(sandbox, "nl", options);
  expect(await judge(answered("Therefore, the answer is: 5", 4))).toMatchObject({ score: 0.1 });
  expect(programs).toEqual([]);
});

test("the same program runs once, unless its failure depends on the machine", async () => {
  for (const [kind, runs] of [
    ["error", 1],
    ["timeout", 2],
    ["infrastructure", 2],
  ] as const) {
    const { programs, sandbox } = recordingSandbox({ kind, message: "" });
    const judge = createJudge(sandbox, "python", options);
    await judge(answered("def solution(): pass", 4));
    await judge(answered("def solution(): pass", 5));
    expect(programs).toHaveLength(runs);
  }
});
