import { expect, test } from "vitest";
import { curveOf } from "../../src/report/thin.ts";

const steps = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

test("a short curve keeps every value, where it was measured", () => {
  expect(curveOf("kl", [undefined, 0.1234567, undefined, -2], steps(4))).toEqual({
    name: "kl",
    at: [1, 3],
    value: [0.123457, -2],
    notFinite: [],
  });
});

test("a value that is not finite is told by its step, and drawn nowhere", () => {
  const { at, notFinite } = curveOf(
    "loss",
    [1, Number.NaN, Number.POSITIVE_INFINITY, 2],
    [5, 6, 7, 8],
  );
  expect(at).toEqual([0, 3]);
  expect(notFinite).toEqual([6, 7]);
});

test("a long curve is cut into buckets with mean, least and most", () => {
  const values = steps(10_000).map((step) => step % 2);
  const { at, value, low, high } = curveOf("flag", values, steps(10_000));
  expect(at).toHaveLength(400);
  expect(at.at(-1)).toBe(9_999);
  expect(new Set(value)).toEqual(new Set([0.52, 0.48])); // of 25 values 13 or 12 are 1
  expect([new Set(low), new Set(high)]).toEqual([new Set([0]), new Set([1])]);
});

test("one high value in ten thousand stays to be seen", () => {
  const values = steps(10_000).map((step) => (step === 7_003 ? 50 : 1));
  const { high } = curveOf("spike", values, steps(10_000));
  expect(Math.max(...high!)).toBe(50);
});
