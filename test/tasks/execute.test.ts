import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { execute, summary } from "../../src/tasks/execute.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const folder = temporaryFolder();
const limits = { timeoutSeconds: 1, workers: 1, memoryMegabytes: 128 };

test("outcomes come in the order of the programs, with their ids", async () => {
  const [input, output] = [join(folder, "programs.jsonl"), join(folder, "new", "outcomes.jsonl")];
  const programs = [
    { id: "a", program: "def solution():\n    while True: pass" },
    { id: 2, program: "def solution():\n    return 'b'" },
    { id: "c", program: "def solution():\n    return 3 / 2" },
  ];
  writeFileSync(input, programs.map((line) => JSON.stringify(line)).join("\n"));
  const line = await execute({ input, output, ...limits });
  const outcomes = readFileSync(output, "utf8").trim().split("\n");
  expect(outcomes.map((text) => JSON.parse(text))).toEqual([
    { id: "a", outcome: { kind: "timeout", message: "no answer within 1 s of processor time" } },
    { id: 2, outcome: { kind: "answer", value: "b" } },
    { id: "c", outcome: { kind: "answer", value: 1.5 } },
  ]);
  expect(line).toMatch(/^3 programs in [\d.]+ s: [\d.]+ programs per second; 1 timeout, 2 answer$/);
});

test("a line without a program is refused with its number, before anything runs", async () => {
  const input = join(folder, "broken.jsonl");
  writeFileSync(input, '{"id": "a", "program": ""}\n{"id": "b", "code": ""}\n');
  const output = join(folder, "never.jsonl");
  await expect(execute({ input, output, ...limits })).rejects.toThrow(`${input}:2: `);
});

test("the input is never overwritten", async () => {
  const input = join(folder, "kept.jsonl");
  writeFileSync(input, '{"id": "a", "program": ""}\n');
  const same = join(folder, ".", "kept.jsonl");
  await expect(execute({ input, output: same, ...limits })).rejects.toThrow(
    "expected another file",
  );
  expect(readFileSync(input, "utf8")).toContain("program");
});

test("an output that cannot be written is named", async () => {
  const input = join(folder, "kept.jsonl");
  const output = join(input, "outcomes.jsonl");
  await expect(execute({ input, output, ...limits })).rejects.toThrow(
    `EEXIST: file already exists, mkdir '${input}'`,
  );
});

test("the summary counts what came out", () => {
  expect(summary(["answer", "timeout", "answer"], 2)).toBe(
    "3 programs in 2.0 s: 1.50 programs per second; 2 answer, 1 timeout",
  );
});
