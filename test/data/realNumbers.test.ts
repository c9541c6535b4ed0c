// The numbers of public data sets, as they are written there.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { leadingNumberOf, numberOf } from "../../src/data/number.ts";
import { realData } from "../support/realData.ts";

const text = (file: string) => readFileSync(join(realData!, file), "utf8");
const records = (name: string): Record<"item_id" | "question" | "answer_value", string>[] =>
  JSON.parse(text(`${name}.json`));
const gsm8kAnswers = (name: string) =>
  [...text(`gsm8k/${name}.jsonl`).matchAll(/\\n####([^"]*)"/g)].map(([, answer]) => answer!);

describe.skipIf(realData === undefined)("on the real files (REFT_DATA)", () => {
  // All are plain numerals, at most with commas, which JavaScript's own reader of numbers can be asked about.
  test.each([
    ["svamp_nl", 3076, () => records("svamp/svamp_nl").map((row) => row.answer_value)],
    ["svamp_test_set", 1000, () => records("svamp/svamp_test_set").map((row) => row.answer_value)],
    ["gsm8k train", 7473, () => gsm8kAnswers("train")],
    ["gsm8k test", 1319, () => gsm8kAnswers("test")],
    [
      "mathqa-numeric",
      1605,
      () => records("mathqa/mathqa-numeric_test_set").map((row) => row.answer_value),
    ],
  ])(
    "all gold answers of %s, %i, are the numbers that they are without commas",
    (_, count, read) => {
      const golds = read();
      expect(golds).toHaveLength(count);
      expect(golds.map(numberOf)).toEqual(golds.map((gold) => Number(gold.replaceAll(",", ""))));
    },
  );

  test("of 1,576 right choices of MathQA 1,498 state a number, and 1,491 the one published", () => {
    const published = new Map(
      records("mathqa/mathqa-numeric_test_set").map((row) => [
        row.item_id.split("_")[1],
        Number(row.answer_value),
      ]),
    );
    const choices = records("mathqa/mathqa_test_set").flatMap((row) => {
      const listed = row.question
        .split("\n")
        .at(-1)!
        .matchAll(/([a-e]) \) (.*?)(?= , [a-e] \)|$)/g);
      const [, , choice] = [...listed].find(([, letter]) => letter === row.answer_value) ?? [];
      return choice === undefined
        ? []
        : [{ choice, gold: published.get(row.item_id.split("_")[1])! }];
    });
    expect(choices).toHaveLength(1576);
    const read = choices.flatMap(({ choice, gold }) => {
      const value = leadingNumberOf(choice);
      return value === undefined ? [] : [{ choice, gold, value }];
    });
    expect(read).toHaveLength(1498);
    // In these it is the published number that lost a sign, or what stands behind a comma.
    expect(read.filter(({ gold, value }) => Math.abs(gold - value) > 0.01)).toEqual([
      { choice: "− 120", gold: 120, value: -120 },
      { choice: "$ 1,354", gold: 1, value: 1354 },
      { choice: "$ 3,375", gold: 3, value: 3375 },
      { choice: "− 60", gold: 60, value: -60 },
      { choice: "13,400", gold: 13, value: 13400 },
      { choice: "- 6", gold: 6, value: -6 },
      { choice: "4,000", gold: 4, value: 4000 },
    ]);
  });
});
