import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import { describe, expect, test } from "vitest";
import { readRowFile } from "../../../src/data/rowFiles/rowFile.ts";
import { temporaryFolder } from "../../support/temporaryFolder.ts";

const folder = temporaryFolder();
function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
const valuesIn = async (path: string) => (await readRowFile(path)).rows.map(({ values }) => values);
const linesIn = async (path: string) => (await readRowFile(path)).rows.map(({ line }) => line);
const mistakesIn = async (path: string) =>
  (await readRowFile(path)).mistakes.map((text) => text.replace(`${folder}/`, ""));

function parquet(columnData: ColumnSource[], codec: "UNCOMPRESSED" | "SNAPPY" = "SNAPPY") {
  return new Uint8Array(parquetWriteBuffer({ columnData, codec }));
}

type ParquetSchema = NonNullable<Parameters<typeof parquetWriteBuffer>[0]["schema"]>;

type Row = Readonly<Record<string, string>>;
const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`;
const csvOf = (names: readonly string[], rows: readonly Row[], end: string) =>
  [names, ...rows.map((row) => names.map((name) => row[name] ?? ""))]
    .map((cells) => cells.map(quoted).join(","))
    .join(end);

/** Texts with all that formats treat apart, but none that is empty: CSV cannot tell it from none. */
const text = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .map((t) => t.toWellFormed());
const awkward = fc.constantFrom(
  '"',
  "a,b",
  "1,234",
  "007",
  "x\ny",
  "x\r\ny",
  "\t",
  " 5 ",
  "null",
  "\\n",
  "ü\u{1f600}",
);
const row = fc.record(
  {
    question: fc.oneof(text, awkward),
    answer: fc.oneof(text, awkward),
    unit: fc.oneof(text, awkward),
  },
  { requiredKeys: ["question"] },
);

const columnsOf = (rows: readonly Row[]) =>
  ["question", "answer", "unit"].filter((name) => rows.some((row) => name in row));

test("the same rows are read from JSON lines, an array and CSV", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      async (given, crlf) => {
        const rows: Row[] = given;
        const read = [
          await valuesIn(file("a.jsonl", rows.map((r) => JSON.stringify(r)).join("\n"))),
          await valuesIn(file("a.json", JSON.stringify(rows, null, crlf ? 1 : 0))),
          await valuesIn(file("a.csv", csvOf(columnsOf(rows), rows, crlf ? "\r\n" : "\n"))),
        ];
        for (const values of read) expect(values).toEqual(rows);
      },
    ),
  );
});

test.each(["SNAPPY", "UNCOMPRESSED"] as const)("and from Parquet, %s", async (codec) => {
  // As many rows in fewer files, because each is read by a process of its own.
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 100 }), async (given) => {
      const rows: Row[] = given;
      const columns = columnsOf(rows).map((name) => ({
        name,
        data: rows.map((r) => r[name] ?? null),
        type: "STRING" as const,
      }));
      expect(await valuesIn(file("a.parquet", parquet(columns, codec)))).toEqual(rows);
    }),
    { numRuns: 5 },
  );
});

describe("JSON", () => {
  test("lines are those of the file, in JSON lines and in an array", async () => {
    expect(await linesIn(file("b.jsonl", '\n{"a": 1}\n\n{"a": "x"}\n'))).toEqual([2, 4]);
    const array = '[\n{"a": [1, {"b":\n 2}]}, {"a": "[,{"},\n\n {\n"a": "\\"\\n"}]';
    expect(await linesIn(file("b.json", array))).toEqual([2, 3, 5]);
  });

  test("JSON lines may be called .json", async () => {
    expect(await valuesIn(file("c.json", '{"a": 1}\n{"a": null, "b": 2}'))).toEqual([
      { a: 1 },
      { b: 2 },
    ]);
  });

  test("every line that is wrong is a mistake", async () => {
    const bad = '{"a": 1}\n{"a": \n[1]\n{"a": 1, "a": 2}\n{"b": 1}';
    expect(await mistakesIn(file("d.jsonl", bad))).toEqual([
      expect.stringMatching(/^d\.jsonl:2: expected JSON, found /),
      "d.jsonl:3: expected an object of columns",
      'd.jsonl:4: expected every key once, found "a" twice',
    ]);
    expect(await mistakesIn(file("d.json", '[{"a": 1},\n2,\n"x"]'))).toEqual([
      "d.json:2: expected an object of columns",
      "d.json:3: expected an object of columns",
    ]);
  });
});

describe("CSV", () => {
  test("knows the line of each row, whatever its line ends", async () => {
    for (const end of ["\n", "\r\n"]) {
      const content = ["\uFEFFa,b", '"x', 'y",1', "", "z,2"].join(end);
      expect(await linesIn(file("e.csv", content))).toEqual([2, 5]);
      expect((await valuesIn(file("e.csv", content)))[0]).toEqual({ a: `x${end}y`, b: "1" });
    }
  });

  test("leaves out cells that are empty and columns without a name", async () => {
    expect(await valuesIn(file("f.csv", ",a,b\n0,x,\n1,,y"))).toEqual([{ a: "x" }, { b: "y" }]);
    expect(await valuesIn(file("f.tsv", "a\tb\nx, y\t2"))).toEqual([{ a: "x, y", b: "2" }]);
  });

  test("names every row of another length, and the quote that is wrong", async () => {
    expect(await mistakesIn(file("g.csv", 'a,b\r\n1\r\n1,2,3\r\n1,2\r\n1,"x"y\r\n'))).toEqual([
      "g.csv:2: expected 2 values, as the first line has names, found 1; put quotes around a text with commas",
      "g.csv:3: expected 2 values, as the first line has names, found 3; put quotes around a text with commas",
      'g.csv:5: in the record that begins here, a cell goes on behind its closing quote; put quotes around the whole cell, and write each quote within it twice ("")',
    ]);
    for (const [content, problem] of [
      ['a,b\n5" pipe,2', "a quote stands within a cell that does not begin with one; put quotes"],
      ['a,b\n"x,2\ny,3', "a cell begins with a quote that nothing closes; put quotes"],
    ] as const)
      expect(await mistakesIn(file("g.csv", content))).toEqual([
        expect.stringContaining(`g.csv:2: in the record that begins here, ${problem}`),
      ]);
    await expect(readRowFile(file("g.csv", "a,a\n1,2"))).rejects.toThrow('found "a" twice');
    await expect(readRowFile(file("g.csv", "a;b\n1,5;2"))).rejects.toThrow("found semicolons");
    await expect(readRowFile(file("g.csv", Buffer.from("a\n\xe4", "latin1")))).rejects.toThrow(
      "UTF-8",
    );
  });
});

describe("Tabs", () => {
  test("a quote within a cell is one as it is, where nothing is quoted", async () => {
    const content = 'a\tb\n5" pipe\t2\n"x" y\t"3"\n"q""r"\t"s\nt"\n\u00fc"\t4';
    expect(await valuesIn(file("t.tsv", content))).toEqual([
      { a: '5" pipe', b: "2" },
      { a: '"x" y', b: "3" },
      { a: 'q"r', b: "s\nt" },
      { a: '\u00fc"', b: "4" },
    ]);
    expect(await linesIn(file("t.tsv", content))).toEqual([2, 3, 4, 6]);
  });

  test("a cell of several lines has to be quoted rightly", async () => {
    const content = 'a\tb\nz\t1\n"x\t2\ny "z" u\t3\n12"\t4\n';
    expect(await mistakesIn(file("t.tsv", content))).toEqual([
      expect.stringMatching(/^t\.tsv:3: in the record that begins here, a cell goes on behind/),
    ]);
    expect(await linesIn(file("t.tsv", content))).toEqual([2]);
  });
});

describe("Parquet", () => {
  test("reads whole numbers, dates and lists as JSON has them", async () => {
    const columns: ColumnSource[] = [
      { name: "answer", data: [7n, 2n ** 60n], type: "INT64" },
      { name: "share", data: [0.5, Number.NaN], type: "DOUBLE" },
      { name: "day", data: [new Date(0), new Date(1000)], type: "TIMESTAMP" },
      { name: "turns", data: [[{ role: "user" }], []], type: "JSON" },
    ];
    expect(await valuesIn(file("h.parquet", parquet(columns)))).toEqual([
      { answer: 7, share: 0.5, day: "1970-01-01T00:00:00.000Z", turns: [{ role: "user" }] },
      { answer: String(2n ** 60n), day: "1970-01-01T00:00:01.000Z", turns: [] },
    ]);
  });

  test("names rows with bytes that are no text, and files that are no Parquet", async () => {
    const image = { name: "image", data: [new Uint8Array([0xff])], type: "BYTE_ARRAY" as const };
    expect(await mistakesIn(file("i.parquet", parquet([image])))).toEqual([
      'i.parquet, row 1: "image": expected text or numbers, found bytes; leave it out',
    ]);
    await expect(readRowFile(file("i.parquet", "no"))).rejects.toThrow("cannot be read as Parquet");
  });

  test("refuses a column that stands twice, in a structure, too", async () => {
    const column: ColumnSource = { name: "answer", data: [1n], type: "INT64" };
    const twice = file("l.parquet", parquet([column, { ...column, data: [2n] }]));
    await expect(readRowFile(twice)).rejects.toThrow(
      `${twice}: expected every column once, found "answer" twice`,
    );
    const part = { repetition_type: "REQUIRED", type: "INT64" } as const;
    const schema: ParquetSchema = [
      { name: "root", num_children: 1 },
      { name: "unit", num_children: 2, repetition_type: "REQUIRED" },
      { name: "size", ...part },
      { name: "size", ...part },
    ];
    const columnData = [{ name: "unit", data: [{ size: 1n }] }];
    const nested = file("l.parquet", new Uint8Array(parquetWriteBuffer({ columnData, schema })));
    await expect(readRowFile(nested)).rejects.toThrow('found "unit.size" twice');
  });

  test("keeps all that a timestamp says", async () => {
    const at = (unit: "MICROS" | "NANOS", data: bigint[]) => {
      const logical_type = { type: "TIMESTAMP", isAdjustedToUTC: true, unit } as const;
      const name = {
        name: "at",
        repetition_type: "REQUIRED",
        type: "INT64",
        logical_type,
      } as const;
      const schema: ParquetSchema = [{ name: "root", num_children: 1 }, name];
      const columnData = [{ name: "at", data }];
      return file("m.parquet", new Uint8Array(parquetWriteBuffer({ columnData, schema })));
    };
    expect(await valuesIn(at("MICROS", [1_000_001n, 2_000_000n, -1n]))).toEqual([
      { at: "1970-01-01T00:00:01.000001Z" },
      { at: "1970-01-01T00:00:02.000Z" },
      { at: "1969-12-31T23:59:59.999999Z" },
    ]);
    expect(await valuesIn(at("MICROS", [2n ** 63n - 1n, -(2n ** 63n)]))).toEqual([{}, {}]); // no date
    expect(await valuesIn(at("NANOS", [1_000_000_120n]))).toEqual([
      { at: "1970-01-01T00:00:01.00000012Z" },
    ]);
  });

  test("gives up on a file whose pages say that they have values without end", async () => {
    const bytes = parquet([{ name: "n", data: [1n, 2n, null], type: "INT64" }], "UNCOMPRESSED");
    bytes.set([0xfe, 0xff, 0xff, 0xff, 0x0f], 25); // a run of 2^31 levels, behind the first page's header
    await expect(readRowFile(file("j.parquet", bytes))).rejects.toThrow(
      /it takes more than (?:2 s|512 MB)$/,
    );
  });
});

test("a file of another kind, without rows or without a file is refused", async () => {
  await expect(readRowFile(file("j.txt", "a"))).rejects.toThrow(
    "expected a file whose name ends in .jsonl, .ndjson, .json, .csv, .tsv, .parquet",
  );
  for (const [name, content] of [
    ["k.jsonl", "\n"],
    ["k.json", "[]"],
    ["k.csv", "a,b\n"],
  ] as const)
    await expect(readRowFile(file(name, content))).rejects.toThrow("expected rows, found none");
  for (const none of ["none.csv", "none"])
    await expect(readRowFile(join(folder, none))).rejects.toThrow("no such file");
  await expect(readRowFile(folder)).rejects.toThrow("expected a file of rows, found a folder");
});
