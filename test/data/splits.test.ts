import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { carve, holdBack, withVariantAmong } from "../../src/data/splits.ts";

const questions = [
  "Tom has 3 red apples and buys 4 more. How many apples does Tom have?",
  "tom has 12 red apples , and buys 1,500.5 more . how many apples does tom have ?", // the first, but for numbers and style
  "A train drives 60 miles an hour. How far does it get in 3 hours?",
  "A train drives 60 miles an hour. How far does it get in 3 hours?", // twice
  "Each of 5 boxes holds 6 pencils. How many pencils are there?",
  "Ann is 4 years older than Ben, who is 9. How old is Ann?",
];
const rows = questions.map((question, i) => ({ id: `${i}`, question, cot: "a", answer: i }));

const carveDev = (from: typeof rows, count: number, seed: number) =>
  carve(from, { split: "dev", count, seed });

describe("carve", () => {
  test("takes only questions of which no variant is trained on", () => {
    for (const seed of [1, 2, 3]) {
      const { rest, carved } = carveDev(rows, 2, seed);
      expect(carved.map(({ id }) => id)).toEqual(["4", "5"]);
      expect(rest.map(({ id }) => id)).toEqual(["0", "1", "2", "3"]);
    }
  });

  test("leaves the chains of thought behind, and chooses by the seed", () => {
    const chosen = [...Array(12).keys()].map((seed) => carveDev(rows, 1, seed).carved);
    expect(new Set(chosen.flat().map(({ id }) => id))).toEqual(new Set(["4", "5"]));
    expect(chosen[1]).toEqual(carveDev(rows, 1, 1).carved);
    expect("cot" in chosen[0]![0]!).toBe(false);
  });

  test("keeps all other columns of a question", () => {
    const further = rows.map((row) => ({ ...row, unit: "m" }));
    const { carved } = carve(further, { split: "test", count: 1, seed: 1 });
    expect(carved).toEqual([
      { id: carved[0]!.id, question: carved[0]!.question, answer: carved[0]!.answer, unit: "m" },
    ]);
  });

  test("takes variants where it may, and never a question that is asked twice", () => {
    const given = { split: "dev", seed: 1, allowsVariants: true } as const;
    const { rest, carved } = carve(rows, { ...given, count: 4 });
    expect(carved.map(({ id }) => id)).toEqual(["0", "1", "4", "5"]);
    expect(rest.map(({ id }) => id)).toEqual(["2", "3"]);
    expect(() => carve(rows, { ...given, count: 5 })).toThrow(/found 5$/);
    expect(() => carve(rows, { ...given, count: 5, allowsVariants: false })).toThrow(
      "dev: expected at most 2, because no more of the 6 questions are unlike all others, found 5; where questions are made of templates, allowVariants takes such, too",
    );
  });

  test("takes no question of which another spelling stays", () => {
    const wide = "Ｅａｃｈ of ５ boxes holds ６ pencils. How many ｐｅｎｃｉｌｓ are there?";
    const spelled = [...rows, { ...rows[4]!, id: "6", question: wide }];
    expect(() => carveDev(spelled, 2, 1)).toThrow("dev: expected at most 1,");
  });

  test.each([3, 6, 7])("says how many there can be where %i are asked for", (count) => {
    expect(() => carveDev(rows, count, 1)).toThrow(
      `dev: expected at most 2, because no more of the 6 questions are unlike all others, found ${count}`,
    );
    expect(() => carveDev(rows.slice(4), 2, 1)).toThrow(
      "dev: expected at most 1, because one of the 2 questions that are there for it has to be left to train on, found 2",
    );
  });
});

describe("holdBack", () => {
  test("leaves the chains of thought of so many rows behind, chosen by the seed, all in order", () => {
    const { train, answerOnly } = holdBack(rows, 4, 1);
    expect([train.length, answerOnly.length]).toEqual([2, 4]);
    const ids = (split: typeof train) => split.map(({ id }) => id);
    expect([...ids(train), ...ids(answerOnly)].sort()).toEqual(["0", "1", "2", "3", "4", "5"]);
    for (const split of [train, answerOnly]) expect(ids(split)).toEqual(ids(split).toSorted());
    expect(train.every(({ cot }) => cot === "a")).toBe(true);
    expect(answerOnly.every((row) => !("cot" in row))).toBe(true);
    const others = [...Array(9).keys()].map((seed) => ids(holdBack(rows, 4, seed).train).join());
    expect(new Set(others).size).toBeGreaterThan(1);
    expect(holdBack(rows, 0, 1)).toEqual({ train: rows, answerOnly: [] });
  });

  test("keeps the rows of one question together", () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const { train, answerOnly } = holdBack(rows, 3, seed);
      const learned = new Set(train.map(({ question }) => question));
      expect(answerOnly).toHaveLength(3);
      expect(answerOnly.some(({ question }) => learned.has(question))).toBe(false);
    }
  });

  test("keeps the rows of a question together that is spelled otherwise", () => {
    const spelled = [
      ...rows.slice(0, 3),
      { ...rows[3]!, question: `  ${questions[3]!.toUpperCase()}` },
    ];
    for (const seed of [1, 2, 3, 4, 5])
      expect([0, 2]).toContain(
        holdBack(spelled, 2, seed).answerOnly.filter(({ id }) => id === "2" || id === "3").length,
      );
  });

  test.each([
    { of: rows, count: 6, most: 5 },
    { of: rows, count: 7, most: 5 },
    { of: rows.slice(2, 4), count: 1, most: 0 },
  ])(
    "says how many of $of.length there can be where $count are asked for",
    ({ of, count, most }) => {
      expect(() => holdBack(of, count, 1)).toThrow(`answerOnly: expected at most ${most}, because`);
    },
  );
});

describe("withVariantAmong", () => {
  const asRows = (texts: readonly string[]) =>
    texts.map((question, i) => ({ id: `${i}`, question, answer: 1 }));

  test("finds the rows of which a variant is among others", () => {
    const found = withVariantAmong(rows, [rows[1]!, rows[4]!]);
    expect(found.map(({ id }) => id)).toEqual(["0", "1", "4"]);
  });

  test("finds what comparing each with each finds", () => {
    // Eight words have eight pairs; with two words before them they are just variants of the eight.
    const word = fc.constantFrom("x", "y", "z");
    const changed = fc
      .tuple(
        fc.array(word, { maxLength: 3 }),
        fc.array(fc.tuple(fc.nat(7), word), { maxLength: 1 }),
      )
      .map(([before, changes]) => {
        const text = [..."abcdefgh"];
        for (const [place, other] of changes) text[place] = other;
        return [...before, ...text];
      });
    const texts = fc.array(changed, { maxLength: 5 });
    const spoken = texts.map((all) => asRows(all.map((text) => text.join(" "))));
    fc.assert(
      fc.property(spoken, spoken, (some, others) => {
        // Two rows of which none may be carved are variants of each other.
        const isVariant = (a: (typeof some)[number], b: typeof a) => {
          const pair = [a, b, { id: "x", question: "x y z", answer: 1 }];
          try {
            return carve(pair, { split: "dev", count: 2, seed: 1 }) === undefined;
          } catch {
            return true;
          }
        };
        const expected = some.filter((row) => others.some((other) => isVariant(row, other)));
        expect(withVariantAmong(some, others)).toEqual(expected);
      }),
    );
  });
});
