import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import { openGguf } from "../../src/formats/gguf.ts";
import { Rng } from "../../src/rng.ts";
import { goldenPath, readGolden } from "../support/golden.ts";
import { processorSeconds } from "../support/processorSeconds.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

// Written, and dequantised, by llama.cpp's own Python package: scripts/golden/gguf_files.py.
const path = goldenPath("gguf", "types.gguf");

describe("openGguf", () => {
  using file = openGguf(path);

  test("reads metadata of every kind", () => {
    expect(Object.fromEntries(file.metadata)).toMatchObject({
      "general.architecture": "llama",
      "test.u8": 200,
      "test.i8": -100,
      "test.u16": 60_000,
      "test.i16": -30_000,
      "test.u32": 4_000_000_000,
      "test.i32": -2_000_000_000,
      "test.f32": Math.fround(0.1),
      "test.bool": true,
      "test.string": "naïve 🙂",
      "test.u64": 2 ** 40,
      "test.i64": -(2 ** 40),
      "test.f64": 0.1,
      "test.strings": ["a", "", "ü"],
      "test.numbers": [3, -1, 2],
    });
  });

  test("has shapes as PyTorch has them", () => {
    expect(file.shapes.get("F32")).toEqual([3, 512]);
    expect(file.shapes.get("Q4_K")).toEqual([3, 512]);
  });
});

describe("readFloat32", () => {
  const golden = readGolden("gguf", "types.safetensors");

  test.each([...golden.keys()])(
    "%s is widened to the bits that llama.cpp's package finds",
    (name) => {
      using file = openGguf(path);
      expect(file.readFloat32(name)).toEqual(golden.get(name)!.values);
    },
  );

  test("all supported types are covered", () => {
    const names = ["BF16", "F16", "F32", "Q4_0", "Q4_1", "Q4_K", "Q5_0", "Q5_1", "Q6_K", "Q8_0"];
    expect([...golden.keys()].toSorted()).toEqual(names);
  });

  test("refuses a type that is not supported by its name", () => {
    using file = openGguf(path);
    expect(() => file.readFloat32("Q2_K")).toThrow(UserError);
    expect(() => file.readFloat32("Q2_K")).toThrow(
      /tensor "Q2_K" is of type Q2_K, which is not supported; supported are F32, .*Q6_K/,
    );
  });

  test("names a tensor that is not there", () => {
    using file = openGguf(path);
    expect(() => file.readFloat32("output.weight")).toThrow(/has no tensor "output\.weight"/);
  });
});

describe("a file that is damaged or of another kind", () => {
  const folder = temporaryFolder();

  const bytes = readFileSync(path);
  const written = (content: Uint8Array): string => {
    const place = join(folder, "file.gguf");
    writeFileSync(place, content);
    return place;
  };
  const patched = (at: number, ...values: number[]): string => {
    const copy = Uint8Array.from(bytes);
    copy.set(values, at);
    return written(copy);
  };
  const open = (place: string) => () => openGguf(place).close();

  test("is named when it does not exist, is a folder, or is something else", () => {
    expect(open(join(folder, "none.gguf"))).toThrow(/none\.gguf: no such file; check the path/);
    expect(open(folder)).toThrow(/expected a GGUF file, found a folder/);
    expect(open(patched(0, 0x50, 0x4b))).toThrow(/not a valid GGUF file.*start with "GGUF"/);
  });

  test("is refused when its version or order of bytes is not supported", () => {
    expect(open(patched(4, 1))).toThrow(/version 1 of GGUF is not supported/);
    expect(open(patched(4, 0, 0, 0, 3))).toThrow(/a big-endian file of GGUF is not supported/);
  });

  test("is refused wherever its header was cut", () => {
    for (let length = 0; length < 900; length += 37)
      expect(open(written(bytes.subarray(0, length)))).toThrow(/not a valid GGUF file/);
    expect(open(written(bytes.subarray(0, 600)))).toThrow(
      /ends after 600 bytes, inside its header/,
    );
  });

  test("is refused when a tensor reaches beyond its end", () => {
    const cut = written(bytes.subarray(0, bytes.length - 400));
    expect(open(cut)).toThrow(
      /"Q6_K" \[3,512\] reaches beyond the end of 15408 bytes; the file is truncated/,
    );
  });

  test("is refused when a count makes no sense", () => {
    const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    expect(open(patched(8, ...huge))).toThrow(/tensors, more than it has bytes for/);
    expect(open(patched(16, ...huge))).toThrow(/metadata entries, more than it has bytes for/);
    expect(open(patched(24, ...huge))).toThrow(/inside its header; the file is truncated/);
  });
});

describe("a file that was made to do harm", () => {
  const folder = temporaryFolder();
  const path = join(folder, "hostile.gguf");

  const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
  const u64 = (value: number | bigint) => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
  const text = (value: string) => {
    const encoded = Buffer.from(value);
    return Buffer.concat([u64(encoded.length), encoded]);
  };
  const number = (key: string, value: number) => Buffer.concat([text(key), u32(4), u32(value)]);
  const float32 = 0;
  const tensor = (name: string, shape: readonly (number | bigint)[], offset: number | bigint) =>
    Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(float32), u64(offset)]);

  /** What opening a file says that has this header, filled up with zeros to a size. */
  function messageOf(
    metadata: readonly Uint8Array[],
    tensors: readonly Uint8Array[] = [],
    size = 4096,
  ): string {
    const counts = [u64(tensors.length), u64(metadata.length)];
    writeFileSync(
      path,
      Buffer.concat([Buffer.from("GGUF"), u32(3), ...counts, ...metadata, ...tensors]),
    );
    if (size > statSync(path).size) truncateSync(path, size);
    try {
      openGguf(path).close();
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      return (error as UserError).message;
    }
    return "opened";
  }

  const gibibyte = 2 ** 30;
  test.each<[string, () => string, RegExp]>([
    [
      "control characters in a key",
      () => messageOf([text("\u001b[2J\u0007"), u32(99)]),
      /"\\u001b\[2J\\u0007" has the unknown type 99/,
    ],
    [
      "arrays in arrays",
      () => messageOf([Buffer.concat([text("x"), u32(9), u32(9), u64(1), u32(9), u64(1)])]),
      /the array "x" has elements of the type array/,
    ],
    [
      "a long key",
      () => messageOf([u64(3 * gibibyte)], [], 3 * gibibyte + 200),
      /a text of 3221225472 bytes, allowed are 65535 there/,
    ],
    [
      "a long text",
      () => messageOf([Buffer.concat([text("x"), u32(8), u64(gibibyte)])], [], 2 * gibibyte),
      /a text of 1073741824 bytes, allowed are 67108864 there/,
    ],
    [
      "a long array",
      () => messageOf([Buffer.concat([text("x"), u32(9), u32(0), u64(2 ** 28)])], [], gibibyte),
      /has 268435456 values in "x"; all together may be 4194304/,
    ],
    [
      "an array that is longer than the file has room for",
      () => messageOf([Buffer.concat([text("x"), u32(9), u32(8), u64(1000)])]),
      /says it has 1000 values in "x", more than it has bytes for/,
    ],
    [
      "long arrays",
      () => {
        const arrays = ["a", "b", "c"].map((key) =>
          Buffer.concat([text(key), u32(9), u32(0), u64(2 ** 21), Buffer.alloc(2 ** 21)]),
        );
        return messageOf(arrays);
      },
      /values in "b"; all together may be 4194304/,
    ],
    [
      "a key that stands twice",
      () => messageOf([number("x", 1), number("x", 2)]),
      /"x" stands twice/,
    ],
    ["no alignment", () => messageOf([number("general.alignment", 0)]), /must be a power of two/],
    [
      "an odd alignment",
      () => messageOf([number("general.alignment", 3)]),
      /must be a power of two/,
    ],
    [
      "a long name of a tensor",
      () => messageOf([], [tensor("x".repeat(300), [1], 0)]),
      /300 bytes/,
    ],
    [
      "control characters in a tensor's name",
      () => messageOf([], [tensor("\u001b[31m", [1, 1, 1, 1, 1], 0)]),
      /tensor "\\u001b\[31m" has 5 dimensions/,
    ],
    [
      "a size beyond all numbers",
      () => messageOf([], [tensor("x", [2n ** 63n, 2n ** 63n, 2n ** 63n], 0)]),
      /"x" \[\d+,\d+,\d+\] reaches beyond the end/,
    ],
    [
      "a size that is none",
      () => messageOf([], [tensor("x", [0, 2n ** 63n, 2n ** 63n], 2n ** 63n)]),
      /reaches beyond the end/,
    ],
    ["an offset beyond the file", () => messageOf([], [tensor("x", [1], 9e9)]), /beyond the end/],
    [
      "tensors that share their bytes",
      () => messageOf([], [tensor("x", [8], 0), tensor("y", [8], 16)]),
      /"y" overlaps the one before it/,
    ],
    [
      "two tensors of a name",
      () => messageOf([], [tensor("x", [1], 0), tensor("x", [1], 32)]),
      /twice/,
    ],
  ])("with %s is refused at once", (_, messageOfOpening, expected) => {
    expect(processorSeconds(() => expect(messageOfOpening()).toMatch(expected))).toBeLessThan(5);
    rmSync(path);
  });

  test("is refused with a message or read, whatever bytes of a good file were changed", () => {
    const bytes = readFileSync(goldenPath("gguf", "types.gguf"));
    const rng = Rng.named(1, "damage");
    const counts = { read: 0, refused: 0 };
    for (let trial = 0; trial < 500; trial++) {
      const copy = Uint8Array.from(bytes);
      for (let change = 0; change < 3; change++) copy[rng.integer(1800)] = rng.integer(256);
      writeFileSync(path, copy);
      try {
        openGguf(path).close();
        counts.read++;
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        counts.refused++;
      }
    }
    expect(counts.read).toBeGreaterThan(50);
    expect(counts.refused).toBeGreaterThan(50);
  });
});

test("a byte order mark in a text belongs to it", () => {
  const source = readFileSync(path);
  const at = source.indexOf("naïve");
  const place = join(temporaryFolder(), "mark.gguf");
  const copy = Buffer.from(source);
  copy.write("\uFEFFve", at); // as many bytes as "naïv" has
  writeFileSync(place, copy);
  using file = openGguf(place);
  expect(String(file.metadata.get("test.string")).startsWith("\uFEFF")).toBe(true);
});
