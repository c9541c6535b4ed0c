import { describe, expect, test } from "vitest";
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from "../../src/formats/halfFloats.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { goldenPath } from "../support/golden.ts";

const formats = [
  { name: "float16", narrow: float32ToFloat16, widen: float16ToFloat32, nanAbove: 0x7c00 },
  { name: "bfloat16", narrow: float32ToBfloat16, widen: bfloat16ToFloat32, nanAbove: 0x7f80 },
];

/** The bits of every number of a format, NaNs left out. */
function everyNumber(nanAbove: number): Uint16Array {
  return Uint16Array.from({ length: 65536 }, (_, bits) => bits).filter(
    (bits) => (bits & 0x7fff) <= nanAbove,
  );
}

describe.each(formats)("$name", ({ name, narrow, widen, nanAbove }) => {
  test("rounds as PyTorch does: ties, subnormals, limits, infinities", () => {
    using file = openSafetensors(goldenPath("formats", "rounding.safetensors"));
    expect(narrow(file.readFloat32("float32"))).toEqual(file.read(name));
  });

  test("survives the way to float32 and back, every number of it", () => {
    const bits = everyNumber(nanAbove);
    const wide = new Float32Array(bits.length);
    widen(bits, wide);
    expect(narrow(wide)).toEqual(bits);
  });

  test("widens in order: a larger pattern is a larger number", () => {
    const positive = everyNumber(nanAbove).filter((bits) => bits < 0x8000);
    const wide = new Float32Array(positive.length);
    widen(positive, wide);
    expect(wide.every((value, i) => i === 0 || value > wide[i - 1]!)).toBe(true);
  });

  test("keeps NaN a NaN", () => {
    const bits = narrow(Float32Array.of(Number.NaN, -Number.NaN));
    const wide = new Float32Array(2);
    widen(bits, wide);
    expect([...wide]).toEqual([Number.NaN, Number.NaN]);
    const all = Uint16Array.from({ length: 0x7fff - nanAbove }, (_, i) => nanAbove + 1 + i);
    const nans = new Float32Array(all.length);
    widen(all, nans);
    expect(nans.every(Number.isNaN)).toBe(true);
  });
});

test("worked numbers of binary16", () => {
  // 1 = 0x3c00; 1 + 2^-11 is half-way to 1 + 2^-10 and goes to the even 1; 65,504 is the largest
  const values = Float32Array.of(1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, -2, 65_504, 2 ** -24, 2 ** -25);
  const bits = [0x3c00, 0x3c00, 0x3c02, 0xc000, 0x7bff, 1, 0];
  expect([...float32ToFloat16(values)]).toEqual(bits);
});

test("worked numbers of bfloat16", () => {
  // 1 = 0x3f80; 1 + 2^-8 is half-way to 1 + 2^-7 and goes to the even 1
  const values = Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -2);
  expect([...float32ToBfloat16(values)]).toEqual([0x3f80, 0x3f80, 0x3f82, 0xc000]);
});
