import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { openBlockFile } from "../../src/formats/blockFile.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const manifest = { seed: 1, data: "abc" };
let path: string;
beforeEach(() => {
  path = join(temporaryFolder(), "x.jsonl");
});

/** Blocks of two lines, five lines in all. */
const open = (given = manifest as Parameters<typeof openBlockFile>[1]) =>
  openBlockFile(path, given, 2, 5);
const lines = (...values: number[]) => values.map((value) => `{"value":${value}}\n`).join("");
const block = (...values: number[]) => values.map((value) => ({ value }));

test("a file grows by blocks, also over several openings", () => {
  const first = open();
  expect(first.lines).toBe(0);
  first.append(block(1, 2));
  const second = open();
  expect(second.lines).toBe(2);
  second.append(block(3, 4));
  second.append(block(5));
  expect(open().lines).toBe(5);
  expect(readFileSync(path, "utf8")).toBe(lines(1, 2, 3, 4, 5));
});

test.each([
  ["a line", () => appendFileSync(path, lines(3))],
  ["a torn line", () => appendFileSync(path, '{"valu')],
  ["a block without its last newline", () => appendFileSync(path, lines(3, 4).slice(0, -1))],
])("%s after the last whole block is cut off", (_, tear) => {
  open().append(block(1, 2));
  tear();
  expect(open().lines).toBe(2);
  expect(readFileSync(path, "utf8")).toBe(lines(1, 2));
});

test("the last, smaller block is whole", () => {
  open().append(block(1, 2, 3, 4, 5));
  expect(open().lines).toBe(5);
  truncateSync(path, lines(1, 2, 3, 4, 5).length - 1);
  expect(open().lines).toBe(4);
});

test("blocks are found in a file that is longer than what is read at once", () => {
  const long = "x".repeat(700_000);
  const file = open();
  file.append([long, long]);
  file.append([long]);
  expect(open().lines).toBe(2);
  expect(readFileSync(path, "utf8")).toBe(`"${long}"\n"${long}"\n`);
});

test("another manifest is refused, with every difference", async () => {
  open().append(block(1, 2));
  expect(await userErrorOf(() => open({ seed: 2, data: "abc", slots: 3 }))).toBe(
    `${path}: was made with other settings or inputs:\n  seed: was 1, is now 2\n  slots: was not set, is now 3\n` +
      "Give the same ones to go on, or another output to start anew.",
  );
  expect(readFileSync(path, "utf8")).toBe(lines(1, 2));
});

test("a file that something else made is left alone", async () => {
  writeFileSync(path, "precious\n");
  expect(await userErrorOf(() => open())).toContain("expected nothing there");
  expect(readFileSync(path, "utf8")).toBe("precious\n");
  expect(existsSync(path.replace(".jsonl", ".manifest.json"))).toBe(false);
});

describe("a damaged file", () => {
  const isLine = (value: unknown, index: number) =>
    (value as { value: number }).value === index + 1;
  const openChecked = () => openBlockFile(path, manifest, 2, 5, isLine);

  test.each([
    [
      "other text within",
      '{"value":1}\n{"val\n{"value":3}\n{"value":4}\n',
      ":2: damaged: expected the",
    ],
    [
      "a line that is not there any more",
      lines(1, 3, 4, 5),
      ":2: damaged: expected the line that was",
    ],
    ["a line twice", lines(1, 2, 2, 3), ":3: damaged: expected the line that was written there"],
    ["a key twice", '{"value":9,"value":1}\n{"value":2}\n', ":1: damaged: expected the line"],
    ["a byte that is no text", '{"value":1}\n\xff\n', ":2"],
    ["more lines than the complete one", lines(1, 2, 3, 4, 5, 6), ":6: damaged: expected the end"],
  ])("with %s is noticed at once, and stays as it is", async (_, text, message) => {
    openChecked();
    const bytes = Buffer.from(text, "latin1");
    writeFileSync(path, bytes);
    expect(await userErrorOf(openChecked)).toContain(`${path}${message}`);
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  test("goes on after what the message says", async () => {
    openChecked().append(block(1, 2, 9, 4));
    expect(await userErrorOf(openChecked)).toContain("keep the lines before it alone (head -n 2)");
    writeFileSync(path, lines(1, 2));
    expect(openChecked().lines).toBe(2);
  });
});
