import { expect, test } from "vitest";
import { fitTables } from "../../src/evaluate/fitTables.ts";
import { markdownTable } from "../../src/evaluate/tables.ts";

const table = markdownTable([
  ["", "k = 1", "k = 10", "k = 100"],
  ["Voting@k", "35.0 (25.0 to 45.0)", "", "50.0 (40.0 to 60.0)"],
  ["pass@k", "35.0 (25.0 to 45.0)", "75.0 (65.0 to 85.0)", "90.0 (80.0 to 95.0)"],
]);
const page = `200 questions\n\n${table}\n\nin results.md`;

test("a page that fits, or goes to no terminal, stays as it is", () => {
  expect(fitTables(page, undefined)).toBe(page);
  expect(fitTables(page, 200)).toBe(page);
});

test.each([60, 40])(
  "a table that is wider than %i columns becomes several with the first column",
  (columns) => {
    const lines = fitTables(page, columns).split("\n");
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
    const cells = lines.map((line) => line.split("|").map((cell) => cell.trim()));
    const shown = new Map<string, string>();
    let head: string[] = [];
    for (const [, first, ...others] of cells) {
      if (others[0]?.startsWith("k = ")) head = others;
      for (const [c, cell] of others.entries()) shown.set(`${first} ${head[c]}`, cell);
    }
    expect(shown.get("pass@k k = 10")).toBe("75.0 (65.0 to 85.0)");
    expect(shown.get("Voting@k k = 10")).toBe("");
    expect(shown.get("Voting@k k = 100")).toBe("50.0 (40.0 to 60.0)");
    expect(lines.slice(0, 2)).toEqual(["200 questions", ""]);
    expect(lines.slice(-2)).toEqual(["", "in results.md"]);
  },
);
