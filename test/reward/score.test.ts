import { describe, expect, test } from "vitest";
import type { Outcome } from "../../src/reward/outcome.ts";
import { scoreOutcome } from "../../src/reward/score.ts";

const answer = (value: number | string): Outcome => ({ kind: "answer", value });
const failures: Outcome[] = (["no-answer", "error", "timeout", "killed"] as const).map((kind) => ({
  kind,
  message: "",
}));
const infrastructure: Outcome = { kind: "infrastructure", message: "" };

const ours = { partialReward: 0.1, paperParity: false };
const authors = { partialReward: 0.1, paperParity: true };
const right = { score: 1, correct: true, extracted: true };
const wrong = { score: 0.1, correct: false, extracted: true };
const nothing = { score: 0, correct: false, extracted: false };

describe("scoreOutcome", () => {
  test("1 for the right number, within 0.01, as a number or as text", () => {
    expect(scoreOutcome(answer(3.333), 3.33, ours)).toEqual(right);
    expect(scoreOutcome(answer("1,000"), "1000.0", ours)).toEqual(right);
    expect(scoreOutcome(answer("$12.50"), 12.5, ours)).toEqual(right);
    expect(scoreOutcome(answer("7 apples"), "$7", ours)).toEqual(right);
  });

  test("0.1 for a wrong number, 0 for text that is no number", () => {
    expect(scoreOutcome(answer(4), 5, ours)).toEqual(wrong);
    expect(scoreOutcome(answer("4"), 5, ours)).toEqual(wrong);
    expect(scoreOutcome(answer("4 apples"), 5, ours)).toEqual(wrong);
    expect(scoreOutcome(answer("4 or 5"), 5, ours)).toEqual(nothing);
    expect(scoreOutcome(answer("four"), 5, ours)).toEqual(nothing);
    expect(scoreOutcome(answer("b"), 5, ours)).toEqual(nothing);
  });

  test("0 for every failure, whatever the mode, where a number is asked for", () => {
    for (const outcome of [...failures, infrastructure]) {
      expect(scoreOutcome(outcome, 5, ours)).toEqual(nothing);
      expect(scoreOutcome(outcome, "5", authors)).toEqual(nothing);
    }
  });

  test("multiple choice: 1 for the letter, 0.1 for another letter or a number, 0 for other text", () => {
    expect(scoreOutcome(answer("B"), "b", ours)).toEqual(right);
    expect(scoreOutcome(answer("c"), "b", ours)).toEqual(wrong);
    expect(scoreOutcome(answer(38), "b", ours)).toEqual(wrong);
    expect(scoreOutcome(answer("{}"), "b", ours)).toEqual(nothing);
  });

  test("multiple choice: a failing program earns 0 by default and 0.1 as in the authors' code", () => {
    for (const outcome of failures) {
      expect(scoreOutcome(outcome, "b", ours)).toEqual(nothing);
      expect(scoreOutcome(outcome, "b", authors)).toEqual(wrong);
    }
    expect(scoreOutcome(answer("{}"), "b", authors)).toEqual(wrong);
    expect(scoreOutcome(answer("b"), "b", authors)).toEqual(right);
  });

  test("a failure of the sandbox is no extracted answer in either mode", () => {
    expect(scoreOutcome(infrastructure, "b", ours)).toEqual(nothing);
    expect(scoreOutcome(infrastructure, "b", authors)).toEqual(nothing);
  });

  test("without the partial reward a wrong answer still counts as extracted", () => {
    const strict = { partialReward: 0, paperParity: false };
    expect(scoreOutcome(answer(4), 5, strict)).toEqual({ ...wrong, score: 0 });
  });
});
