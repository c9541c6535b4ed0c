import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import { openGguf } from "../../src/model/gguf.ts";
import { goldenPath, readGolden } from "../support/golden.ts";
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
      /tensor Q2_K is of type Q2_K, which is not supported; supported are F32, .*Q6_K/,
    );
  });

  test("names a tensor that is not there", () => {
    using file = openGguf(path);
    expect(() => file.readFloat32("output.weight")).toThrow(/has no tensor output\.weight/);
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
    using file = openGguf(written(bytes.subarray(0, bytes.length - 400)));
    expect(() => file.readFloat32("Q2_K")).toThrow(/not supported/);
    expect(() => file.readFloat32("Q6_K")).toThrow(/Q6_K \[3,512\] reaches beyond the end/);
    expect(file.readFloat32("F32")).toHaveLength(1536);
  });

  test("is refused when a count makes no sense", () => {
    const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    expect(open(patched(8, ...huge))).toThrow(/tensors, more than it has bytes/);
    expect(open(patched(16, ...huge))).toThrow(/metadata entries, more than it has bytes/);
    expect(open(patched(24, ...huge))).toThrow(/inside its header; the file is truncated/);
  });
});
