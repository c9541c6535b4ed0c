import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Example } from "../../src/data/examples.ts";
import { jsonText, writeFileAtomically, writeJsonl } from "../../src/formats/jsonl.ts";
import { type CheckDataArguments, checkData } from "../../src/tasks/checkData.ts";
import { fakeSandbox } from "../support/fakeSandbox.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { tinySft } from "../support/tiny.ts";

vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () =>
    fakeSandbox((program) => ({
      kind: "answer",
      value: Number(/return (\d+)/.exec(program)?.[1]),
    })),
}));

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

const words = ["apples", "pears", "books", "coins", "pens", "cups"];
const row = (n: number, more: Partial<Example> = {}): Example => ({
  id: `q${n}`,
  question: `Tom has ${n} ${words[n % 6]} in his ${words[(n + 1) % 6]} box. How many?`,
  cot: `def solution():\n    return ${n}`,
  answer: n,
  ...more,
});
const write = (name: string, rows: readonly Example[]) => {
  writeJsonl(join(folder, name), rows);
  return join(folder, name);
};
const check = (given: Partial<CheckDataArguments>) => checkData({ rows: 5, seed: 1, ...given });

describe("checkData", () => {
  test("counts what the reward says, and shows the wrong rows first", async () => {
    const rows = [...Array(20).keys()].map((n) => row(n, n === 13 ? { answer: 5 } : {}));
    const page = await check({ data: write("a.jsonl", rows), cot: "python", rows: 2 });
    expect(page).toMatch(
      /\n {2}right +19\n {2}wrong answer +1\n {2}"q13": expected the answer 5, found 13\n/,
    );
    const titles = page.match(/^== .*/gm)!;
    expect(titles).toHaveLength(2);
    expect(titles[0]).toBe('== "q13", answer 5: expected the answer 5, found 13');
    expect(titles[1]).toMatch(/: right$/);
    const other = await check({ data: write("a.jsonl", rows), cot: "python", rows: 2, seed: 2 });
    expect(other.match(/^== .*/gm)![1]).not.toBe(titles[1]);
  });

  test("counts questions that stand twice, and those of another split that stand here or nearly do", async () => {
    const question = row(1).question.replace("1", "77"); // a variant
    const spelled = (n: number) => ({ question: `  ${row(n).question.toUpperCase()}` });
    const data = write("b.jsonl", [row(1), row(2), row(3), row(3, { id: "again", ...spelled(3) })]);
    const dev = write("dev.jsonl", [
      row(2, spelled(2)),
      row(9, { question }),
      row(4, { question: "Why 5?" }),
    ]);
    const page = await check({ data, cot: "python", against: [dev] });
    expect(page).toContain("questions that stand more than once: 1\n");
    expect(page.replace(/\s+/g, " ")).toContain(
      `of 3 questions of ${dev}: 1 stand here, too, 1 have a variant here`,
    );
  });

  test("shows tokens as the settings of a run have them, and counts what is beyond its limits", async () => {
    const rows = [...Array(8).keys()].map((n) => row(n));
    rows[5] = row(5, { question: `${"Look at this. ".repeat(20)}How many?` });
    const data = {
      ...tinySft("x").data,
      train: write("train.jsonl", rows),
      dev: write("dev.jsonl", [row(40)]),
    };
    const config = join(folder, "sft.json");
    const prompts = { ...data, programPrefix: "def", maxPromptTokens: 60, maxCompletionTokens: 40 };
    writeFileAtomically(config, jsonText({ ...tinySft("x"), data: prompts }));
    const page = await check({ config, rows: 8 });
    expect(page).toMatch(
      /\n {2}prompt +\d+ +\d+ +\d+ +60 +1\n {2}completion +\d+ +\d+ +\d+ +40 +0\n/,
    );
    expect(page).toMatch(/\u25b8.*return.*<\/s>/s);
    for (const line of page.split("\n")) expect([...line].length).toBeLessThanOrEqual(80);
    await expect(check({ config, cot: "nl" })).rejects.toThrow("config: expected no other data");
  });

  test("shows the text alone without a model, with its tabs and line ends", async () => {
    const text = "\u00fc\u{1f600}\tx";
    const data = write("c.jsonl", [row(1, { question: `Tab ${text}?` })]);
    const page = await check({ data, cot: "python" });
    expect(page).toContain("Tab \u00fc\u{1f600}\u21e5x?\u23ce");
  });

  test("needs a file or settings, and to know the form", async () => {
    await expect(check({})).rejects.toThrow("expected a file to check, or the option config");
    const data = write("d.jsonl", [row(1)]);
    await expect(check({ data })).rejects.toThrow(
      "cot: expected python, nl or another form of answers, found none",
    );
    await expect(check({ data, cot: "nl", rows: -1 })).rejects.toThrow("rows: expected a whole");
  });
});
