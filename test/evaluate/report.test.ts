import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readQuestions, writeReport } from "../../src/evaluate/report.ts";
import { summariseShares } from "../../src/evaluate/summary.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const questions = [0, 1, 1].map((top1, i) => ({
  id: `q${i}`,
  question: `How many, ${i}?`,
  shares: { top1, "voting@1": top1 / 2, "pass@1": top1 / 2 },
}));
const withoutSamples = questions.map(({ shares: { top1 }, ...rest }) => ({
  ...rest,
  shares: { top1 },
}));

describe("writeReport", () => {
  test("writes what it was given and every metric to results.json, a page, a picture and the questions", () => {
    const folder = join(temporaryFolder(), "results");
    const metrics = writeReport(folder, { model: "runs/a", questions: 3 }, questions, 7);
    expect(metrics).toEqual(summariseShares(questions, 7));
    const results = JSON.parse(readFileSync(join(folder, "results.json"), "utf8"));
    expect(results).toEqual({
      model: "runs/a",
      questions: 3,
      tieRule: expect.stringMatching(/sampled first wins/),
      metrics,
    });
    expect(readdirSync(folder).toSorted()).toEqual(
      ["accuracy.svg", "questions.jsonl", "results.json", "results.md"].toSorted(),
    );
    expect(readQuestions(folder)).toEqual(questions);
  });

  test("without samples leaves no page and no picture, not even those of an evaluation before", () => {
    const folder = temporaryFolder();
    writeReport(folder, {}, questions, 1);
    writeReport(folder, {}, withoutSamples, 1);
    expect(existsSync(join(folder, "results.md"))).toBe(false);
    expect(existsSync(join(folder, "accuracy.svg"))).toBe(false);
    expect(readQuestions(folder)).toEqual(withoutSamples);
  });
});

describe("readQuestions", () => {
  test("names the file that is not there, and the line that is no such line", async () => {
    const folder = temporaryFolder();
    expect(await userErrorOf(() => readQuestions(folder))).toBe(
      `${join(folder, "questions.jsonl")}: no such file; check the path`,
    );
    const line = { ...questions[0], shares: { top1: 2 } };
    writeFileSync(join(folder, "questions.jsonl"), JSON.stringify(line));
    expect(await userErrorOf(() => readQuestions(folder))).toMatch(
      /questions\.jsonl:1: "shares\.top1": .*1/,
    );
  });
});
