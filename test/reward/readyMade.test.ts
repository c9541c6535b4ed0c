import { expect, test } from "vitest";
import type { JsonValue } from "../../src/data/json.ts";
import type { Outcome } from "../../src/reward/outcome.ts";
import { readyMade, usualReward } from "../../src/reward/readyMade.ts";
import { type Scorer, sumOf } from "../../src/reward/scorer.ts";
import type { RewardEntry } from "../../src/rewardConfig.ts";
import { answered } from "../support/answered.ts";

const options = { partialReward: 0, paperParity: false };
const answer = (value: JsonValue): Outcome => ({ kind: "answer", value });
const none: Outcome = { kind: "no-answer", message: "" };

const extracted = (outcome: Outcome, gold: JsonValue, text = "", tokens: number[] = []) => ({
  ...answered(text, gold),
  tokens,
  outcome,
});
const scored = (
  entry: Exclude<RewardEntry, { use: "file" }>,
  ...given: Parameters<typeof extracted>
) => readyMade(entry, options)(extracted(...given));

test("exact: the same text but for spaces around it, line ends and ways to write an accent", async () => {
  expect(
    await scored({ use: "exact" }, answer(" caf\u00e9\r\nau lait"), "cafe\u0301\nau lait "),
  ).toEqual({
    score: 1,
    correct: true,
    extracted: true,
    vote: "caf\u00e9\nau lait",
  });
  expect(await scored({ use: "exact" }, answer("Paris"), "paris")).toMatchObject({ score: 0 });
  const ignoring = { use: "exact", ignoreCase: true } as const;
  expect(await scored(ignoring, answer("Paris"), "paris")).toMatchObject({
    score: 1,
    vote: "paris",
  });
  expect(await scored({ use: "exact" }, answer("7"), 7)).toMatchObject({ correct: true });
  expect(await scored({ use: "exact" }, none, "")).toEqual({
    ...{ score: 0, correct: false, extracted: false, vote: null },
  });
});

test("json: the same value whatever the order of keys; a text that is JSON stands for what it says", async () => {
  const gold = { b: [1, 2.0], a: null };
  expect(await scored({ use: "json" }, answer({ a: null, b: [1, 2] }), gold)).toMatchObject({
    ...{ score: 1, vote: '{"a":null,"b":[1,2]}' },
  });
  expect(
    await scored({ use: "json" }, answer({ b: [1, 2], a: null }), JSON.stringify(gold)),
  ).toMatchObject({ score: 1 });
  expect(await scored({ use: "json" }, answer({ a: null, b: [2, 1] }), gold)).toMatchObject({
    score: 0,
  });
  expect(await scored({ use: "json" }, answer("yes"), "yes")).toMatchObject({ score: 1 });
});

test("without a setting text is compared exactly, JSON as JSON, all else by number or choice, with the partial reward", async () => {
  const usual = (form: Parameters<typeof usualReward>[0], outcome: Outcome, gold: JsonValue) =>
    usualReward(form, { partialReward: 0.1, paperParity: false })(extracted(outcome, gold));
  expect(await usual("text", answer("x 1"), "x 1")).toMatchObject({ score: 1 });
  expect(await usual("firstJson", answer([1]), [1])).toMatchObject({ score: 1 });
  expect(await usual("boxed", answer("\\frac{1}{2}"), 0.5)).toMatchObject({ score: 1 });
  expect(await usual("tags", answer("Paris"), 0.5)).toMatchObject({ score: 0, extracted: false });
  expect(await usual("json", answer([2]), [1])).toMatchObject({ score: 0.1, correct: false });
  expect(await usual("python", answer(3), 4)).toMatchObject({ score: 0.1, correct: false });
});

test("regex: the gold answer is an expression for all of the answer", async () => {
  expect(await scored({ use: "regex" }, answer("colour"), "colou?r")).toMatchObject({ score: 1 });
  expect(await scored({ use: "regex" }, answer("a colour"), "colou?r")).toMatchObject({ score: 0 });
  expect(() => scored({ use: "regex" }, answer("a"), "(")).toThrow(
    /row "q1": expected a regular expression/,
  );
  expect(() => scored({ use: "regex" }, answer("a"), 1)).toThrow(/row "q1": .*found 1/);
});

test("format: the whole text matches, line ends included", async () => {
  const entry = { use: "format", pattern: "<think>.*</think>\\s*<answer>.*</answer>" } as const;
  const text = "<think>\na\n</think>\n<answer>1</answer>";
  expect(await scored(entry, none, 1, text)).toMatchObject({ score: 1, correct: true });
  expect(await scored(entry, none, 1, `${text}!`)).toMatchObject({ score: 0, correct: false });
});

const tokens = (length: number) => Array.from({ length }, () => 5);

test("length: down to -1 at the limit", async () => {
  const entry = { use: "length", maxTokens: 10 } as const;
  for (const [length, score] of [
    [5, -0.5],
    [10, -1],
    [20, -1],
  ] as const)
    expect(await scored(entry, none, 1, "", tokens(length))).toMatchObject({
      score,
      correct: false,
    });
});

// DAPO's eq. 13 with L_max = 20 and L_cache = 4: 0 up to 16, then (16 - length) / 4 down to -1 at 20.
test("overlong: as DAPO's eq. 13", async () => {
  const entry = { use: "overlong", maxTokens: 20, bufferTokens: 4 } as const;
  for (const [length, score] of [
    [1, 0],
    [16, 0],
    [17, -0.25],
    [19, -0.75],
    [20, -1],
    [21, -1],
  ] as const)
    expect(await scored(entry, none, 1, "", tokens(length))).toMatchObject({ score });
});

test("a sum weighs its parts, logs each, and takes the rest from the first", async () => {
  const first: Scorer = () => ({
    score: 1,
    correct: true,
    extracted: true,
    vote: "v",
    logs: { words: 3 },
  });
  const second: Scorer = async () => ({ score: -0.5, correct: false, extracted: false, vote: "w" });
  const sum = sumOf([
    { name: "a", weight: 2, score: first },
    { name: "b", weight: 0.5, score: second },
    { name: "b", weight: 1, score: second },
  ]);
  expect(await sum(extracted(none, 1))).toEqual({
    score: 1.25,
    correct: true,
    extracted: true,
    vote: "v",
    logs: { a: 1, words: 3, b: -0.5, "b-2": -0.5 },
  });
});

test("a part that the sandbox could not run leaves the answer out", async () => {
  const infrastructure = { kind: "infrastructure", message: "no guest" } as const;
  const failed: Scorer = () => ({
    outcome: infrastructure,
    score: 0,
    correct: false,
    extracted: false,
  });
  const sum = sumOf([
    { name: "a", weight: 1, score: () => ({ score: 1, correct: true, extracted: true }) },
    { name: "b", weight: 1, score: failed },
  ]);
  expect(await sum(extracted(answer(1), 1))).toMatchObject({ outcome: infrastructure, score: 0 });
});
