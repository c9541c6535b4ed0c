import { expect, test } from "vitest";
import { narrowToGguf, roundedToGguf } from "../../src/formats/ggufQuantize.ts";
import { readGolden } from "../support/golden.ts";

// scripts/golden/gguf_quantize.py
const golden = readGolden("gguf", "narrowed.safetensors");
const values = Float32Array.from(golden.get("values")!.values);

test.each(["F16", "BF16", "Q8_0"] as const)(
  "%s is narrowed as llama.cpp's package does",
  (type) => {
    const expected = Uint8Array.from(golden.get(type)!.values);
    expect(Buffer.from(narrowToGguf(values, type)).equals(expected)).toBe(true);
  },
);

test("float32 stays as it is", () => {
  expect(narrowToGguf(values, "F32")).toEqual(new Uint8Array(values.buffer));
  expect(roundedToGguf(values, "F32")).toEqual(values);
});

test("a block of which the scale is too small for any inverse becomes 0", () => {
  const tiny = new Float32Array(32).fill(1e-40);
  expect(narrowToGguf(tiny, "Q8_0")).toEqual(new Uint8Array(34));
});
