// Finds the program, or the written answer, in what a model wrote.
import { numberOf } from "./compare.ts";
import type { Outcome } from "./outcome.ts";

const isBlank = (line: string) => line.trim() === "";
const TRIPLE_QUOTES = /"""|'''/g;

/** The triple quote that is still open after this line, if any. */
function openQuoteAfter(line: string, open: string | undefined): string | undefined {
  for (const [quote] of line.matchAll(TRIPLE_QUOTES)) {
    if (open === undefined) open = quote;
    else if (open === quote) open = undefined;
  }
  return open;
}

/**
 * The program in a P-CoT completion: everything up to the first blank line after the body of `solution()` has started.
 * Models write on after the program; a blank line is where the authors stop. Unlike theirs, blank lines before the
 * first statement and inside a triple-quoted text (a question of two paragraphs) do not end the program.
 */
export function extractProgram(completion: string): string {
  const lines = completion.split(/\r?\n/);
  let part: "before" | "signature" | "docstring" | "body" = "before";
  let openQuote: string | undefined;
  for (const [index, line] of lines.entries()) {
    if (isBlank(line) && part === "body" && !openQuote) return lines.slice(0, index).join("\n");
    const wasOpen = openQuote;
    openQuote = openQuoteAfter(line, openQuote);
    if (wasOpen || isBlank(line)) continue;
    if (part === "before") part = /^def\s+solution\b/.test(line) ? "signature" : "before";
    else if (part === "signature" && /^\s*("""|''')/.test(line)) part = "docstring";
    else part = "body";
  }
  return lines.join("\n");
}

const DECORATION = /\\boxed|\\text|[<>"'`*$€£\\{}()[\]]/g;
const NUMBER = /^[+-]?\s?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?/i;
const CHOICE = /^\s*["'(<*]*([a-e])["')>*]*\s*(?:[).,:]|$)/i;

/**
 * The number at the start of a phrase: "$1,234.50 in all" is 1234.5, "3/4" is 0.75, "5%" is 5, "15 (as x = 3)" is 15. Of an
 * equation it is the side that is a number: "2 + 3 = 5" and "5 = 2 + 3" are 5.
 */
function leadingNumber(phrase: string): number | undefined {
  const plainOf = (text: string) => text.replace(DECORATION, "").replace(/[−–]/g, "-").trim();
  const sides = phrase.replace(/\s\(.*/, "").split("=");
  const first = plainOf(sides[0]!);
  const plain = NUMBER.exec(first)?.[0] === first ? first : plainOf(sides.at(-1)!);
  const numeral = NUMBER.exec(plain)?.[0];
  if (numeral === undefined) return undefined;
  const numerator = numberOf(numeral.replace(/\s/g, ""));
  const denominator = /^\s*\/\s*(\d+)/.exec(plain.slice(numeral.length))?.[1];
  if (numerator === undefined || denominator === undefined) return numerator;
  return numberOf(numerator / Number(denominator));
}

/**
 * The answer in an N-CoT completion: the number or choice letter after its last "the answer is".
 * A number elsewhere in the text is not an answer.
 */
export function extractWrittenAnswer(completion: string): Outcome {
  const announcement = [...completion.matchAll(/\banswer\s+is\b\s*:?/gi)].at(-1);
  if (!announcement) {
    return {
      kind: "no-answer",
      message: 'expected "Therefore, the answer is: ...", found no such words',
    };
  }
  const rest = completion.slice(announcement.index + announcement[0].length).trimStart();
  const phrase = rest.split("\n", 1)[0]!;
  const choice = CHOICE.exec(phrase)?.[1];
  const value = leadingNumber(phrase) ?? choice?.toLowerCase();
  if (value !== undefined) return { kind: "answer", value };
  return {
    kind: "no-answer",
    message: `expected a number or a choice after "the answer is", found "${phrase.slice(0, 50)}"`,
  };
}

/** The number behind `####` at the end of a GSM8K solution; undefined if there is none. */
export function extractGsm8kAnswer(solution: string): number | undefined {
  const text = /####\s*(\S+)\s*$/.exec(solution)?.[1];
  return text === undefined ? undefined : numberOf(text);
}
