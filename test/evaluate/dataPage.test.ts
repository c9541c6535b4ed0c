import { expect, test } from "vitest";
import { type DataCheck, dataPage } from "../../src/evaluate/dataPage.ts";

const lengths = { median: 88, at95: 1090, most: 12345, limit: 96, over: 1234 };
const example = {
  id: "t1",
  question: "How many apples are left? ".repeat(9),
  answer: 3,
  cot: "x = 3\n",
};
const check: DataCheck = {
  ...{ path: "data/of/some/length/train.jsonl", rows: 2843, isOwn: false, unit: "characters" },
  judged: [],
  lengths: [
    { name: "prompt", ...lengths },
    { name: "completion", ...lengths },
  ],
  shown: [{ example, verdict: undefined }],
  warning:
    "none of the rows that were looked at has a chain of thought that the reward calls right",
  decode: undefined,
  repeated: 2,
  others: [{ path: "data/of/some/length/dev.jsonl", rows: 200, same: 3, variants: 14 }],
};

test("fits narrow terminals, and is at most 80 columns wide", () => {
  const widthIn = (columns: number | undefined) =>
    Math.max(
      ...dataPage(check, columns)
        .split("\n")
        .map((line) => line.length),
    );
  expect(widthIn(60)).toBeLessThanOrEqual(60);
  expect(widthIn(80)).toBe(78);
  expect(dataPage(check, 200)).toBe(dataPage(check, 80));
  expect(dataPage(check, undefined)).toBe(dataPage(check, 80));
  expect(dataPage(check, 60)).toMatch(
    /\nLengths in characters +median +95 % +longest +limit +over it\n {2}prompt +88 +1090 +12345 +96 +1234\n/,
  );
});
