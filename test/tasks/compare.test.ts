import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { main } from "../../src/cli.ts";
import { readQuestions, writeReport } from "../../src/evaluate/report.ts";
import { compare } from "../../src/tasks/compare.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

let output = "";
beforeEach(() => {
  output = "";
  vi.spyOn(console, "log").mockImplementation((text) => {
    output += text;
  });
});

/** An evaluation's folder: one question per entry of the columns. */
function evaluation(columns: Record<string, number[]>, ids?: string[], text = "How many?"): string {
  const folder = temporaryFolder();
  const questions = Object.values(columns)[0]!.map((_, i) => ({
    id: ids?.[i] ?? `q${i}`,
    question: text,
    shares: Object.fromEntries(Object.entries(columns).map(([name, all]) => [name, all[i]!])),
  }));
  writeReport(folder, {}, questions, 1);
  return folder;
}

describe("compare", () => {
  /** Six questions, answered by two models. */
  const two = () =>
    [
      evaluation({ top1: [1, 0, 0, 0, 0, 1], "voting@2": [0.5, 0, 0, 0, 0, 1] }),
      evaluation({ top1: [0, 1, 1, 1, 1, 1], "voting@2": [0.5, 0.5, 1, 1, 0, 1] }),
    ] as const;

  test("gives both accuracies, the difference with its interval, and a paired p", () => {
    const { metrics, questions } = compare(...two());
    expect(questions).toBe(6);
    // the first alone is right 1 time, the second 4: p = 2 (1 + 5) / 32
    expect(metrics.top1).toMatchObject({ a: 2 / 6, b: 5 / 6, test: "McNemar" });
    expect(metrics.top1!.p).toBeCloseTo(0.375, 12);
    expect(metrics.top1!.difference).toBeCloseTo(0.5, 12);
    // differences 0.5, 1, 1: two of eight assignments of signs reach their sum
    expect(metrics["voting@2"]).toMatchObject({
      a: 1.5 / 6,
      b: 4 / 6,
      p: 2 / 8,
      test: "sign flips",
    });
    for (const { difference, confidence95 } of Object.values(metrics)) {
      expect(confidence95[0]).toBeLessThan(difference);
      expect(confidence95[1]).toBeGreaterThan(difference);
    }
  });

  test("says what the two were measured with differently", async () => {
    const details = { maxNewTokens: 48, precision: "float32" };
    const folders = [{}, { reward: [{ use: "exact" }], maxNewTokens: 96 }].map((changes) => {
      const folder = evaluation({ top1: [1, 0] });
      const questions = readQuestions(folder);
      writeReport(folder, { ...details, ...changes }, questions, 1);
      return folder;
    }) as [string, string];
    expect(compare(folders[0], folders[0]).unlike).toEqual([]);
    expect(compare(...folders).unlike).toEqual([
      'usual reward and reward [{"use":"exact"}]',
      "maxNewTokens 48 and 96",
    ]);
    await main(["compare", ...folders]);
    expect(output).toContain("Measured differently, so not the models alone differ: usual reward");
  });

  test("says the same each time, and the opposite with the two exchanged", () => {
    const [a, b] = two();
    expect(compare(a, b)).toEqual(compare(a, b));
    const [there, back] = [compare(a, b).metrics.top1!, compare(b, a).metrics.top1!];
    expect(back.difference).toBe(-there.difference);
    expect(back.p).toBe(there.p);
  });

  test("pairs questions by id, wherever they stand", () => {
    const turned = evaluation({ top1: [1, 0, 0] }, ["z", "y", "x"]);
    const { metrics } = compare(evaluation({ top1: [0, 0, 1] }, ["x", "y", "z"]), turned);
    expect(metrics.top1).toMatchObject({ difference: 0, p: 1, confidence95: [0, 0] });
  });

  test("refuses other questions, naming the first that differ", async () => {
    const [five, six] = [
      evaluation({ top1: [0, 0, 0, 0, 1] }, ["a", "b", "c", "d", "e"]),
      evaluation({ top1: [0, 1] }, ["e", "f"]),
    ];
    expect(await userErrorOf(() => compare(five, six))).toBe(
      `expected two evaluations of the same questions, found 4 in ${five} that ${six} lacks or words differently: ` +
        `"a", "b", "c", ...; 1 in ${six} that ${five} lacks or words differently: "f". ` +
        "Evaluate both with the same data and the same number of questions",
    );
  });

  test("refuses the same ids for other texts, as two seeds of generated data have", async () => {
    const [one, other] = ["One?", "Another?"].map((text) => evaluation({ top1: [1] }, ["q"], text));
    expect(await userErrorOf(() => compare(one!, other!))).toContain('words differently: "q"');
  });

  test("prints a table, names what only one of them has, and writes the figures to --output", async () => {
    const [a] = two();
    const more = evaluation({ top1: [0, 1, 1, 1, 1, 1], "pass@2": [0, 0, 0, 0, 0, 1] });
    const file = join(temporaryFolder(), "comparison.json");
    expect(await main(["compare", a, more, "--output", file])).toBe(0);
    const [header, , top1, ...rest] = output.split("\n");
    expect(header).toMatch(/^\| accuracy, % .*\| difference \(95 % interval\) \| p +\| test +\|$/);
    expect(top1).toMatch(
      /^\| top1 +\| 33\.3 +\| 83\.3 +\| 50\.0 \(.* to .*\) +\| 0\.375 \| McNemar +\|$/,
    );
    expect(rest).toEqual(["", `Only in ${a}: voting@2`, "", `Only in ${more}: pass@2`]);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(compare(a, more));
  });
});
