import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { leadingNumberOf, numberOf } from "../../src/data/number.ts";
import { extractWrittenAnswer } from "../../src/reward/writtenAnswer.ts";
import { processorSeconds } from "../support/processorSeconds.ts";
import { endings, explained } from "./endings.ts";

/** What a written answer that ends so comes to, if it is a number. */
function written(ending: string): number | undefined {
  const outcome = extractWrittenAnswer(`2 and 3.\nTherefore, the answer is: ${ending}`);
  return outcome.kind === "answer" && typeof outcome.value === "number" ? outcome.value : undefined;
}

describe.each(Object.entries(endings))("%s", (_, table) => {
  test.each(table)(
    "%j states %j: in gold answers, programs' texts and written answers",
    (text, value) => {
      expect([numberOf(text), leadingNumberOf(text), written(text)]).toEqual([value, value, value]);
    },
  );
});

test("the table has at least 200 endings, each once", () => {
  const texts = Object.values(endings).flatMap((table) => table.map(([text]) => text));
  expect(texts.length).toBeGreaterThan(200);
  expect(new Set(texts).size).toBe(texts.length);
});

test("a long word in front of a number is read in one go", () => {
  expect(numberOf(`${"é".repeat(500_000)} 5`)).toBeUndefined(); // minutes if each letter were tried as the word's first
});

describe("leadingNumberOf", () => {
  test.each(explained)("of %j is %j", (text, value) => {
    expect(leadingNumberOf(text)).toBe(value);
    expect(written(text)).toBe(value);
  });
});

// Decimals of at most 15 digits: they and their double have the same shortest text.
const sign = fc.constantFrom("", "-", "−", "- ", "–", "negative ");
const whole = fc.integer({ min: 0, max: 999_999_999_999 });
const decimals = fc.constantFrom("", ".", ".0", ".5", ".25", ".125");
const signed = (signText: string, magnitude: number) => (signText ? -1 : 1) * magnitude + 0;

/** The digits of a whole number in groups of three. */
const grouped = (n: number, separator: string) =>
  String(n).replace(/\B(?=(\d{3})+$)/g, () => separator);
const indian = (n: number) => String(n).replace(/\B(?=(\d\d)*\d{3}$)/g, ",");

const separated = fc
  .tuple(
    sign,
    whole,
    fc.constantFrom("", ",", " ", "\u00a0", "\u202f", "'", "’", "_", "indian"),
    decimals,
  )
  .map(([s, n, separator, rest]): [string, number] => [
    `${s}${separator === "indian" ? indian(n) : grouped(n, separator)}${rest}`,
    signed(s, Number(`${n}${rest}`)),
  ]);

const fraction = fc
  .tuple(
    sign,
    fc.integer({ min: 0, max: 9999 }),
    fc.integer({ min: 1, max: 99 }),
    fc.integer({ min: 2, max: 100 }),
    fc.constantFrom(
      (n: number, a: number, b: number): [string, number] => [`${n} ${a}/${b}`, (n * b + a) / b],
      (n: number, a: number, b: number): [string, number] => [
        `${n} and ${a} / ${b}`,
        (n * b + a) / b,
      ],
      (n: number, a: number, b: number): [string, number] => [
        `${n}\\frac{${a}}{${b}}`,
        (n * b + a) / b,
      ],
      (n: number, _: number, b: number): [string, number] => [`${n}/${b}`, n / b],
      (n: number, _: number, b: number): [string, number] => [`\\dfrac{${n}}{${b}}`, n / b],
      (n: number, _: number, b: number): [string, number] => [`(${n})/(${b})`, n / b],
    ),
  )
  .filter(([, , a, b]) => a < b)
  .map(([s, n, a, b, write]): [string, number] => {
    const [text, magnitude] = write(n, a, b);
    return [`${s}${text}`, signed(s, magnitude)];
  });

const scaled = fc
  .tuple(
    sign,
    fc.integer({ min: 1, max: 9_999_999 }),
    fc.constantFrom(
      ...([
        ["e", 6, ""],
        ["E+0", 3, ""],
        ["e-", -4, "4"],
        ["*10^", 6, "6"],
        [" × 10^{", 12, "12}"],
        [" \\times 10^{", -3, "-3}"],
        ["*10**", 7, "7"],
        [" x 10⁸", 8, ""],
        [" hundred", 2, ""],
        [" thousand", 3, ""],
        [" million", 6, ""],
        [" billion", 9, ""],
        ["k", 3, ""],
      ] as const),
    ),
  )
  .map(([s, n, [word, exponent, end]]): [string, number] => {
    const power = word === "e" || word === "E+0" ? exponent : "";
    return [`${s}${n / 1000}${word}${power}${end}`, signed(s, Number(`${n}e${exponent - 3}`))];
  });

const decorations: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => `about ${text}`,
  (text) => `= ${text}`,
  (text) => `x = ${text}`,
  (text) => `2 + 3 = ${text}`,
  (text) => `$${text}$`,
  (text) => `€${text}`,
  (text) => `USD ${text}`,
  (text) => `${text}%`,
  (text) => `${text}\\%`,
  (text) => `${text} dollars`,
  (text) => `${text} apples in all`,
  (text) => `${text} km/h`,
  (text) => `\\boxed{${text}}`,
  (text) => `\\(${text}\\)`,
  (text) => `${text} \\text{ hours}`,
  (text) => `**${text}**`,
  (text) => `"${text}"`,
  (text) => `[${text}]`,
  (text) => `(${text}).`,
  (text) => `<${text}>`,
];

/** Letters, signs and words that numbers are made of, put together at random. */
const garbage = fc
  .array(
    fc.oneof(
      fc.constantFrom(..."0123456789.,+-−*/^=()[]{}<>$%'_ exk½²\\", " ", "\u202f", "10^", "**10"),
      fc.constantFrom("\\frac{", "}{", "\\boxed{", " million", " and ", " or ", "about ", "apples"),
      fc.string({ unit: "binary", maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join("").replace(/[\r\n\u2028\u2029]/g, ""));

describe("whatever the number", () => {
  const seeded = { seed: 20260801, numRuns: 2000 };

  test("written in any form and any decoration it is read back", () => {
    const written = fc.tuple(
      fc.oneof(separated, fraction, scaled),
      fc.constantFrom(...decorations),
    );
    fc.assert(
      fc.property(written, ([[text, value], decorate]) => {
        expect([decorate(text), numberOf(decorate(text))]).toEqual([decorate(text), value]);
      }),
      seeded,
    );
  });

  test("a finite double is read back from its own text", () => {
    const double = fc.double({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(double, (value) => {
        expect(numberOf(String(value))).toBe(value + 0);
      }),
      seeded,
    );
  });

  test("any text is read without an error as a finite number or none, and its number as itself", () => {
    fc.assert(
      fc.property(garbage, (text) => {
        const value = leadingNumberOf(text);
        if (value === undefined) return;
        expect(value).toSatisfy(Number.isFinite);
        expect(numberOf(String(value))).toBe(value);
      }),
      { ...seeded, numRuns: 10_000 },
    );
  });

  test("what a gold answer or a program's text states, a written answer with the same words states", () => {
    fc.assert(
      fc.property(garbage, (text) => {
        const value = numberOf(text);
        if (value === undefined) return;
        expect([text, leadingNumberOf(text), written(text)]).toEqual([text, value, value]);
      }),
      { ...seeded, numRuns: 10_000 },
    );
  });
});

test("a text of any length is read in a moment, whatever it repeats", () => {
  const parts = [
    "9",
    "1,000 ",
    "- ",
    "(",
    "<",
    "\\frac{",
    "x = ",
    "é",
    "1é=",
    " ",
    "5 and ",
    "**10",
    ", a",
  ];
  const seconds = processorSeconds(() => {
    for (const part of parts)
      expect(leadingNumberOf(`5 and ${part.repeat(20_000)}!`)).toBeUndefined();
    expect(numberOf(`5 <<${"=".repeat(200_000)}`)).toBeUndefined();
    for (const part of [
      "so 5 ",
      ", so 5",
      "and 5 if = ",
      "which is 5, ",
      "(5) x ",
      "wait no ",
      "else ",
    ])
      leadingNumberOf(`5 if ${part.repeat(20_000)}=`);
  });
  expect(seconds).toBeLessThan(20);
});
