import { join } from "node:path";
import { expect, test } from "vitest";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import { readSampleGroups, type Sample, summariseSamples } from "../../src/reward/samples.ts";
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

function fileOf(written: readonly unknown[]): string {
  const path = join(temporaryFolder(), "samples.jsonl");
  writeJsonl(path, written);
  return path;
}

test("what is written is read, by question in the file's order", () => {
  expect(readSampleGroups(fileOf(samples))).toEqual([
    samples.slice(0, 2),
    samples.slice(2, 4),
    samples.slice(4),
  ]);
});

test.each([
  [
    "is no sample",
    [samples[0], { ...samples[1], outcome: { kind: "answer", message: "7" } }],
    /samples\.jsonl:2: "outcome\.value"/,
  ],
  [
    "stands apart from the others of its question",
    [samples[0], samples[2], samples[1]],
    /samples\.jsonl:3: .*question "a" .* found those of "b"/,
  ],
  [
    "stands twice",
    [samples[0], samples[1], samples[0]],
    /samples\.jsonl:3: .*question "a", found sample 0 once more/,
  ],
])("a line that %s is named", async (_, written, message) => {
  const path = fileOf(written);
  expect(await userErrorOf(() => readSampleGroups(path))).toMatch(message);
});

test("the summary counts samples, and questions that were solved at least once", () => {
  expect(summariseSamples(readSampleGroups(fileOf(samples)))).toEqual({
    questions: 3,
    samples: 5,
    correct: 3,
    duplicates: 1,
    solved: 2,
    infrastructureFailures: 1,
  });
});
