import { expect, test } from "vitest";
import { checkFinite } from "../../src/model/finite.ts";

const { NaN: notANumber, POSITIVE_INFINITY, NEGATIVE_INFINITY } = Number;

test.each([
  [notANumber, 0, "0, 0, 0"],
  [POSITIVE_INFINITY, 13, "1, 0, 1"], // 13 = 1 * 12 + 0 * 4 + 1
  [NEGATIVE_INFINITY, 23, "1, 2, 3"],
])("%d is named with its place, the first one of several", (value, index, place) => {
  const values = new Float32Array(24).fill(3e38);
  values[index] = value;
  values[23] = value;
  expect(() => checkFinite(values, [2, 3, 4], "w", "a.safetensors")).toThrow(
    `a.safetensors: w holds ${value} at [${place}] (its shape is [2, 3, 4]), expected finite numbers`,
  );
});

test("the largest and the smallest numbers pass, and no number at all", () => {
  checkFinite(Float32Array.of(3.4e38, -3.4e38, 1e-45, -0), [4], "w", "a.safetensors");
  checkFinite(new Float32Array(0), [0, 3], "w", "a.safetensors");
});
