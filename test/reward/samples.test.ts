import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeJsonl } from "../../src/data/jsonl.ts";
import {
  groupSamples,
  readSamples,
  type Sample,
  summariseSamples,
} from "../../src/reward/samples.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

function sampleOf(id: string, sample: number, correct: boolean, isDuplicate = false): Sample {
  return {
    id,
    question: `What is ${id}?`,
    answer: 7,
    sample,
    text: "def solution():\n    return 7",
    outcome: { kind: "answer", value: correct ? 7 : 8 },
    score: correct ? 1 : 0,
    correct,
    isTruncated: false,
    isDuplicate,
  };
}

const samples = [
  sampleOf("a", 0, true),
  sampleOf("a", 1, true, true),
  sampleOf("b", 0, false),
  sampleOf("b", 1, true),
  { ...sampleOf("c", 0, false), outcome: { kind: "infrastructure", message: "down" } as const },
];

test("what is written is read, and grouped by question in the file's order", () => {
  const path = join(temporaryFolder(), "samples.jsonl");
  writeJsonl(path, samples);
  expect(readSamples(path)).toEqual(samples);
  expect(groupSamples(samples)).toEqual([
    samples.slice(0, 2),
    samples.slice(2, 4),
    samples.slice(4),
  ]);
});

test("a line that is no sample is named", async () => {
  const path = join(temporaryFolder(), "samples.jsonl");
  const broken = { ...samples[1]!, outcome: { kind: "answer", message: "7" } };
  writeFileSync(path, `${JSON.stringify(samples[0])}\n${JSON.stringify(broken)}\n`);
  expect(await userErrorOf(() => readSamples(path))).toMatch(/samples\.jsonl:2: "outcome\.value"/);
});

test("a question whose samples do not stand together is named", async () => {
  const torn = [samples[0]!, samples[2]!, samples[1]!];
  expect(await userErrorOf(() => groupSamples(torn))).toContain('question "a"');
});

test("the summary counts samples, and questions that were solved at least once", () => {
  expect(summariseSamples(groupSamples(samples))).toEqual({
    questions: 3,
    samples: 5,
    correct: 3,
    duplicates: 1,
    solved: 2,
    infrastructureFailures: 1,
  });
});
