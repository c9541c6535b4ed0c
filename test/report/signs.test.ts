import { describe, expect, test } from "vitest";
import { areAlike, noneRight, partedWays } from "../../src/report/signs.ts";

/** A course with the noise of a step, the same each time. */
const course = (values: readonly number[]) => values.map((value, i) => value + (i % 3) * 0.02);
const range = (from: number, to: number, steps: number) =>
  Array.from({ length: steps }, (_, i) => from + ((to - from) * i) / (steps - 1));

function sign(score: readonly number[], right: readonly number[]) {
  const steps = right.map((_, i) => i + 1);
  const curve = (name: string, value: readonly number[]) => ({
    ...{ name, at: steps.map((_, i) => i), value, notFinite: [] },
  });
  return partedWays({
    name: "mine",
    axes: { step: steps, samples: steps, minutes: steps },
    curves: [curve("reward/score", course(score)), curve("reward/correctFraction", course(right))],
  });
}

describe("a score that rises while fewer responses are right", () => {
  test("is dated from the last step on which as many were right as ever", () => {
    const right = [...range(0.4, 0.6, 20), ...range(0.6, 0.1, 40)];
    const found = sign(range(0.4, 1, 60), right)!;
    expect(found.of).toBe("mine");
    expect(found.step).toBeGreaterThanOrEqual(18);
    expect(found.step).toBeLessThanOrEqual(23);
    expect(found.message).toMatch(/\(60 % then, 1\d % at the end\).* from 0\.6\d to 0\.9\d/);
  });

  test("is not found where both rise, both fall, or the share only wavers", () => {
    expect(sign(range(0.4, 1, 60), range(0.4, 0.8, 60))).toBeUndefined();
    expect(sign(range(1, 0.4, 60), range(0.8, 0.2, 60))).toBeUndefined();
    const wavering = range(0.5, 0.5, 60).map((value, i) => value + ((i * 7) % 13) * 0.03);
    expect(sign(range(0.4, 1, 60), wavering)).toBeUndefined();
    expect(sign([1, 2, 3], [3, 2, 1])).toBeUndefined();
  });
});

describe("completions of which none is right", () => {
  const set = {
    title: "mine: dev questions",
    steps: [0, 5],
    counts: [
      [0, 20],
      [0, 15, 5],
    ],
  };
  const pairs = [["41", '"41 days"']] as const;

  test("say that gold answers have a form that nothing equals, where they say the same", () => {
    const found = noneRight(set, { count: 35, alike: 30, examples: pairs })!;
    expect(found).toMatchObject({ of: "mine: dev questions", step: 0 });
    expect(found.message).toMatch(
      /^None of 40 completions is right, though 35 have an answer\. 30 say what the gold answer says, in another form: 41 for "41 days"\./,
    );
    const other = noneRight(set, { count: 35, alike: 0, examples: [["3", "4"]] })!;
    expect(other.message).toContain("For example 3 for 4. If both say the same");
  });

  test("are no sign where one is right, where they are few, or where no answer came out", () => {
    const wrong = { count: 35, alike: 30, examples: pairs };
    expect(
      noneRight(
        {
          ...set,
          counts: [
            [1, 20],
            [0, 20],
          ],
        },
        wrong,
      ),
    ).toBeUndefined();
    expect(
      noneRight(
        {
          ...set,
          counts: [
            [0, 10],
            [0, 9],
          ],
        },
        wrong,
      ),
    ).toBeUndefined();
    expect(noneRight(set, { count: 0, alike: 0, examples: [] })).toBeUndefined();
  });

  test.each([
    ["41", '"41 days"', true],
    ['"41"', "41", true],
    ["41.0", '"41"', true],
    ['"Wednesday, 3"', '"wednesday"', true],
    ["41", '"42 days"', false],
    ['""', '"41"', false],
    ["-4", '"4 days"', false],
  ])("%s beside %s: alike is %s", (answer, gold, expected) => {
    expect(areAlike(answer, gold)).toBe(expected);
  });
});
