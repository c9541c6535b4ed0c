import { expect, test, vi } from "vitest";
import { createEpochs } from "../../src/data/epochs.ts";
import { Rng } from "../../src/rng.ts";

const items = Array.from({ length: 10 }, (_, i) => i);
const take = (stepsPerEpoch: number, steps: readonly number[], seed = 1) =>
  steps.map(createEpochs(items, 4, stepsPerEpoch, seed));

test("an epoch takes every item once; its last step has what is left", () => {
  const batches = take(3, [0, 1, 2]);
  expect(batches.map(({ length }) => length)).toEqual([4, 4, 2]);
  expect(batches.flat().sort((a, b) => a - b)).toEqual(items);
});

test("with fewer steps, what does not fill a step is left out", () => {
  const batches = take(2, [0, 1, 2, 3]);
  expect(batches.map(({ length }) => length)).toEqual([4, 4, 4, 4]);
  expect(new Set(batches.slice(0, 2).flat()).size).toBe(8);
});

test("epochs and seeds have orders of their own, which do not depend on where a run begins", () => {
  const whole = take(3, [0, 1, 2, 3, 4, 5]);
  expect(whole.slice(3).flat()).not.toEqual(whole.slice(0, 3).flat());
  expect(take(3, [4, 5])).toEqual(whole.slice(4));
  expect(take(3, [0], 2)).not.toEqual(whole.slice(0, 1));
});

test("an epoch's order is drawn once", () => {
  const shuffled = vi.spyOn(Rng.prototype, "shuffled");
  take(3, [0, 1, 2, 3]);
  expect(shuffled).toHaveBeenCalledTimes(2);
  shuffled.mockRestore();
});
