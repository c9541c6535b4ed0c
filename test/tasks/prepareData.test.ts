import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { readExamples } from "../../src/data/examples.ts";
import { UserError } from "../../src/errors.ts";
import type { PrepareDataArguments } from "../../src/tasks/datasetDraft.ts";
import { prepareData } from "../../src/tasks/prepareData.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

let from: string;
let output: string;
beforeEach(() => {
  const folder = temporaryFolder();
  from = folder;
  output = join(folder, "out");
});

const prepare = (given: Partial<PrepareDataArguments>) =>
  prepareData({
    dataset: "gsm8k",
    cot: "nl",
    from,
    output,
    seed: 1,
    timeoutSeconds: 3,
    workers: 1,
    ...given,
  });

const line = (question: string, answer: string) => JSON.stringify({ question, answer });
/** Each of other words: questions that differ in their numbers alone are variants of each other. */
const sum = (n: number) =>
  line(
    `What is ${n} + 1, ${n < 26 ? "" : "dear "}${String.fromCharCode(97 + (n % 26))}?`,
    `${n}+1=<<${n}+1=${n + 1}>>${n + 1}.\n#### ${n + 1}`,
  );
const writeGsm8k = (train: string[], testRows = [line("Test?", "1.\n#### 1")]) => {
  writeFileSync(join(from, "train.jsonl"), train.join("\n"));
  writeFileSync(join(from, "test.jsonl"), testRows.join("\n"));
};
const read = (name: string) => readExamples(join(output, name));
const manifest = () => JSON.parse(readFileSync(join(output, "manifest.json"), "utf8"));

describe("prepareData", () => {
  test("runs every gold program and lists those that fail or are wrong with their line", async () => {
    const rows = [1, 2, 3, 4, 5].map(sum);
    rows.push(line("Wrong?", "<<2+2=5>>5\n#### 5")); // line 6
    rows.push(line("Broken?", "<<2(3)=6>>6\n#### 6")); // line 7: "2 (3)" is called
    rows.push(line("No step?", "It is 5.\n#### 5")); // line 8
    writeGsm8k(rows);
    const summary = await prepare({ cot: "python", dev: 2 });
    expect(read("train.jsonl")).toHaveLength(3);
    expect(read("dev.jsonl")).toHaveLength(2);
    const rejected = readFileSync(join(output, "rejected.jsonl"), "utf8").trim().split("\n");
    expect(rejected.map((text) => JSON.parse(text))).toEqual([
      { line: 6, id: "gsm8k-train-6", reason: "expected the answer 5, found 4" },
      { line: 7, id: "gsm8k-train-7", reason: expect.stringMatching(/^error: TypeError/) },
      { line: 8, id: "gsm8k-train-8", reason: "no annotated result is the final answer" },
    ]);
    expect(summary).toContain(
      "\n7 of 8 solutions convert to programs, 5 of these come to the gold answer\n",
    );
    expect(manifest().goldCots).toEqual({ total: 8, converted: 7, right: 5, leftOut: 3 });
    expect(summary).toMatch(/3 of 8 gold chains of thought left out, listed in .*rejected\.jsonl/);
  });

  test("carves dev out of train by the seed, without its chains of thought", async () => {
    writeGsm8k([...Array(30).keys()].map(sum));
    await prepare({ dev: 10 });
    const [train, dev] = [read("train.jsonl"), read("dev.jsonl")];
    expect([train.length, dev.length]).toEqual([20, 10]);
    expect(new Set([...train, ...dev].map(({ id }) => id)).size).toBe(30);
    expect(dev.some((example) => "cot" in example)).toBe(false);
    await prepare({ dev: 10, output: join(output, "again") });
    expect(readExamples(join(output, "again", "dev.jsonl"))).toEqual(dev);
    await prepare({ dev: 10, seed: 2 });
    expect(read("dev.jsonl")).not.toEqual(dev);
  });

  test("never puts a question into two splits", async () => {
    const repeated = Array.from({ length: 20 }, () => sum(1));
    writeGsm8k([...repeated, sum(2), sum(3), sum(5), sum(4)], [sum(4)]);
    await prepare({ dev: 2 });
    const questions = ["train", "dev", "test"].map(
      (name) => new Set(read(`${name}.jsonl`).map(({ question }) => question)),
    );
    expect(questions.map(({ size }) => size)).toEqual([2, 2, 1]);
    expect(new Set(questions.flatMap((split) => [...split])).size).toBe(5);
    const rejected = JSON.parse(readFileSync(join(output, "rejected.jsonl"), "utf8"));
    expect(rejected).toMatchObject({ line: 24, reason: "its question is in the test set" });
  });

  test("leaves out a training row whose gold answer is no number, and says so", async () => {
    writeGsm8k([sum(1), sum(2), line("Word?", "It is five.\n#### five")]);
    expect(await prepare({ dev: 1 })).toContain("1 of 3 gold chains of thought left out");
    const rejected = JSON.parse(readFileSync(join(output, "rejected.jsonl"), "utf8"));
    const reason = 'expected an answer that is a number, found "five"';
    expect(rejected).toEqual({ line: 3, id: "gsm8k-train-3", reason });
  });

  test("counts a right program to a test question as right, and leaves it out", async () => {
    writeGsm8k([sum(1), sum(2), sum(3), line("No step?", "It is 5.\n#### 5")], [sum(2)]);
    await prepare({ cot: "python", dev: 1 });
    expect(manifest().goldCots).toEqual({ total: 4, converted: 3, right: 3, leftOut: 2 });
  });

  test("records source, hashes, counts and seed, and removes what an earlier call left", async () => {
    writeGsm8k([sum(1), sum(2), sum(3), line("Off?", "It is 5.\n#### 6")]);
    await prepare({ cot: "python", dev: 1 });
    expect(existsSync(join(output, "rejected.jsonl"))).toBe(true);
    const summary = await prepare({ cot: "nl", dev: 1 });
    expect(summary).not.toContain("convert");
    expect(manifest().goldCots).toEqual({ total: 4, leftOut: 0 });
    expect(existsSync(join(output, "rejected.jsonl"))).toBe(false);
    const sha256 = expect.stringMatching(/^[0-9a-f]{64}$/);
    expect(manifest()).toMatchObject({
      dataset: "gsm8k",
      cot: "nl",
      seed: 1,
      source: {
        address: expect.stringContaining("grade-school-math"),
        licence: "MIT",
        files: [
          { name: "train.jsonl", sha256 },
          { name: "test.jsonl", sha256 },
        ],
      },
      files: {
        "train.jsonl": { rows: 3, sha256 },
        "dev.jsonl": { rows: 1, sha256 },
        "test.jsonl": { rows: 1, sha256 },
      },
    });
  });

  test("does not write over the files of a public set", async () => {
    writeGsm8k([1, 2, 3].map(sum));
    const before = readFileSync(join(from, "train.jsonl"), "utf8");
    await expect(prepare({ output: `${from}/`, dev: 1 })).rejects.toThrow(
      "output: expected another folder",
    );
    expect(readFileSync(join(from, "train.jsonl"), "utf8")).toBe(before);
  });

  test("holds chains of thought back", async () => {
    writeGsm8k([1, 2, 3, 4].map(sum));
    await prepare({ dev: 1, answerOnly: 2 });
    const [train, answers] = [read("train.jsonl"), read("answers.jsonl")];
    expect([train.length, answers.length]).toEqual([1, 2]);
    expect(answers.every(({ cot }) => cot === undefined)).toBe(true);
    expect(manifest().files["answers.jsonl"].rows).toBe(2);
  });

  test("writes all questions plainly, of all splits", async () => {
    writeGsm8k([1, 2, 3, 4].map(sum), [line("What, me?", "1.\n#### 1")]);
    await prepare({ dev: 1, answerOnly: 1, plain: true });
    const splits = ["train", "dev", "answers", "test"].map((name) => read(`${name}.jsonl`));
    for (const { question } of splits.flat()) expect(question).toMatch(/^what [^,A-Z]* \?$/);
  });

  test("leaves out rows without a question, answer or solution, and ids that are used already", async () => {
    writeGsm8k([
      ...[1, 2, 3].map(sum),
      line(" ", "x <<3+4=7>>7\n#### 7"),
      line("Answer?", "x <<3+4=7>>7\n#### "),
      line("Solution?", " \n#### 7"),
      line("", ""),
      line(",", "Only commas.\n#### 7"),
    ]);
    await prepare({ dev: 1, plain: true });
    const rejected = readFileSync(join(output, "rejected.jsonl"), "utf8").trim().split("\n");
    expect(rejected.map((text) => JSON.parse(text))).toEqual(
      ["question", "answer", "chain of thought", "question", "question"].map((part, i) => ({
        line: i + 4,
        id: `gsm8k-train-${i + 4}`,
        reason: `empty ${part}`,
      })),
    );
    expect(read("train.jsonl")).toHaveLength(2);
    writeGsm8k([1, 2, 3].map(sum), [line(" ", "1.\n#### 1")]);
    await expect(prepare({ dev: 1 })).rejects.toThrow(
      /test\.jsonl:1: expected a question, found none/,
    );
  });

  const words = fc.constantFrom("", " ", "\n", ",", "Two and two?", "How many, 3?", 'Ünï "x"?');
  const texts = fc.constantFrom("", " ", "2 + 2 = 4\nTherefore, the answer is <4>.", "4");
  const rows = fc.array(
    fc.record({ item_id: fc.constantFrom("a", "b", "c"), question: words, answer_cot: texts }),
    { maxLength: 8 },
  );
  test.each(["svamp", "mathqa-numeric", "gsm8k"] as const)(
    "what it writes of %s can be read, whatever the rows",
    async (dataset) => {
      const good = ["Ann has 4 red pens?", "My dog ate bread?", "Trains leave at noon?"].map(
        (question, i) => ({
          item_id: `good-${i}`,
          question,
          answer_cot: "So.\nTherefore, the answer is 4.",
        }),
      );
      const property = fc.asyncProperty(rows, fc.boolean(), async (others, plain) => {
        const records = [...good, ...others].map((row) => ({ ...row, answer_value: "4" }));
        if (dataset === "gsm8k") {
          writeGsm8k(records.map((row) => line(row.question, `${row.answer_cot}\n#### 4`)));
        } else {
          writeFileSync(join(from, `${dataset}_nl.json`), JSON.stringify(records));
          const tested = { item_id: "t", question: "Test?", answer_value: "4" };
          writeFileSync(join(from, `${dataset}_test_set.json`), JSON.stringify([tested]));
        }
        await prepare({ dataset, dev: 1, plain });
        const splits = ["train", "dev", "test"].map((name) => read(`${name}.jsonl`));
        for (const { question } of splits.flat()) expect(question.trim()).not.toBe("");
      });
      await fc.assert(property, { numRuns: 25 });
    },
  );

  test("generates problems with and without programs", async () => {
    const sizes = { train: 20, answerOnly: 30, dev: 5, test: 6 };
    await prepare({ dataset: "generated", cot: "python", from: undefined, seed: 3, ...sizes });
    expect(read("train.jsonl").every(({ cot }) => cot !== undefined)).toBe(true);
    expect(["train", "answers", "dev", "test"].map((name) => read(`${name}.jsonl`).length)).toEqual(
      [20, 30, 5, 6],
    );
    expect(manifest().seed).toBe(3);
    expect(manifest().goldCots).toEqual({ total: 20, leftOut: 0 });
  });

  type Mistake = [string, Partial<PrepareDataArguments>, RegExp];
  test.each<Mistake>([
    ["no folder", { from: undefined }, /from: expected a folder.*get them from https:.*MIT/],
    ["a folder without the files", {}, /train\.jsonl: no such file.*grade-school-math/],
    ["sizes for a public data set", { train: 5 }, /train: only for generated/],
    ["text for generated", { dataset: "generated", from: undefined }, /cot: .*found nl/],
    ["a source for generated", { dataset: "generated", cot: "python" }, /from: .*leave it out/],
    [
      "half a row",
      { dataset: "generated", cot: "python", from: undefined, answerOnly: 1.5 },
      /answerOnly: expected a whole number of at least 0, found 1\.5/,
    ],
    ...(["train", "dev", "test"] as const).map(
      (name): Mistake => [
        `no ${name} for generated`,
        { dataset: "generated", cot: "python", from: undefined, [name]: 0 },
        new RegExp(`${name}: expected a whole number of at least 1, found 0`),
      ],
    ),
    ["no dev for gsm8k", { dev: 0 }, /dev: expected a whole number of at least 1, found 0/],
    ["half a row of gsm8k", { answerOnly: 0.5 }, /answerOnly: .* at least 0, found 0\.5/],
    ["no dev for svamp", { dataset: "svamp", dev: 0 }, /dev: .* at least 1, found 0/],
  ])("%s is the user's error", async (_, given, message) => {
    await expect(prepare(given)).rejects.toThrow(UserError);
    await expect(prepare(given)).rejects.toThrow(message);
    expect(existsSync(output)).toBe(false);
  });

  test.each([
    ["columns of a public set", { columns: { cot: "x" } }, /columns: only for own; leave it out/],
    ["a dev file of gsm8k", { devFrom: "x" }, /devFrom: only for own; leave it out/],
    ["no file", { dataset: "own", from: undefined }, /from: expected a file of rows/],
    ["a dev file and dev rows", { dataset: "own", devFrom: "x", dev: 1 }, /dev: devFrom has all/],
    ["a test file and test rows", { dataset: "own", testFrom: "x", test: 1 }, /test: testFrom has/],
    ["train rows", { dataset: "own", train: 1 }, /train: only for generated/],
    ["half a test row", { dataset: "own", test: 0.5 }, /test: .* at least 0, found 0\.5/],
  ] as const)("%s is the user's error with rows of one's own", async (_, given, message) => {
    await expect(prepare(given)).rejects.toThrow(message);
    expect(existsSync(output)).toBe(false);
  });

  test("generates no answers.jsonl when it is told so", async () => {
    const sizes = { train: 2, answerOnly: 0, dev: 1, test: 1 };
    await prepare({ dataset: "generated", cot: "python", from: undefined, ...sizes });
    expect(Object.keys(manifest().files)).toEqual(["train.jsonl", "dev.jsonl", "test.jsonl"]);
  });

  test("says which files MathQA's test set alone does not give", async () => {
    const record = { item_id: "m-1", question: "1 + 1?", answer_value: "2" };
    writeFileSync(join(from, "mathqa-numeric_test_set.json"), JSON.stringify([record]));
    await expect(prepare({ dataset: "mathqa-numeric", answerOnly: 5 })).rejects.toThrow(
      "answerOnly: expected 0, because mathqa-numeric has no training rows in its folder, found 5",
    );
    const summary = await prepare({ dataset: "mathqa-numeric" });
    expect(summary.split("\n")).toEqual([
      "test.jsonl: 1 rows",
      `train.jsonl and dev.jsonl not written: no mathqa-numeric_nl.json in ${from}`,
    ]);
    expect(Object.keys(manifest().files)).toEqual(["test.jsonl"]);
  });

  test("training rows of which none is left are the user's error", async () => {
    writeGsm8k([line("No step?", "It is 5.\n#### 5"), line("Nor here?", "It is 6.\n#### 6")]);
    await expect(prepare({ cot: "python" })).rejects.toThrow(
      "gsm8k: expected a gold chain of thought to train on, found none among 2 " +
        "(line 1: no annotated result is the final answer); check cot and the files in from",
    );
    expect(existsSync(output)).toBe(false);
  });

  test("a dev split as large as the data is the user's error", async () => {
    writeGsm8k([sum(1), sum(2)]);
    await expect(prepare({ dev: 2 })).rejects.toThrow(/dev: expected at most 1, /);
  });

  describe("of one's own rows", () => {
    const own = (n: number, more: object = {}) => {
      const { question } = JSON.parse(sum(n));
      const cot = `It is so.\nThe answer is ${n + 1}.`;
      return { question, cot, answer: `${n + 1}`, unit: "m", ...more };
    };
    const writeOwn = (rows: object[], name = "own.jsonl") => {
      writeFileSync(join(from, name), rows.map((row) => JSON.stringify(row)).join("\n"));
      return join(from, name);
    };
    const splits = () =>
      ["train", "dev", "test", "answers"].map((name) =>
        existsSync(join(output, `${name}.jsonl`)) ? read(`${name}.jsonl`) : [],
      );

    test("carves dev and test, keeps rows without a chain of thought for their answers, and lists the wrong ones", async () => {
      const rows = [...Array(30).keys()].map((n) => own(n, n < 20 ? {} : { cot: undefined }));
      rows[3] = { ...rows[3]!, answer: "5" };
      const given = { dataset: "own", from: writeOwn(rows) } as const;
      const summary = await prepare(given);
      expect(summary).toContain("1 of 30 rows left out, listed in");
      const [train, dev, test, answers] = splits();
      expect([dev, test].map((split) => split!.length)).toEqual([3, 3]);
      expect(train!.length + answers!.length).toBe(23);
      expect(train!.every(({ cot }) => cot !== undefined)).toBe(true);
      for (const row of [dev, test, answers].flat()) expect("cot" in row!).toBe(false);
      for (const row of splits().flat()) expect(row).toHaveProperty("unit", "m");
      const rejected = JSON.parse(readFileSync(join(output, "rejected.jsonl"), "utf8"));
      expect(rejected).toMatchObject({ line: 4, reason: 'expected the answer "5", found 4' });
      await prepare({ ...given, dev: 1, test: 0, answerOnly: 4 });
      expect(splits().map(({ length }) => length)).toEqual([15, 1, 0, 13]);
    });

    test("judges answers of other forms, by their usual reward or by one of the user's", async () => {
      const rows = [...Array(12).keys()].map((n) =>
        own(n, { cot: `word ${n}`, answer: `word ${n}` }),
      );
      rows[3] = { ...rows[3]!, cot: "other" };
      const form = { dataset: "own", cot: "text", allowVariants: true } as const;
      const given = { ...form, from: writeOwn(rows), dev: 2, test: 0 };
      const rejected = () => JSON.parse(readFileSync(join(output, "rejected.jsonl"), "utf8"));
      await prepare(given);
      const lines = readFileSync(join(output, "train.jsonl"), "utf8").trimEnd().split("\n");
      expect(lines).toHaveLength(9);
      expect(rejected()).toMatchObject({
        line: 4,
        reason: 'expected the answer "word 3", found "other"',
      });
      await prepare({ ...given, reward: ({ text }) => (text === "word 5" ? 0.25 : 1) });
      expect(rejected()).toMatchObject({ line: 6, reason: "score 0.25" });
      await expect(prepare({ ...given, reward: () => "odd" as never })).rejects.toThrow(
        /^line 1: the reward function failed on row "row-\w+": expected .* found "odd"\. What was/,
      );
      await expect(prepare({ cot: "text" })).rejects.toThrow(
        "cot: expected python or nl for gsm8k, found text",
      );
    });

    test("takes dev and test from files, and their questions out of the training rows", async () => {
      const [devFrom, testFrom] = [2, 3].map((n) => writeOwn([own(n)], `own${n}.jsonl`));
      const rows = [1, 2, 3, 4].map((n) => own(n));
      await prepare({ dataset: "own", from: writeOwn(rows), devFrom, testFrom });
      expect(splits().map(({ length }) => length)).toEqual([2, 1, 1, 0]);
      const rejected = readFileSync(join(output, "rejected.jsonl"), "utf8").trim().split("\n");
      expect(rejected.map((text) => JSON.parse(text).reason)).toEqual([
        "its question is in the dev set",
        "its question is in the test set",
      ]);
      expect(manifest().source.files).toHaveLength(3);
    });

    test("takes questions that are spelled otherwise for the same", async () => {
      const question = "What IS \u00a03 + 1,  d? ";
      const testFrom = writeOwn([own(3, { question })], "test.jsonl");
      await prepare({
        dataset: "own",
        from: writeOwn([1, 2, 3, 4].map((n) => own(n))),
        testFrom,
        dev: 1,
      });
      expect(splits().map(({ length }) => length)).toEqual([2, 1, 1, 0]);
      const again = [own(1), own(2), own(2, { question: own(2).question.toUpperCase() })];
      const given = {
        dataset: "own",
        from: writeOwn(again),
        test: 0,
        allowVariants: true,
      } as const;
      await expect(prepare({ ...given, dev: 2 })).rejects.toThrow("dev: expected at most 1");
      await prepare({
        ...given,
        from: writeOwn([...again, own(4), own(2, { cot: undefined })]),
        dev: 1,
      });
      expect(splits().map(({ length }) => length)).toEqual([3, 1, 0, 0]);
      expect(JSON.parse(readFileSync(join(output, "rejected.jsonl"), "utf8"))).toMatchObject({
        line: 5,
        reason: "another row has its question, with a chain of thought",
      });
    });

    test.each(["train", "dev", "test", "answers", "rejected"])(
      "does not write over %s.jsonl, which it reads",
      async (name) => {
        const rows = [1, 2, 3, 4].map((n) => own(n));
        const source = writeOwn(rows, `${name}.jsonl`);
        const before = readFileSync(source, "utf8");
        const other = writeOwn(rows);
        const given = { dataset: "own", output: from, dev: 1, test: 0 } as const;
        for (const files of [{ from: source }, { from: other, testFrom: source }])
          await expect(prepare({ ...given, ...files })).rejects.toThrow(
            `output: expected another folder than that of ${source}, which would be written over`,
          );
        expect(readFileSync(source, "utf8")).toBe(before);
        await prepare({ ...given, from: other });
      },
    );

    test("needs allowVariants for questions of one template", async () => {
      const rows = [...Array(20).keys()].map((n) => ({ ...own(n), question: `What is ${n} + 1?` }));
      const given = { dataset: "own", from: writeOwn(rows) } as const;
      await expect(prepare(given)).rejects.toThrow(
        "test: expected at most 0, because no more of the 20 questions are unlike all others, found 2; where questions are made of templates, allowVariants",
      );
      expect(existsSync(output)).toBe(false);
      await prepare({ ...given, allowVariants: true });
      expect(splits().map(({ length }) => length)).toEqual([16, 2, 2, 0]);
    });

    test("rows with answers alone make no train.jsonl, and the summary says so", async () => {
      const rows = [...Array(10).keys()].map((n) => own(n, { cot: undefined }));
      const summary = await prepare({ dataset: "own", from: writeOwn(rows) });
      expect(splits().map(({ length }) => length)).toEqual([0, 1, 1, 8]);
      expect(summary).toContain("there is no train.jsonl: train-reft can learn from answers.jsonl");
    });
  });
});
