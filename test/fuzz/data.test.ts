// Bad input: rows of data, samples, records of runs, and what models write.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parquetWriteBuffer } from "hyparquet-writer";
import { describe } from "vitest";
import { readAnswer } from "../../src/data/answer.ts";
import { generateProblems } from "../../src/data/datasets/generated.ts";
import { readOwn } from "../../src/data/datasets/own.ts";
import { readExamples } from "../../src/data/examples.ts";
import { leadingNumberOf, numberOf } from "../../src/data/number.ts";
import { readQuestions } from "../../src/evaluate/report.ts";
import { nodeDisk } from "../../src/formats/disk.ts";
import { extractProgram, extractToBlankLine } from "../../src/reward/extract.ts";
import { findAnswer } from "../../src/reward/findAnswer.ts";
import { readSampleGroups } from "../../src/reward/samples.ts";
import type { AnswerForm } from "../../src/rewardConfig.ts";
import { checkMetrics, dropRecordsAfter } from "../../src/run/metrics.ts";
import {
  anyBytes,
  changedBytes,
  changedJson,
  changedText,
  fuzz,
  textsOf,
} from "../support/fuzz.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const folder = temporaryFolder();
const written = (name: string, content: Uint8Array | string) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

/** Lines of JSON of which some are changed, as bytes. */
function changedLines(values: readonly unknown[]): fc.Arbitrary<Uint8Array> {
  const lines = values.map((value) => JSON.stringify(value));
  const one = fc.tuple(fc.nat(lines.length - 1), fc.oneof(...values.map(changedJson)));
  const changed = fc.array(one, { minLength: 1, maxLength: 2 }).map((changes) => {
    const all = [...lines];
    for (const [i, text] of changes) all[i] = text;
    return new Uint8Array(Buffer.from(`${all.join("\n")}\n`));
  });
  const bytes = changedBytes(Buffer.from(`${lines.join("\n")}\n`));
  return fc.oneof(
    { weight: 6, arbitrary: changed },
    { weight: 2, arbitrary: bytes },
    { weight: 1, arbitrary: anyBytes },
  );
}

const { train } = generateProblems({ train: 3, answerOnly: 0, dev: 1, test: 1 }, 1);

describe("JSON lines", () => {
  fuzz("examples", changedLines(train), (bytes) => {
    const path = written("train.jsonl", bytes);
    readExamples(path, "any");
    readExamples(path);
  });

  const samples = train.flatMap(({ id, question, answer }) =>
    [0, 1].map((sample) => ({
      ...{ id, question, answer, sample, text: "return 1", score: 0, correct: false },
      outcome: sample === 0 ? { kind: "answer", value: 1 } : { kind: "error", message: "x" },
      ...{ isTruncated: false, isDuplicate: false },
    })),
  );
  fuzz("samples", changedLines(samples), (bytes) => {
    readSampleGroups(written("samples.jsonl", bytes));
  });

  const figures = [0, 1, 2].map((step) => ({ step, epoch: 0, time: "x", loss: 0.5, norm: "NaN" }));
  fuzz("metrics", changedLines(figures), (bytes) => {
    written("metrics.jsonl", bytes);
    checkMetrics(folder, 2);
    dropRecordsAfter({ folder, disk: nodeDisk }, 1);
  });

  const questions = train.map(({ id, question }) => ({ id, question, shares: { greedy: 1 } }));
  fuzz("an evaluation's questions", changedLines(questions), (bytes) => {
    written("questions.jsonl", bytes);
    readQuestions(folder);
  });
});

describe("rows", () => {
  const chats = train.map(({ id, question, cot, answer }) => ({
    ...{ id, answer, level: [1, { x: null }] },
    messages: [
      { role: "system", content: "Think." },
      { role: "user", content: question },
      { role: "assistant", content: cot },
    ],
  }));
  const read = async (name: string, bytes: Uint8Array | string) =>
    readOwn({ from: written(name, bytes), columns: {}, gold: "comparable" });
  fuzz("JSON lines", fc.oneof(changedLines(train), changedLines(chats)), async (bytes) =>
    read("own.jsonl", bytes),
  );
  const array = fc.oneof(changedJson(train), changedJson(chats));
  fuzz("JSON", array, async (text) => read("own.json", text));

  const csv = 'question,answer,cot,note\n"How many, ""x""?",12,"a\nb",\nWhy?,b,c,d\n';
  const tables = fc.oneof(
    changedBytes(Buffer.from(csv)),
    changedText(csv),
    textsOf(['"', ",", "\n", "\r", "\r\n", "question", "answer", '""', "\ufeff", "a", "\t"], 30),
  );
  fuzz("CSV", tables, async (bytes) => read("own.csv", bytes));
  fuzz("TSV", tables, async (bytes) => read("own.tsv", bytes));

  const columnData = [
    { name: "question", data: train.map(({ question }) => question), type: "STRING" as const },
    { name: "answer", data: train.map(({ answer }) => Number(answer)), type: "DOUBLE" as const },
    { name: "__proto__", data: [1n, 2n, null], type: "INT64" as const },
    { name: "extra", data: [{ a: [1] }, null, { a: [] }], type: "JSON" as const },
  ];
  const parquet = (["UNCOMPRESSED", "SNAPPY"] as const).map(
    (codec) => new Uint8Array(parquetWriteBuffer({ columnData, codec })),
  );
  const footers = parquet.map((file) =>
    changedBytes(file.toReversed(), 900).map((bytes) => bytes.toReversed()),
  );
  const files = fc.oneof(...parquet.map((file) => changedBytes(file)), ...footers, anyBytes);
  fuzz("Parquet", files, async (bytes) => read("own.parquet", bytes));
});

/** Texts of pieces, among them long ones that say a few pieces again and again. */
function writtenOf(pieces: readonly string[]): fc.Arbitrary<string> {
  const again = fc
    .tuple(textsOf(pieces, 3), fc.nat(8000), textsOf(pieces, 3))
    .map(([text, length, end]) => text.repeat(length / (text.length || 1)) + end);
  return fc.oneof({ weight: 3, arbitrary: textsOf(pieces, 40) }, { weight: 1, arbitrary: again });
}

describe("what models write", () => {
  const answers = writtenOf([
    ...[
      "12",
      "1,234",
      " ",
      "3/4",
      "$5",
      "5 apples",
      "=",
      "x",
      "\\frac{1}{2}",
      "\\boxed{",
      "}",
      "{",
    ],
    ...[
      "The answer is",
      "####",
      "<answer>",
      "</answer>",
      ".",
      "-",
      "10^6",
      "million",
      " and ",
      "(",
      ")",
    ],
    ...[
      "½",
      "٣",
      "%",
      "**",
      "$",
      "1e999",
      "\n",
      "```json\n",
      "```",
      '{"a":1}',
      "[",
      "]",
      '"',
      "\\",
      ",",
    ],
  ]);
  fuzz("numbers", answers, (text) => {
    for (const found of [numberOf(text), leadingNumberOf(text)])
      if (found !== undefined && !Number.isFinite(found)) throw new Error(`reads ${found}`);
    readAnswer(text);
  });
  const forms: Exclude<AnswerForm, "python">[] = [
    ...(["nl", "hashes", "boxed", "tags", "text", "json", "firstJson"] as const),
    ...(["/Final: (.*)/", "/(\\d+)/g", "/x*/"] as const),
  ];
  fuzz("answers", fc.tuple(fc.constantFrom(...forms), answers), ([form, text]) =>
    findAnswer(form, text),
  );

  const programs = writtenOf([
    ...[
      "def solution():\n",
      "    return 1\n",
      "    x = 1\n",
      "\n",
      "```python\n",
      "```\n",
      "    ",
      ">>> ",
    ],
    ...[
      '"""',
      "'''",
      "(",
      ")",
      "[",
      "]",
      "{",
      "}",
      "#",
      "print(solution())\n",
      "import math\n",
      "class A:\n",
    ],
    ...[
      "if x:\n",
      "else:\n",
      "try:\n",
      "@d\n",
      "async ",
      "lambda: ",
      "\\\n",
      ";",
      ":",
      ",",
      "=",
      "\t",
      "\f",
      "\r",
    ],
    ...["Question:", "def f(x):\n", "    return solution()\n", "match x:\n", "f'{", "}'", "..."],
    ...[
      "<answer>",
      "</answer>",
      "[PYTHON]",
      "</think>",
      "[/THINK]",
      "</s>",
      "x = y\n",
      "  # it's\n",
    ],
  ]);
  fuzz("programs", programs, (text) => {
    extractProgram(text);
    extractToBlankLine(text);
  });
});
