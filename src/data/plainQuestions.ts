// One way of writing for all questions. SVAMP's test questions are in lower case, with punctuation set apart; of the questions that the
// ReFT authors train on, only four in ten are.
import type { Example } from "./examples.ts";
import { withQuestion } from "./prompt.ts";

/**
 * "Ann's 2,000.0 cards, and Bo's 3.5." becomes "ann 's 2000 cards and bo 's 3.5 .": what already is so stays as it is.
 */
export function plainQuestion(question: string): string {
  return question
    .toLowerCase()
    .replace(/(?<!\d|\d,)\d{1,3}(,\d{3})+(?!\d|,\d)/g, (number) => number.replaceAll(",", ""))
    .replace(/(\d)\.0+\b/g, "$1")
    .replace(/,/g, " ")
    .replace(/(\S)'s\b/g, "$1 's")
    .replace(/([^\s.?!])([.?!]+)(?=\s|$)/g, "$1 $2")
    .replace(/\s+/g, " ")
    .trim();
}

/** An example with its question in plain writing, in its program's docstring, too. */
export function inPlainWriting(example: Example): Example {
  return withQuestion(example, plainQuestion(example.question));
}
