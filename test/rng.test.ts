import { expect, test } from "vitest";
import { Rng } from "../src/rng.ts";

test("streams of different seeds or names differ, equal ones agree", () => {
  const first = (seed: number, name: string) => Rng.named(seed, name).bits();
  expect(first(1, "a")).toBe(first(1, "a"));
  const bits = new Set<number>();
  for (let seed = 0; seed < 100; seed++)
    for (const name of ["", "a", "b", "1", "2"]) bits.add(first(seed, name));
  expect(bits.size).toBe(500);
});

test("uniform, normal and integer have the right moments", () => {
  const rng = Rng.named(4, "moments");
  const count = 50_000;
  const mean = (draw: () => number) =>
    Array.from({ length: count }, draw).reduce((a, b) => a + b) / count;
  expect(mean(() => rng.uniform())).toBeCloseTo(0.5, 2);
  expect(mean(() => rng.normal())).toBeCloseTo(0, 1);
  expect(mean(() => rng.normal() ** 2)).toBeCloseTo(1, 1);
  expect(mean(() => Number(Math.abs(rng.normal()) > 2))).toBeCloseTo(0.0455, 2);
  expect(mean(() => rng.integer(5))).toBeCloseTo(2, 1);
});

test("shuffled keeps the items and changes the order", () => {
  const items = Array.from({ length: 50 }, (_, i) => i);
  const shuffled = Rng.named(5, "shuffle").shuffled(items);
  expect(shuffled).not.toEqual(items);
  expect(shuffled.toSorted((a, b) => a - b)).toEqual(items);
});
