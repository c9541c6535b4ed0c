// What scripts/add-distractors.ts puts into questions.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { addDistractor, distractorsOf, hasUnneededNumber } from "../scripts/distractors.ts";
import { Rng } from "../src/rng.ts";
import { runFile } from "./support/runFile.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";

const tom = "tom has 12 apples . he buys 7 more . how many apples does tom have ?";
const run = (args: readonly string[]) => runFile("scripts/add-distractors.ts", args);
const rng = () => Rng.named(1, "distractors");

test("a distractor is a statement with one number that refers to nothing before it", () => {
  const none = [
    "she has 3 cards . how many ?", // refers back
    "ann has 3 cards and 4 pens . how many ?", // two numbers
    "the mp3 player is new . how many ?", // not a number of its own
    "for $3 . how many ?", // too short
    "how many of the 5 cards are red ?", // the question itself
  ];
  expect(distractorsOf([...none, tom, tom])).toEqual(["tom has 12 apples ."]);
});

test("it stands where no pronoun comes to refer to it", () => {
  const places = new Set<string>();
  const draws = rng();
  for (let i = 0; i < 20; i++) places.add(addDistractor(tom, ["ann has 3 red cards ."], draws)!);
  expect([...places].toSorted()).toEqual([
    "ann has 3 red cards . tom has 12 apples . he buys 7 more . how many apples does tom have ?",
    "tom has 12 apples . he buys 7 more . ann has 3 red cards . how many apples does tom have ?",
  ]);
});

test.each(["tom has 3 cards .", "ann has 3 apples .", "ann has 12 cards .", "ann has 7.0 cards ."])(
  "what shares a word or a number with the question does not fit: %s",
  (sentence) => expect(addDistractor(tom, [sentence], rng())).toBeUndefined(),
);

test("a number is needed where it stands below the docstring, written in any way, but not in a name", () => {
  const program = (body: string) => `def solution():\n    """${tom}"""\n    ${body}`;
  expect(hasUnneededNumber(tom, program("return 12.0 + 7"))).toBe(false);
  expect(hasUnneededNumber(tom, program("num_7 = 12\n    return num_7"))).toBe(true);
});

test("program and answer stay, the docstring follows, and answers.jsonl has no programs", () => {
  const data = temporaryFolder();
  const row = (id: string, question: string) => ({
    id,
    question,
    cot: `def solution():\n    """${question}"""\n    return 19`,
    answer: 19,
  });
  const ann = "ann has 3 red cards . how many cards are red ?";
  const train = [row("a", tom), row("b", ann)].map((value) => `${JSON.stringify(value)}\n`);
  writeFileSync(join(data, "train.jsonl"), train.join(""));
  writeFileSync(
    join(data, "dev.jsonl"),
    `${JSON.stringify({ id: "c", question: tom, answer: 19 })}\n`,
  );
  const output = join(temporaryFolder(), "distractors");
  const { status, stdout } = run(["--data", data, "--output", output]);
  expect([status, stdout]).toEqual([
    0,
    "2 of 2 questions have a number that their program does not use\ntrain.jsonl: 2 rows\nanswers.jsonl: 2 rows\ndev.jsonl: 1 rows\n",
  ]);
  const read = (name: string) =>
    readFileSync(join(output, name), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  const [varied] = read("train.jsonl");
  expect(varied.question).toMatch(/^(tom .*|ann has 3 red cards \. tom .*)$/);
  expect(varied.question).toContain("ann has 3 red cards .");
  expect(varied).toEqual(row("a-distractor", varied.question));
  expect(read("answers.jsonl")[0]).toEqual({
    id: "a-distractor",
    question: varied.question,
    answer: 19,
  });
  expect(read("dev.jsonl")[0].answer).toBe(19);
});

test("a row without a program that begins with its question is refused by name", () => {
  const data = temporaryFolder();
  const row = { id: "a", question: tom, cot: "Therefore, the answer is: 19", answer: 19 };
  writeFileSync(join(data, "train.jsonl"), `${JSON.stringify(row)}\n`);
  const args = ["--data", data, "--output", join(temporaryFolder(), "new")];
  const { status, stderr } = run(args);
  expect(status).toBe(1);
  expect(stderr).toBe(
    `add-distractors: ${join(data, "train.jsonl")}: a: expected a program with its question as docstring\n`,
  );
});
