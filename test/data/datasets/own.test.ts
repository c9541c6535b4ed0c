import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type OwnFiles, readOwn } from "../../../src/data/datasets/own.ts";
import { temporaryFolder } from "../../support/temporaryFolder.ts";

const folder = temporaryFolder();
function file(rows: readonly unknown[], name = "own.jsonl"): string {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}
const read = (rows: readonly unknown[], given: Partial<OwnFiles> = {}) =>
  readOwn({ from: file(rows), columns: {}, gold: "comparable", ...given });
const examplesIn = async (...given: Parameters<typeof read>) =>
  (await read(...given)).candidates.map(({ example }) => example);
async function messageFrom(reading: Promise<unknown>): Promise<string> {
  const message = await reading.then(
    () => "no error",
    (error) => (error as Error).message,
  );
  return message.replaceAll(`${folder}/`, "");
}

describe("forms of a row", () => {
  const example = { id: "a", question: "1 + 1?", cot: "It is 2.", answer: 2 };

  test.each([
    { id: "a", question: "1 + 1?", cot: "It is 2.", answer: 2 },
    { id: "a", prompt: "1 + 1?", completion: "It is 2.", answer: 2 },
    {
      id: "a",
      messages: [
        { role: "user", content: "1 + 1?" },
        { role: "assistant", content: "It is 2." },
      ],
      answer: 2,
    },
    {
      id: "a",
      prompt: [{ role: "user", content: "1 + 1?" }],
      completion: [{ role: "assistant", content: "It is 2." }],
      answer: 2,
    },
  ])("%j", async (row) => {
    expect(await examplesIn([row])).toEqual([example]);
  });

  test("columns with other names", async () => {
    const row = { nr: 7, problem: "1 + 1?", solution: "It is 2.", result: "2", unit: "m" };
    const columns = { id: "nr", question: "problem", cot: "solution", answer: "result" };
    expect(await examplesIn([row], { columns })).toEqual([
      { id: "7", question: "1 + 1?", cot: "It is 2.", answer: "2", unit: "m" },
    ]);
    expect((await read([row], { columns })).notes[0]).toMatch(
      /own\.jsonl: id from "nr", question from "problem", cot from "solution", answer from "result"$/,
    );
  });

  test("keeps a system turn and further columns, and says which one had to go", async () => {
    const turns = ["system", "user"].map((role) => ({ role, content: `${role}?` }));
    const row = { id: "a", messages: turns, answer: "72", result: 3, tags: ["x"] };
    const { candidates, notes } = await read([row], { columns: { answer: "result" } });
    expect(candidates[0]!.example).toEqual({
      id: "a",
      question: "user?",
      answer: 3,
      tags: ["x"],
      system: "system?",
    });
    expect(notes.at(-1)).toMatch(/the column "answer" is left out: another one has its place$/);
  });

  test("says what of a chat is not learned", async () => {
    const say = (more: object) => [
      { role: "user", content: "1?" },
      { role: "assistant", content: "1.", ...more },
    ];
    const turns = [{ reasoning_content: "One." }, { thinking: "One." }, { thinking: " " }, {}];
    const calls = [{ tool_calls: [] }, { tool_calls: [{ id: "a" }], reasoning: null }];
    const rows = [...turns, ...calls].map((more) => ({ messages: say(more), answer: 1 }));
    const { notes } = await read(rows);
    expect(notes.map((note) => /: 1 rows have "(\w+)" in their turns/.exec(note)?.[1])).toEqual([
      ...[undefined, undefined], // where the parts come from, and that ids are made
      ...["reasoning_content", "thinking", "tool_calls"],
    ]);
  });

  test("leaves out rows that cannot be used", async () => {
    const chat = (...roles: string[]) => roles.map((role) => ({ role, content: "1?" }));
    const rows = [
      { question: " ", answer: 1 },
      { question: "1?", answer: "" },
      { question: "1?", answer: null, cot: "x" },
      { question: "1?", answer: "blue" },
      { question: chat("user", "assistant", "user"), answer: 1 },
      { question: chat("user"), cot: chat("user"), answer: 1 },
      { question: "1?", cot: "\n", answer: 1 }, // has an answer alone
    ];
    const { candidates, rejections } = await read(rows);
    expect(rejections.map(({ line, reason }) => [line, reason.slice(0, 90)])).toEqual([
      [1, "no question"],
      [2, "no answer"],
      [3, "no answer"],
      [4, expect.stringMatching(/^expected one number .* or a choice/)],
      [5, expect.stringMatching(/^expected one question and at most one chain of thought/)],
      [6, expect.stringMatching(/^expected one question and at most one chain of thought/)],
    ]);
    expect(Object.keys(rejections[0]!)).toEqual(["line", "id", "reason"]);
    expect(candidates.map(({ line, example }) => [line, "cot" in example])).toEqual([[7, false]]);
    expect((await read([rows[3]], { gold: "any" })).candidates).toHaveLength(1);
  });
});

describe("ids that are made", () => {
  const content = fc.record({
    question: fc.constantFrom("a?", "b?"),
    cot: fc.constantFrom("x", "y"),
    answer: fc.constantFrom(1, 2),
  });

  test("do not depend on the order of the rows, and all differ", async () => {
    const shuffled = fc
      .array(content, { minLength: 1, maxLength: 12 })
      .chain((rows) =>
        fc.tuple(
          fc.constant(rows),
          fc.shuffledSubarray(rows, { minLength: rows.length, maxLength: rows.length }),
        ),
      );
    await fc.assert(
      fc.asyncProperty(shuffled, async ([rows, others]) => {
        const [one, other] = [await examplesIn(rows), await examplesIn(others)];
        expect(new Set(one.map(({ id }) => id)).size).toBe(rows.length);
        const sorted = (examples: typeof one) =>
          examples.toSorted((a, b) => (a.id < b.id ? -1 : 1));
        expect(sorted(other)).toEqual(sorted(one));
      }),
      { numRuns: 30 },
    );
  });

  test("12 and the text 12 make the same id, another answer another one", async () => {
    const ids = await examplesIn(["12", 12, 13].map((answer) => ({ question: "1?", answer })));
    expect(ids.map(({ id }) => id.replace(/^row-[0-9a-f]{12}/, ""))).toEqual(["", "-2", ""]);
  });
});

describe("mistakes", () => {
  test("of all files come in one message, with their places", async () => {
    const devFrom = file(
      [
        { question: "1?", answer: "blue" },
        { question: "So 2?", answer: 2 },
      ],
      "dev.jsonl",
    );
    const testFrom = file([{ question: " so\u00a02? ", answer: 2 }], "test.jsonl");
    const rows = [
      { id: "a", question: 1, answer: 1 },
      { id: "a", question: "1?", answer: 1 },
      { id: "a", question: "2?", answer: 1 },
      { id: ["b"], question: "2?", answer: 1 },
      { id: "c", question: [{ role: "user" }], answer: 1 },
    ];
    expect((await messageFrom(read(rows, { devFrom, testFrom }))).split("\n")).toEqual([
      "6 mistakes in the data; nothing was written:",
      '  own.jsonl:1: "question": expected a text, or turns {"role", "content"} with texts, found 1',
      '  own.jsonl:3: id "a" is already used at own.jsonl:2; give it another one',
      '  own.jsonl:4: expected an id that is a text or a number, found ["b"]',
      '  own.jsonl:5: "question": expected a text, or turns {"role", "content"} with texts, found [{"role":"user"}]',
      expect.stringMatching(
        /^ {2}dev\.jsonl:1: expected one number .*; correct the row or take it out$/,
      ),
      "  dev.jsonl:2: its question is in the test set, too; take it out of one of the two",
    ]);
  });

  test("numbers that JavaScript rounds are no ids", async () => {
    const path = join(folder, "long.jsonl");
    const write = (id: string) =>
      writeFileSync(path, `{"id": ${id}, "question": "1?", "answer": 1}\n`);
    write("12345678901234567891");
    expect(await messageFrom(read([], { from: path }))).toContain(
      "long.jsonl:1: expected an id of at most 15 digits",
    );
    write("9007199254740991");
    expect((await read([], { from: path })).candidates[0]!.example.id).toBe("9007199254740991");
  });

  test("are listed up to a bound", async () => {
    const rows = Array.from({ length: 50 }, () => ({ question: 1, answer: 1 }));
    const lines = (await messageFrom(read(rows))).split("\n");
    expect(lines).toHaveLength(22);
    expect(lines.at(-1)).toBe("  and 30 more");
  });

  test("a column that is not there is named once, with what there is", async () => {
    expect(
      await messageFrom(
        read([
          { problem: "1?", answer: 1 },
          { problem: "2?", answer: 1 },
        ]),
      ),
    ).toBe(
      'own.jsonl: expected a column "question" or "prompt" or "messages" for the question, found "problem", "answer"; name it with the option column question=NAME',
    );
    const columns = { cot: "solution" };
    const devFrom = file([{ question: "1?", answer: 1 }], "dev.jsonl");
    const rows = [{ question: "2?", answer: 1 }];
    expect(await messageFrom(read(rows, { columns, devFrom }))).toBe(
      'own.jsonl: expected a column "solution" for the cot, found "question", "answer"; name it with the option column cot=NAME',
    );
  });
});
