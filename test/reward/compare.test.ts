import { describe, expect, test } from "vitest";
import { answersEqual } from "../../src/reward/compare.ts";

describe("answersEqual", () => {
  test.each([
    [14, 14],
    [14, "14.0"],
    ["1,234.50", 1234.5],
    ["-1,000,000", -1e6],
    [3.33, 3.335], // 0.005 apart
    ["3.3333", "3.33"],
    [0.5, ".5"],
    ["1e3", 1000],
    ["1_000", 1000],
    [3, "3 apples"],
    ["$12.50", 12.5],
    ["3/4", 0.75],
    ["[5]", 5],
    ["\\frac{1}{2}", "50/100"],
    [0, -0],
    [1e300, 1e300],
    ["a", "A"],
    ["'c'", "c"],
    ["(b)", "b"],
    ["d)", "d"],
  ])("%j and %j are the same answer", (a, b) => {
    expect(answersEqual(a, b)).toBe(true);
    expect(answersEqual(b, a)).toBe(true);
  });

  test.each([
    [14, 15],
    [2, 2.02],
    ["a", "b"],
    ["a", 1],
    [Number.NaN, Number.NaN],
    ["nan", "nan"],
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    ["inf", "inf"],
    ["Infinity", Number.POSITIVE_INFINITY],
    ["True", 1],
    ["1+0j", 1],
    ["(1, 2)", 1],
    ["", 0],
    [" ", ""],
    ["0x10", 16],
    ["9".repeat(400), "9".repeat(400)],
    ["f", "f"],
    ["none", "none"],
  ])("%j and %j are different answers", (a, b) => {
    expect(answersEqual(a, b)).toBe(false);
    expect(answersEqual(b, a)).toBe(false);
  });

  test("the tolerance of 0.01 includes its end", () => {
    expect(answersEqual(0, 0.01)).toBe(true);
    expect(answersEqual(0, 0.0100001)).toBe(false);
  });
});
