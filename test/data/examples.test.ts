import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readExamples } from "../../src/data/examples.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const path = join(temporaryFolder(), "x.jsonl");
const read = (...lines: string[]) => {
  writeFileSync(path, lines.join("\n"));
  return readExamples(path);
};

test("an example has an id, a question, an answer and perhaps a chain of thought", () => {
  expect(
    read(
      '{"id":"1","question":"q","answer":14.5}',
      '{"id":"2","question":"q","cot":"c","answer":"b"}',
    ),
  ).toEqual([
    { id: "1", question: "q", answer: 14.5 },
    { id: "2", question: "q", cot: "c", answer: "b" },
  ]);
});

test.each([
  ['{"id":"1","question":"q","answer":null}', '"answer": expected a number or a text, found null'],
  ['{"id":"1","question":"q","answer":""}', '"answer": expected one number'],
  [
    '{"id":"1","question":"q","answer":"yes"}',
    '"answer": expected one number (12, "1,234", "$5", "3/4", "7 apples") or a choice (a to e), which alone can be compared ' +
      'with answers, found "yes"; write it as a number or leave the question out',
  ],
  ['{"id":"1","question":"q","answer":"nan"}', '"answer": expected one number'],
  ['{"id":"1","question":"q","answer":"5 or 6"}', '"answer": expected one number'],
  ['{"id":"1","question":"q","answer":1e999}', '"answer"'],
  [
    `{"id":"1","question":"q","answer":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
    "nested deeper than 128 levels",
  ],
  [
    '{"id":"1","question":"  ","answer":1}',
    '"question": expected a text, found "  ", which is blank; correct the row or take it out',
  ],
  ['{"id":"1","question":"\\n","answer":1}', '"question": expected a text'],
  ['{"id":"1","question":"\\u200b","answer":1}', '"question": expected a text'],
  ['{"id":"1","question":"q","cot":" ","answer":1}', '"cot": expected a text, found " "'],
  ['{"id":1,"question":"q","answer":1}', '"id": expected a text, found 1'],
  ['{"id":"1","question":"q","cot":null,"answer":1}', '"cot": expected a text, found null'],
  ['{"question":"q","answer":1}', '"id" is missing, expected a text'],
  ['{"id":"1","question":"q"}', '"answer" is missing, expected a number or a text'],
])("%.60s is refused", (line, message) => {
  expect(() => read(line)).toThrow(`${path}:1: ${message}`);
});

test("an answer may be any text that states one number, and is kept as it is written", () => {
  const answers = ["$12", "1/2", "1,234", "5 apples", "−5", "1 000", "50%", "3½", "B"];
  const lines = answers.map((answer, id) => JSON.stringify({ id: `${id}`, question: "q", answer }));
  expect(read(...lines).map(({ answer }) => answer)).toEqual(answers);
});

test("columns that the project does not know stay in the row", () => {
  const row = { id: "1", question: "q", answer: 1, level: 3, tags: ["a"], prompt: "p" };
  expect(read(JSON.stringify(row))).toEqual([row]);
});

test("for a reward that compares otherwise a gold answer may be any text or JSON value", () => {
  const answers = ["yes", "", { a: [1, null] }, [], null, true, 3];
  const lines = answers.map((answer, id) => JSON.stringify({ id: `${id}`, question: "q", answer }));
  writeFileSync(path, lines.join("\n"));
  expect(readExamples(path, "any").map(({ answer }) => answer)).toEqual(answers);
  writeFileSync(path, '{"id":"1","question":"q"}');
  expect(() => readExamples(path, "any")).toThrow(
    `${path}:1: "answer" is missing, expected any text or JSON value`,
  );
  writeFileSync(path, '{"id":"1","question":"q","answer":{"a":[1e400]}}');
  expect(() => readExamples(path, "any")).toThrow(
    `${path}:1: "answer": expected any text or JSON value of finite numbers`,
  );
});

test.each([
  [{ messages: [{ role: "user", content: "1 + 1?" }], answer: 2 }, '"messages"'],
  [{ prompt: "1 + 1?", completion: "It is 2.", answer: 2 }, '"prompt" and "completion"'],
  [{ prompt: "1 + 1?", answer: 2 }, '"prompt"'],
])("a row of another form is refused with what makes one of ours of it: %j", (row, found) => {
  expect(() => read(JSON.stringify(row))).toThrow(
    `:1: expected the columns "id", "question", "answer" and, to train on, "cot", found ${found}: bring the file into this form ` +
      "with `reft prepare-data own --from FILE` (docs/data.md)",
  );
});

test("an id that is used twice is refused with both lines", () => {
  const line = '{"id":"1","question":"q","answer":1}';
  expect(() => read(line, "", line)).toThrow(`${path}:3: id "1" is already used on line 1`);
});
