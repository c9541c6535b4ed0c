import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import { completionsIn, readCompletions } from "../../src/report/completions.ts";
import { completion, makeRun } from "../support/reportRun.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const right = { kind: "answer", value: 7 };
const wrong = { kind: "answer", value: 8 };

function run(completions: Readonly<Record<number, readonly object[]>>): string {
  return makeRun(join(temporaryFolder(), "reft"), { figures: [{}], completions });
}

const read = (folder: string, maxBytes = 1e6) =>
  readCompletions(completionsIn(folder, "reft"), maxBytes);

test("counts how completions ended at each step, and keeps each text once", () => {
  const folder = run({
    0: [
      completion("a", "return 8", wrong),
      completion("b", "x", { kind: "error", message: "boom" }),
    ],
    10: [
      completion("a", "return 7", right),
      completion("b", "x", { kind: "timeout", message: "" }),
    ],
  });
  const { sets, notes } = read(folder);
  expect(notes).toEqual([]);
  expect(sets).toHaveLength(1);
  const [set] = sets;
  expect(set).toMatchObject({ title: "reft: dev questions", steps: [0, 10] });
  expect(set!.counts).toEqual([
    [0, 1, 0, 1, 0, 0, 0],
    [1, 0, 0, 0, 1, 0, 0],
  ]);
  expect(set!.questions.map(({ id }) => id)).toEqual(["a", "b"]);
  expect(set!.texts).toEqual(["return 8", "8", "x", "boom", "return 7", "7", ""]);
  expect(set!.rows.question).toEqual([0, 1, 0, 1]);
  expect(set!.rows.text.map((place) => set!.texts[place])).toEqual([
    ...["return 8", "x", "return 7", "x"],
  ]);
});

test("of too many, whole questions are left out, and a sentence says so; counts are of all", () => {
  const ids = Array.from({ length: 100 }, (_, i) => `q${i}`);
  const all = (text: string) => ids.map((id) => completion(id, text.padEnd(500), wrong));
  const folder = run({ 0: all("first"), 5: all("second") });
  const { sets, notes } = read(folder, 30_000);
  const [set] = sets;
  expect(set!.counts.map((count) => count[1])).toEqual([100, 100]);
  expect(set!.questions.length).toBeGreaterThan(10);
  expect(set!.questions.length).toBeLessThan(30);
  expect(set!.rows.question).toHaveLength(2 * set!.questions.length); // each through training
  expect(notes).toEqual([expect.stringContaining(`${set!.rows.text.length} of 200 completions`)]);
});

test("lines that a crash has cut are left out, and said; a reranker's probabilities are no completions", () => {
  const folder = run({ 3: [completion("a", "return 7", right)] });
  const file = join(folder, "samples", "step-000003.jsonl");
  writeFileSync(file, `${JSON.stringify(completion("a", "return 7", right))}\n{"id":"b","ques`);
  expect(read(folder).notes).toEqual([expect.stringContaining("1 lines are no completions")]);
  const rerank = run({ 3: [{ id: "a", sample: 0, correct: true, probability: 0.5 }] });
  expect(read(rerank)).toEqual({ sets: [], signs: [], notes: [] });
});

test("a very long text is cut, which it says; an evaluation's answers have no step", () => {
  const folder = temporaryFolder();
  const long = completion("a", "x".repeat(9_000), right);
  writeJsonl(join(folder, "answers.jsonl"), [long]);
  const [set] = read(folder).sets;
  expect(set).toMatchObject({ title: "reft: greedy answers", steps: [null] });
  expect(set!.texts[0]).toMatch(/x\n\[1000 characters more\]$/);
});

test("says what stands out where none is right, with an example of each form", () => {
  const golds = ["7 days", "8 days", "weekday 7", "day 7"];
  const ids = Array.from({ length: 12 }, (_, i) => `q${i}`);
  const all = (value: number) =>
    ids.map((id, i) =>
      completion(id, "x", { kind: "answer", value }, { correct: false, answer: golds[i % 4] }),
    );
  const { signs } = read(run({ 0: all(7), 5: all(8) }));
  expect(signs).toMatchObject([{ of: "reft: dev questions", step: 0 }]);
  expect(signs[0]!.message).toContain(
    '12 say what the gold answer says, in another form: 7 for "7 days", 7 for "weekday 7", 7 for "day 7". The other 12 say something else.',
  );
});
