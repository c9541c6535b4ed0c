import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { main } from "../src/cli.ts";
import { UserError, visible } from "../src/errors.ts";
import { comparisonTable } from "../src/tasks/compare.ts";
import { print, say } from "../src/terminal.ts";
import { captureOutput } from "./support/captureOutput.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";

const said = captureOutput();

/** Sets the title, clears the screen, goes back in the line, turns the writing round, hides a tag. */
const hostile =
  "\x1b]0;owned\x07\x1b[2J\r\x9b31m\x7f\u202etxt\u2066\u200b\u{e0041}\ufeff\u2028\ud800";
// biome-ignore lint/suspicious/noControlCharactersInRegex: the characters that must not be printed
const raw = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;

describe("visible", () => {
  test("writes what a terminal would obey or not show by its number", () => {
    expect(visible(hostile)).toBe(
      "\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{d}\\u{9b}31m\\u{7f}\\u{202e}txt\\u{2066}\\u{200b}\\u{e0041}\\u{feff}\\u{2028}\\u{d800}",
    );
  });

  test("leaves no control character but newline and tab, and no invisible one", () => {
    for (let code = 0; code <= 0x10ffff; code++) {
      const shown = visible(String.fromCodePoint(code));
      if (/[\p{C}\p{Zl}\p{Zp}]/u.test(shown) && !/^[\n\t\p{Cn}]$/u.test(shown))
        expect.fail(`U+${code.toString(16)} is shown as it is`);
    }
  });

  test.each(["def solution():\n\treturn 1\n", "größer ≤ 3 × 10⁻⁵ 数学 ½ é e\u0301 😀"])(
    "leaves ordinary text as it is: %j",
    (text) => expect(visible(text)).toBe(text),
  );
});

test("an error's message is safe for whoever prints it", () => {
  expect(new UserError(hostile).message).toBe(visible(hostile));
});

test("say and print make text safe", () => {
  say(hostile);
  print(hostile);
  expect(said.error).not.toMatch(raw);
  expect(said.log).not.toMatch(raw);
});

describe("a message about a file's content", () => {
  let file = "";
  beforeEach(() => {
    file = join(temporaryFolder(), "in.jsonl");
  });

  test.each([
    ["text that is no JSON", `{"id": ${hostile}`],
    ["the name of a field", `{"${"\x1b"}[2J": 1}`],
    ["a value of the wrong type", JSON.stringify({ id: 1, program: [hostile] })],
  ])("is safe for a terminal: %s", async (_, line) => {
    writeFileSync(file, `${line}\n`);
    expect(await main(["execute", "--input", file, "--output", `${file}.out`])).toBe(1);
    expect(said.stderr).toContain("in.jsonl:1");
    expect(said.stderr).not.toMatch(raw);
  });

  test("is safe where the command line itself is hostile", async () => {
    expect(await main(["execute", "--input", `/nowhere${hostile}`, "--output", file])).toBe(1);
    expect(await main([`--${hostile}`])).toBe(1);
    expect(said.stderr).not.toMatch(raw);
  });

  test("keeps a metric's name within its line", () => {
    const metric = { a: 0, b: 0, difference: 0, confidence95: [0, 0] as const, p: 1 };
    const table = comparisonTable({
      ...{ a: "a", b: "b", questions: 1, onlyA: ["x\ny"], onlyB: [], unlike: [] },
      metrics: { "top1\nforged": { ...metric, test: "exact McNemar" } as never },
    });
    expect(table).toContain("| top1\\nforged |");
    expect(table).toContain("Only in a: x\\ny");
  });
});
