import { afterEach, describe, expect, test, vi } from "vitest";
import { checkGold, judgeGold } from "../../src/evaluate/checkGold.ts";
import type { Judge } from "../../src/reward/judge.ts";
import { createJudge } from "../../src/reward/judge.ts";
import type { Outcome } from "../../src/reward/outcome.ts";
import { fakeSandbox } from "../support/fakeSandbox.ts";

/** A program of which one can read what it comes to. */
const programOf = (value: number | string) => `def solution():\n    a = 1\n\n    return ${value}`;
const outcomeOf = (program: string): Outcome => {
  const value = /return (.*)/.exec(program)?.[1];
  if (value === "down") return { kind: "infrastructure", message: "no guest boots" };
  if (value === undefined) return { kind: "error", message: "SyntaxError: bad" };
  return { kind: "answer", value: Number(value) };
};
const judge = createJudge(fakeSandbox(outcomeOf), "python");

const row = (id: number, cot: string | undefined, answer: number | string = id) => ({
  id: `t${id}`,
  question: "?",
  ...(cot !== undefined && { cot }),
  answer,
});
const right = [1, 2, 3, 4].map((value) => row(value, programOf(value)));

describe("checkGold", () => {
  const warn = vi.spyOn(console, "error").mockImplementation(() => {});
  afterEach(() => warn.mockClear());
  const check = (...rows: ReturnType<typeof row>[]) => checkGold("train.jsonl", rows, judge);

  test("says nothing where all come to their answers, or have none to run", async () => {
    await check(...right, row(5, undefined), row(6, programOf("down")));
    expect(warn).not.toHaveBeenCalled();
  });

  test("names what does not come to its answer, with what it comes to", async () => {
    await check(...right, row(5, programOf(22), 999), row(6, programOf("nothing")));
    expect(warn).toHaveBeenCalledExactlyOnceWith(
      "warning: train.jsonl: 2 of 6 gold chains of thought do not come to their answers, judged as a model's are: " +
        'correct these rows or leave them out\n  "t5": expected the answer 999, found 22\n  "t6": expected the answer 6, found NaN',
    );
  });

  test("shows the first five", async () => {
    const wrong = [5, 6, 7, 8, 9, 10, 11].map((id) => row(id, "def solution()"));
    await expect(check(...wrong)).rejects.toThrow(
      /7 of 7 gold.*"t5": error: SyntaxError: bad\n.*"t9".*\n {2}and 2 more$/s,
    );
  });

  test("is an error where more than half do not", async () => {
    const wrong = [5, 6, 7, 8].map((id) => row(id, programOf(22)));
    await check(...right, ...wrong);
    expect(warn).toHaveBeenCalledOnce();
    await expect(check(...right, ...wrong, row(9, programOf(22)))).rejects.toThrow(/5 of 9/);
  });

  test("reads written answers as the judge does", async () => {
    const written = createJudge(fakeSandbox(outcomeOf), "nl");
    const rows = [row(5, "Therefore, the answer is: 5"), row(6, "Therefore, the answer is: 7")];
    await checkGold("train.jsonl", rows, written);
    expect(warn.mock.calls[0]![0]).toMatch(/1 of 2.*"t6": expected the answer 6, found 7$/s);
  });
});

test("progress is shown only where judging takes longer than a moment", async () => {
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation(() => true);
  await judgeGold(right, judge);
  expect(stderr).not.toHaveBeenCalled();
  const now = vi.spyOn(performance, "now");
  const slow: Judge = async (answered) => {
    now.mockReturnValue(1e9);
    return judge(answered);
  };
  await judgeGold(right, slow);
  expect(stderr).toHaveBeenLastCalledWith(
    expect.stringMatching(/^Gold chains of thought 4\/4 100%/),
  );
  vi.restoreAllMocks();
});
