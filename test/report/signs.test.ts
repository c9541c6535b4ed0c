import { describe, expect, test } from "vitest";
import type { CompletionSet } from "../../src/report/data.ts";
import { areAlike, noneRight, partedWays } from "../../src/report/signs.ts";

/** A course with the noise of a step, the same each time. */
const course = (values: readonly number[]) => values.map((value, i) => value + (i % 3) * 0.02);
const range = (from: number, to: number, steps: number) =>
  Array.from({ length: steps }, (_, i) => from + ((to - from) * i) / (steps - 1));

function sign(
  score: readonly number[],
  right: readonly number[],
  { checkpoints = [], set }: { checkpoints?: readonly object[]; set?: CompletionSet } = {},
) {
  const steps = right.map((_, i) => i + 1);
  const curve = (name: string, value: readonly number[]) => ({
    ...{ name, at: steps.map((_, i) => i), value, notFinite: [] },
  });
  const kept = checkpoints.map((one) => ({ step: 0, isBest: false, isLast: false, ...one }));
  return partedWays(
    {
      ...{ name: "mine", folder: "runs/mine", checkpoints: kept },
      axes: { step: steps, samples: steps, minutes: steps },
      curves: [
        curve("reward/score", course(score)),
        curve("reward/correctFraction", course(right)),
      ],
    },
    set,
  );
}

/** Completions at a step 0, all right, and at a step 60. */
function completions(last: readonly (readonly [text: string, result: 0 | 1, score: number])[]) {
  const rows = [...last.map(() => ["fine", 0, 1] as const), ...last];
  const texts = [...new Set(rows.map(([text]) => text))];
  const zeros = rows.map(() => 0);
  return {
    ...{ title: "mine: dev questions", steps: [0, 60], counts: [], questions: [], texts },
    rows: {
      ...{ question: zeros, value: zeros, isTruncated: rows.map(() => 0 as const) },
      step: rows.map((_, i) => (i < last.length ? 0 : 1)),
      text: rows.map(([text]) => texts.indexOf(text)),
      result: rows.map(([, result]) => result),
      score: rows.map(([, , score]) => score),
    },
  };
}

describe("a score that rises while fewer responses are right", () => {
  test("is dated from the last step on which as many were right as ever", () => {
    const right = [...range(0.4, 0.6, 20), ...range(0.6, 0.1, 40)];
    const found = sign(range(0.4, 1, 60), right)!;
    expect(found.of).toBe("mine");
    expect(found.step).toBeGreaterThanOrEqual(18);
    expect(found.step).toBeLessThanOrEqual(23);
    expect(found.message).toMatch(
      /\(60 % then, 1\d % at the end\).* from 0\.6\d to 0\.9\d \(averages over 6 steps\)/,
    );
    expect(found.completions).toBeNull();
  });

  const exploited = [range(0.4, 1, 60), [...range(0.4, 0.6, 20), ...range(0.6, 0.1, 40)]] as const;

  test("names the wrong text that earns most, and its share", () => {
    const one = <T>(count: number, value: T) => Array.from({ length: count }, () => value);
    const set = completions([
      ...one(10, ["fine", 0, 1] as const),
      ...one(14, ["`.+`\n", 1, 0.95] as const),
      ...one(16, ["nothing", 1, 0.1] as const),
    ]);
    const found = sign(...exploited, { set })!;
    expect(found.completions).toBe("mine: dev questions");
    expect(found.message).toContain(
      "35 % of the completions to dev questions at step 60 are `'.+' ` and wrong, with a mean score of 0.95. ",
    );
    const different = Array.from({ length: 40 }, (_, i) => [`${i}`, 1, 1] as const);
    expect(sign(...exploited, { set: completions(different) })!.message).toContain(
      "Completions from there on that score high and are wrong show for what. ",
    );
  });

  test.each([
    [
      [{ step: 10, isBest: true }, { step: 15 }, { step: 60, isLast: true }],
      "go on from the best checkpoint of before, step 10: `--fork runs/mine@10`",
    ],
    [
      [{ step: 10 }, { step: 15 }, { step: 60, isBest: true }],
      "go on from the last checkpoint of before, step 15: `--fork runs/mine@15`",
    ],
    [[{ step: 60, isBest: true }], "begin anew: no checkpoint of before is kept"],
  ])("says from where to go on, of the checkpoints that are kept: %j", (checkpoints, advice) => {
    expect(sign(...exploited, { checkpoints })!.message).toMatch(
      new RegExp(`\\. Mend the reward, and ${advice}$`),
    );
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
    const title = "mine: dev questions";
    expect(found).toMatchObject({ of: title, step: 0, completions: title });
    expect(found.message).toMatch(
      /^None of 40 completions \(20 at each of 2 measurements\) is right, though 35 have an answer\. 30 say what the gold answer says, in another form: 41 for "41 days"\. The other 5 say something else\./,
    );
    const all = noneRight(
      { ...set, counts: [[0, 40]] },
      { count: 40, alike: 40, examples: pairs },
    )!;
    expect(all.message).toMatch(/^None of 40 completions is right, though all have an answer\./);
    expect(all.message).not.toContain("The other");
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
