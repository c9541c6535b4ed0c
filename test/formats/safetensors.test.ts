import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
// @ts-expect-error the package has no types
import untypedPackage from "safetensors";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import { openSafetensors, writeSafetensors } from "../../src/formats/safetensors.ts";
import { goldenPath } from "../support/golden.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

/** What the npm package `safetensors` can do: raw bytes out of a file without metadata. */
const { SafeTensor } = untypedPackage as {
  SafeTensor: new (bytes: Uint8Array) => { getTensor(name: string): Uint8Array };
};

const folder = temporaryFolder();

const dtypesFile = goldenPath("formats", "dtypes.safetensors");
const pair = new Map([
  ["b", { dtype: "F32" as const, shape: [2], data: Float32Array.of(1, 2) }],
  ["a", { dtype: "I32" as const, shape: [1, 1], data: Int32Array.of(-7) }],
]);

/** A file with this header text and this many bytes of data; returns its path. */
function fileWith(header: string | Buffer, dataBytes: number): string {
  const text = Buffer.from(header as string);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const path = join(folder, "crafted.safetensors");
  writeFileSync(path, Buffer.concat([length, text, Buffer.alloc(dataBytes)]));
  return path;
}

function entry(dtype: string, shape: unknown, offsets: unknown): string {
  return JSON.stringify({ dtype, shape, data_offsets: offsets });
}

function messageOfOpening(path: string): string {
  try {
    openSafetensors(path).close();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as UserError).message;
  }
  throw new Error("the file was opened");
}

describe("openSafetensors", () => {
  test("lists names, types and shapes without reading the tensors", () => {
    using file = openSafetensors(dtypesFile);
    expect(file.metadata).toEqual({ format: "pt" });
    expect(file.tensors.size).toBe(13);
    expect(file.tensors.get("z.float32")).toMatchObject({ dtype: "F32", shape: [3, 5] });
    expect(file.tensors.get("a.float32")).toMatchObject({ dtype: "F32", shape: [] });
    expect(file.tensors.get("empty")).toMatchObject({ dtype: "F32", shape: [0, 3] });
  });

  test("reads every type in an array of its own", () => {
    using file = openSafetensors(dtypesFile);
    expect(file.read("int64")).toEqual(BigInt64Array.of(1n, -2n, 2n ** 53n + 1n));
    expect(file.read("int32")).toEqual(Int32Array.of(1, -2));
    expect(file.read("int16")).toEqual(Int16Array.of(-3));
    expect(file.read("int8")).toEqual(Int8Array.of(-4));
    expect(file.read("uint8")).toEqual(Uint8Array.of(250, 1));
    expect(file.read("bool")).toEqual(Uint8Array.of(1, 0, 1));
    expect(file.read("float64")).toBeInstanceOf(Float64Array);
    expect(file.read("bfloat16")).toBeInstanceOf(Uint16Array);
    expect(file.readFloat32("a.float32")).toEqual(Float32Array.of(1.5));
    expect(file.read("empty")).toEqual(new Float32Array(0));
  });

  test("widens 16-bit tensors longer than one piece", () => {
    // Two pieces and a bit; 1.5 is 0x3fc0 in bfloat16, the last element is -2
    const length = 2 ** 23 + 3;
    const data = new Uint16Array(length).fill(0x3fc0);
    data[length - 1] = 0xc000;
    const path = join(folder, "long.safetensors");
    writeSafetensors(path, new Map([["long", { dtype: "BF16", shape: [length], data }]]));
    using file = openSafetensors(path);
    const wide = file.readFloat32("long");
    expect(wide.length).toBe(length);
    expect([wide[0], wide[2 ** 22], wide[2 ** 23], wide[length - 1]]).toEqual([1.5, 1.5, 1.5, -2]);
  });

  test("agrees with the npm package safetensors byte for byte", () => {
    using file = openSafetensors(dtypesFile);
    const bytes = readFileSync(dtypesFile);
    const headerEnd = 8 + Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.toString("utf8", 8, headerEnd)) as Record<string, unknown>;
    delete header.__metadata__; // the package cannot read it
    const path = fileWith(JSON.stringify(header), 0);
    const other = new SafeTensor(
      Uint8Array.from(Buffer.concat([readFileSync(path), bytes.subarray(headerEnd)])),
    );
    for (const name of file.tensors.keys()) {
      const mine = file.read(name);
      const theirs = Buffer.from(other.getTensor(name));
      expect(Buffer.from(mine.buffer, mine.byteOffset, mine.byteLength)).toEqual(theirs);
    }
  });

  test("says which tensors there are when one is asked for that is not", () => {
    using file = openSafetensors(dtypesFile);
    expect(() => file.read("lm_head.weight")).toThrow(
      /has no tensor "lm_head.weight"; it has "int64", .* and 8 more/,
    );
  });

  test("refuses to take integers for floats", () => {
    using file = openSafetensors(dtypesFile);
    expect(() => file.readFloat32("int32")).toThrow(
      'tensor "int32" is of type I32, which is not supported; weights must be F32, F16 or BF16',
    );
  });

  test("notices that a file was cut while it was open", () => {
    const path = join(folder, "cut.safetensors");
    writeSafetensors(path, pair);
    using file = openSafetensors(path);
    truncateSync(path, 100);
    expect(() => file.read("a")).toThrow(UserError);
    expect(() => file.read("a")).toThrow("became shorter while it was being read");
  });

  test("can be closed twice", () => {
    const file = openSafetensors(dtypesFile);
    file.close();
    file.close();
    expect(() => file.read("int32")).toThrow();
  });

  test("opens a file without metadata, and one without tensors", () => {
    const path = fileWith(`{"a":${entry("U8", [3], [0, 3])}}`, 3);
    using file = openSafetensors(path);
    expect(file.metadata).toEqual({});
    expect(file.read("a")).toEqual(new Uint8Array(3));
    using empty = openSafetensors(fileWith("{}  ", 0));
    expect(empty.tensors.size).toBe(0);
  });

  test("treats names that JavaScript objects have as names like others", () => {
    const header = `{"__proto__":${entry("U8", [1], [0, 1])},"constructor":${entry("U8", [1], [1, 2])}}`;
    using file = openSafetensors(fileWith(header, 2));
    expect([...file.tensors.keys()]).toEqual(["__proto__", "constructor"]);
  });

  const one = entry("F32", [2], [0, 8]);
  test.each([
    ["bytes cut off the end", `{"a":${one}}`, 7, /truncated/],
    ["bytes behind the last tensor", `{"a":${one}}`, 9, /bytes after the last tensor/],
    ["overlapping tensors", `{"a":${one},"b":${entry("F32", [2], [4, 12])}}`, 12, /"b" overlaps/],
    ["the same bytes twice", `{"a":${one},"b":${one}}`, 8, /"b" overlaps/],
    ["a hole between tensors", `{"a":${one},"b":${entry("F32", [2], [9, 17])}}`, 17, /hole/],
    ["a hole before the first tensor", `{"a":${entry("F32", [2], [1, 9])}}`, 9, /hole/],
    ["a shape that needs more bytes", `{"a":${entry("F32", [3], [0, 8])}}`, 8, /needs 12 bytes/],
    ["a shape beyond counting", `{"a":${entry("F32", [2 ** 40, 2 ** 40], [0, 8])}}`, 8, /needs/],
    ["a negative size", `{"a":${entry("F32", [-2], [0, 8])}}`, 8, /shape must be sizes/],
    ["a fractional size", `{"a":${entry("F32", [0.5], [0, 2])}}`, 2, /shape must be sizes/],
    ["a shape that is no list", `{"a":${entry("F32", 2, [0, 8])}}`, 8, /shape must be sizes/],
    ["offsets that run backwards", `{"a":${entry("F32", [2], [8, 0])}}`, 8, /data_offsets/],
    ["offsets before the data", `{"a":${entry("F32", [2], [-8, 0])}}`, 0, /data_offsets/],
    ["three offsets", `{"a":${entry("F32", [2], [0, 8, 8])}}`, 8, /data_offsets/],
    [
      "an unknown type",
      `{"a":${entry("F31", [2], [0, 8])}}`,
      8,
      /"a" is of type F31, which is not supp/,
    ],
    ["a type that objects have", `{"a":${entry("toString", [2], [0, 8])}}`, 8, /dtype/],
    ["an unknown field", '{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1}}', 1, /"x"/],
    ["an entry that is no object", '{"a":[1]}', 0, /must be an object/],
    ["a name that stands twice", `{"a":${one},"a":${one}}`, 8, /"a" stands twice/],
    ["a name that stands twice, escaped", `{"a":${one},"\\u0061" :${one}}`, 8, /"a" stands twice/],
    [
      "a field twice",
      '{"a":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}}',
      1,
      /twice/,
    ],
    ["metadata that is no text", '{"__metadata__":{"n":1}}', 0, /__metadata__/],
    ["metadata that is a list", '{"__metadata__":[]}', 0, /__metadata__/],
    ["a list for a header", "[]", 0, /must start with "\{"/],
    ["a header with space before it", " {}", 0, /must start with "\{"/],
    ["an empty header", "", 0, /must start with "\{"/],
    ["a header that is not JSON", '{"a":', 0, /not JSON/],
    ["a header with something behind it", "{} x", 0, /not JSON/],
    ["a header that is not UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 0, /not UTF-8/],
  ])("refuses %s", (_, header, dataBytes, expected) => {
    expect(messageOfOpening(fileWith(header, dataBytes))).toMatch(expected);
  });

  test("refuses a header that is nested too deeply to parse", () => {
    const deep = `{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
    expect(messageOfOpening(fileWith(deep, 0))).toMatch(/not a valid safetensors file/);
  });

  test.each(["dtype", "shape", "data_offsets"])("shows a deep or long %s in short", (field) => {
    const fields = { dtype: '"F32"', shape: "[2]", data_offsets: "[0,8]" };
    for (const value of [
      `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
      `["${"x".repeat(10_000)}"]`,
    ]) {
      const pairs = Object.entries({ ...fields, [field]: value });
      const written = pairs.map(([name, json]) => `"${name}":${json}`).join();
      const message = messageOfOpening(fileWith(`{"a":{${written}}}`, 8));
      expect(message).toContain(`tensor "a": ${field} must be`);
      expect(message.length).toBeLessThan(400);
    }
  });

  test("says in one line what is wrong with a name full of control characters", () => {
    const name = `\u001b[2J\n${"x".repeat(1000)}`;
    const message = messageOfOpening(
      fileWith(`{${JSON.stringify(name)}:${entry("F32", [3], [0, 8])}}`, 8),
    );
    expect([...message].every((char) => char >= " ")).toBe(true);
    expect(message.length).toBeLessThan(400);
  });

  test("refuses a header longer than the file, and one longer than is allowed", () => {
    const path = fileWith("{}", 0);
    const bytes = readFileSync(path);
    bytes.writeBigUInt64LE(100n);
    writeFileSync(path, bytes);
    expect(messageOfOpening(path)).toMatch(/header of 100 bytes in a file of 10; it is truncated/);
    bytes.writeBigUInt64LE(2n ** 63n);
    writeFileSync(path, bytes);
    expect(messageOfOpening(path)).toMatch(/allowed are 100000000/);
  });

  test("refuses files that are no safetensors at all", () => {
    const path = join(folder, "other");
    writeFileSync(path, "");
    expect(messageOfOpening(path)).toMatch(/at least 8 bytes, found 0/);
    writeFileSync(path, "version https://git-lfs.github.com/spec/v1\n");
    expect(messageOfOpening(path)).toMatch(/Git LFS pointer/);
    expect(messageOfOpening(folder)).toMatch(/found a folder/);
    expect(messageOfOpening(join(folder, "nowhere"))).toMatch(
      /nowhere: no such file; check the path/,
    );
  });
});

describe("writeSafetensors", () => {
  test.each(["dtypes", "rounding"])("writes the bytes of Python's library: %s", (name) => {
    const path = goldenPath("formats", `${name}.safetensors`);
    using file = openSafetensors(path);
    const tensors = [...file.tensors].map(
      ([key, { dtype, shape }]) => [key, { dtype, shape, data: file.read(key) }] as const,
    );
    const copy = join(folder, `${name}.safetensors`);
    writeSafetensors(copy, new Map(tensors.reverse()));
    expect(readFileSync(copy).equals(readFileSync(path))).toBe(true);
  });

  test.each(["multi-head", "wide-heads"])("writes %s as transformers saved it", (variant) => {
    const path = goldenPath("models", variant, "model.safetensors");
    using file = openSafetensors(path);
    const tensors = [...file.tensors].map(
      ([key, { dtype, shape }]) => [key, { dtype, shape, data: file.readFloat32(key) }] as const,
    );
    const copy = join(folder, "model.safetensors");
    writeSafetensors(copy, new Map(tensors));
    expect(readFileSync(copy).equals(readFileSync(path))).toBe(true);
  });

  test.each(["bf16", "f16"])("rounds a Float32Array to %s shards as they were", (format) => {
    const models = goldenPath("models", `sharded-${format}`);
    for (const shard of readdirSync(models).filter((name) => name.startsWith("model-"))) {
      using file = openSafetensors(join(models, shard));
      const tensors = [...file.tensors].map(
        ([key, { dtype, shape }]) => [key, { dtype, shape, data: file.readFloat32(key) }] as const,
      );
      const copy = join(folder, shard);
      writeSafetensors(copy, new Map(tensors));
      expect(readFileSync(copy).equals(readFileSync(join(models, shard)))).toBe(true);
    }
  });

  test("puts further metadata behind the format", () => {
    const path = join(folder, "metadata.safetensors");
    writeSafetensors(path, pair, { step: "12" });
    expect(readFileSync(path).toString("latin1", 8)).toMatch(
      /^\{"__metadata__":\{"format":"pt","step":"12"\},/,
    );
    using file = openSafetensors(path);
    expect(file.metadata).toEqual({ format: "pt", step: "12" });
  });

  test("writes a view of an array, not the array around it", () => {
    const path = join(folder, "view.safetensors");
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    writeSafetensors(path, new Map([["view", { dtype: "F32", shape: [2], data }]]));
    using file = openSafetensors(path);
    expect(file.read("view")).toEqual(Float32Array.of(2, 3));
  });

  test("asks for each tensor's data once, in the order of the file", () => {
    const asked: string[] = [];
    const lazy = (name: string) => ({
      dtype: "F32" as const,
      shape: [1],
      get data() {
        asked.push(name);
        return Float32Array.of(0);
      },
    });
    writeSafetensors(
      join(folder, "lazy.safetensors"),
      new Map(["c", "a", "b"].map((name) => [name, lazy(name)])),
    );
    expect(asked).toEqual(["a", "b", "c"]);
  });

  test("leaves the old file and no other when the data do not fit the shape", () => {
    const home = join(folder, "unfit");
    mkdirSync(home);
    const path = join(home, "model.safetensors");
    writeSafetensors(path, pair);
    const before = readFileSync(path);
    const wrong = new Map([
      ["a", { dtype: "F32" as const, shape: [3], data: new Float32Array(2) }],
    ]);
    expect(() => writeSafetensors(path, wrong)).toThrow(
      '"a": expected a Float32Array for F32 [3], got a Float32Array of 2',
    );
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(home)).toEqual(["model.safetensors"]);
  });

  // Writing to this device fails as writing to a full disk does.
  test.skipIf(!existsSync("/dev/full"))("keeps the old file when the disk is full", () => {
    const home = join(folder, "full");
    mkdirSync(home);
    const path = join(home, "model.safetensors");
    writeSafetensors(path, pair);
    const before = readFileSync(path);
    symlinkSync("/dev/full", join(home, `.model.safetensors.${process.pid}.tmp`));
    expect(() => writeSafetensors(path, pair)).toThrow(
      `ENOSPC: no space left on device, write '${path}'`,
    );
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(home)).toEqual(["model.safetensors"]);
  });
});
