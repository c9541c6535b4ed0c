import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { UserError } from "../../src/errors.ts";
import {
  appendJsonl,
  checkValue,
  parseJson,
  readJsonl,
  readText,
  writeJsonl,
} from "../../src/formats/jsonl.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const schema = z.strictObject({ a: z.number() });
let folder: string;
let path: string;

beforeEach(() => {
  folder = temporaryFolder();
  path = join(folder, "x.jsonl");
});

describe("readJsonl", () => {
  test("keeps line numbers across blank lines, CRLF and a missing last newline", () => {
    writeFileSync(path, '{"a":1}\r\n\n{"a":2}');
    expect(readJsonl(path, schema)).toEqual([
      { line: 1, value: { a: 1 } },
      { line: 3, value: { a: 2 } },
    ]);
  });

  test("reads characters and lines that lie across the pieces in which a file is read", () => {
    const values = Array.from({ length: 3 }, (_, a) => ({ a, text: "ä€😀".repeat(100_000 + a) }));
    writeJsonl(path, values);
    const lines = readJsonl(path, z.strictObject({ a: z.number(), text: z.string() }));
    expect(lines).toEqual(values.map((value, i) => ({ line: i + 1, value })));
  });

  test("keeps a key that nobody knows from making a line of its own in the message", () => {
    writeFileSync(path, '{"a\\nreft: done":1}');
    expect(() => readJsonl(path, z.strictObject({}))).toThrow('key: "a\\nreft: done"');
  });

  test("names the first of many mistakes, and how many more there are", () => {
    writeFileSync(path, `[${"0,".repeat(999)}0]`);
    const numbers = z.array(z.string());
    expect(() => readJsonl(path, numbers)).toThrow(/"7": expected a text, found 0; and 992 more$/);
  });

  test("says which types a value may have", () => {
    const schema = z.object({ id: z.union([z.string(), z.number()]) });
    const check = (value: unknown) => () => checkValue(value, "x", schema);
    expect(check({})).toThrow('x: "id" is missing, expected a text or a number');
    expect(check({ id: [] })).toThrow('x: "id": expected a text or a number, found []');
  });

  test.each([
    [z.string().min(1), "", 'expected a text that is not empty, found ""'],
    [z.array(z.number()).min(1), [], "expected a list that is not empty, found []"],
    [z.number().positive(), 0, "expected more than 0, found 0"],
    [z.int().max(9), 1e30, "expected at most 9, found 1e+30"],
    [z.literal("LORA"), "LOHA", 'expected "LORA", found "LOHA"'],
    [z.enum(["a", "b"]), "c", 'expected "a" or "b", found "c"'],
  ])("says in plain words what a value may be (%#)", (schema, value, message) => {
    expect(() => checkValue(value, "x", schema as z.ZodType)).toThrow(
      new UserError(`x: ${message}`),
    );
  });

  test("ignores a byte order mark", () => {
    writeFileSync(path, '\uFEFF{"a":1}\n');
    expect(readJsonl(path, schema)).toHaveLength(1);
  });

  test.each([
    ["cut JSON", '{"a":1}\n{"a":', /x\.jsonl:2: expected JSON, found \{"a":/],
    ["wrong type", '{"a":"1"}', /x\.jsonl:1: "a": expected a number, found "1"/],
    [
      "a key twice",
      '{"a":1}\n{"a":1,"a":2}',
      /x\.jsonl:2: expected every key once, found "a" twice/,
    ],
    ["missing key", "{}", /x\.jsonl:1: "a" is missing, expected a number/],
    ["unknown key", '{"a":1,"b":2}', /x\.jsonl:1: Unrecognized key: "b"/],
    ["no object", "[1]", /x\.jsonl:1: expected an object, found \[1\]/],
    ["empty file", "\n \n", /x\.jsonl: expected one JSON value per line, found an empty file/],
  ])("%s is a user's error that names the line", (_, text, message) => {
    writeFileSync(path, text);
    expect(() => readJsonl(path, schema)).toThrow(UserError);
    expect(() => readJsonl(path, schema)).toThrow(message);
  });

  test("quotes no line of a broken file as a line of the message", () => {
    const parse = () => parseJson('{\n"a": b\nreft: done\n}', "x.json", schema);
    expect(parse).toThrow(/^x\.json: expected JSON, found \{\\n"a": b\\nreft: done\\n\} \(.*\)$/);
  });

  test("says what to do about a path that cannot be read", () => {
    expect(() => readText(".")).toThrow(/^\.: cannot be read \(EISDIR.*: a folder stands where/);
  });

  test.each([
    ["Latin-1", '{"a":1}\n{"a":2}\n{"text":"caf\xe9"}\n', 3, '{"text":"caf\uFFFD"}'],
    ["half a character at the end", '{"a":1}\n"\xe2\x82', 2, '"\uFFFD'],
    ["half a character at a line's end", '{"a":1}\n"\xc3\n\xa9"', 2, '"\uFFFD'],
    ["UTF-16", "\xff\xfe{\0}\0\n\0", 1, "\uFFFD\uFFFD{\\u{0}}"],
    ["half a pair of UTF-16", '"\xed\xa0\x80"', 1, '"\uFFFD'],
  ])("%s is a user's error that names the line", (_, bytes, line, found) => {
    writeFileSync(path, bytes, "latin1");
    const read = () => readJsonl(path, z.union([schema, z.string()]));
    expect(read).toThrow(UserError);
    expect(read).toThrow(`${path}:${line}: expected UTF-8, found other bytes in ${found}`);
    expect(read).toThrow(/; save the file as UTF-8$/);
  });

  test("names the line of what is not UTF-8 far into a file, and shows the bytes around it", () => {
    const long = "ä".repeat(1_500_000);
    writeFileSync(path, `"${long}"\n"${long}`);
    appendFileSync(path, Buffer.from([0xff]));
    appendFileSync(path, `${long}"\n"fine"\n`);
    expect(() => readJsonl(path, z.string())).toThrow(
      `${path}:2: expected UTF-8, found other bytes in ${"ä".repeat(20)}\uFFFD${"ä".repeat(39)}...;`,
    );
  });

  test("another mistake before what is not UTF-8 comes first; a replacement character is one", () => {
    writeFileSync(path, '{"a":1}\n"\uFFFD"\n{"a":\n');
    appendFileSync(path, Buffer.from([0xff]));
    const text = z.union([schema, z.string()]);
    expect(() => readJsonl(path, text)).toThrow(/x\.jsonl:3: expected JSON/);
    writeFileSync(path, '"\uFFFD"\n');
    expect(readJsonl(path, text)).toEqual([{ line: 1, value: "\uFFFD" }]);
  });

  test("a missing file is a user's error", () => {
    expect(() => readJsonl(join(folder, "none"), schema)).toThrow(/none: no such file/);
    expect(() => readText(folder)).toThrow(UserError);
  });
});

describe("writeJsonl", () => {
  test("is read back, whatever the strings hold", () => {
    const values = [{ text: 'a\n"b"\u2028' }, { text: "🙂" }];
    writeJsonl(path, values);
    const read = readJsonl(path, z.strictObject({ text: z.string() }));
    expect(read.map(({ value }) => value)).toEqual(values);
  });

  test("leaves the old file and nothing else when a value cannot be written", () => {
    writeJsonl(path, [{ a: 1 }]);
    function* failing() {
      yield { a: 2 };
      throw new Error("no more");
    }
    expect(() => writeJsonl(path, failing())).toThrow("no more");
    expect(readFileSync(path, "utf8")).toBe('{"a":1}\n');
    expect(readdirSync(folder)).toEqual(["x.jsonl"]);
  });

  test("makes the folder; says what is in the way", () => {
    writeJsonl(join(folder, "new", "x.jsonl"), [{ a: 1 }]);
    expect(readdirSync(join(folder, "new"))).toEqual(["x.jsonl"]);
    writeJsonl(path, [{ a: 1 }]);
    expect(() => writeJsonl(join(path, "x"), [])).toThrow(
      `EEXIST: file already exists, mkdir '${path}'`,
    );
    expect(() => writeJsonl(join(folder, "new"), [])).toThrow(/EISDIR: .*new'/);
    expect(readdirSync(folder).sort()).toEqual(["new", "x.jsonl"]);
  });
});

test("appendJsonl adds a line and keeps those before it", () => {
  appendJsonl(path, { a: 1 });
  appendJsonl(path, { a: 2 });
  expect(readFileSync(path, "utf8")).toBe('{"a":1}\n{"a":2}\n');
});
