// Reads the number that an answer states: gold answers, written answers and what programs return as text are all read here.
// docs/data.md has the table of forms. What can be read in two ways is no number: better no answer than a wrong one.
import { plainText } from "./plainText.ts";
import { inWords, type Quantity, readQuantity } from "./quantity.ts";

/** Sides of one equation that are no further apart are the same number, rounded. */
const rounding = 1e-2;

/**
 * Comparisons, lists, sentences and clauses, of which no equation's side consists. In order: signs of comparison and the ends of
 * sentences; a line break of LaTeX (`\\`); a full stop before a space; a dash between a number and words; a comma that separates
 * no thousands (`1,234` and `12,34,567` are numbers); words that join clauses.
 */
const noComputation =
  /[<>≤≥≠±!?;—]|\\\\|\.\s|\d\s+-+\s+\p{L}{2}|,(?!\d\d\d(?!\d)|\d\d,)|(?<!\p{L})(?:and|or|to|because|since|as|so|which|where|when|if|between|either)(?!\p{L})/iu;
/**
 * What is named: no digit or operator at all, as in `the total cost`, or one word: `x`, `x_1`. That is `\W*\p{L}\w*\W*`, in which
 * letters such as é are `\W`, too, so that it would try every one of them: here only one place fits each part.
 */
const name = /^(?:[^\d+*/^-]*$|\W*(?:(?<=\p{L})\w+|[A-Za-z]\w*)\W*$|(?=\W*$)\W*\p{L})/u;
const timesBetweenNumbers = /(?<=\d)\s*x\s*(?=[\d($])/gi;
/** A letter alone that is neither a unit (m, g, L, V, ...) nor the article. */
const unknown = /(?<!\p{L})(?![aAcCdFghIJlLmNpstVwWΩÅ])\p{L}(?![\p{L}\p{M}])/u;

/** Brackets around all of a text. */
const enclosed = /^[\s\p{Sc}*]*[([]([^()[\]]*)[)\]][\s\p{Sc}*.]*$/u;

function isBalanced(text: string): boolean {
  const count = (bracket: RegExp) => text.match(bracket)?.length ?? 0;
  return count(/[([]/g) === count(/[)\]]/g);
}

/**
 * Does a side that is no number only name it or say how it comes about, as in `x = 5` and `2 + 3 = 5`? `2x = 10` is an equation
 * to be solved, and `x = 3, y = 4` are two. Unknowns are allowed in formulas: `y = x + 1 = 5`.
 */
function isComputation(side: string, isFormulaAllowed: boolean): boolean {
  if (!isBalanced(side) || noComputation.test(side)) return false;
  const isFormula = name.test(side) || /[+*/^-]/.test(side);
  return (isFormulaAllowed && isFormula) || !unknown.test(side.replace(timesBetweenNumbers, "*"));
}

/** The number that one line of plain text states: a quantity, or the side of an equation that is one. */
function readStatement(plain: string): number | undefined {
  const sides = plain
    .replace(enclosed, "$1")
    .split(/=+/)
    .filter((side) => side.trim() !== "");
  const read = sides.map((side) => ({ side, quantity: readQuantity(side) }));
  const others = read.filter(({ quantity }) => !quantity).map(({ side }) => side);
  const isNamed = others.some((side) => name.test(side));
  if (!others.every((side) => isComputation(side, isNamed))) return undefined;
  return commonValue(read.flatMap(({ quantity }) => quantity ?? []));
}

/** What the sides of an equation agree on. A fraction counts only where there is no other number: `200/3 = 66.7` is 66.7. */
function commonValue(quantities: readonly Quantity[]): number | undefined {
  const decimals = quantities.filter(({ isFraction }) => !isFraction);
  const values = (decimals.length > 0 ? decimals : quantities).map(({ value }) => value);
  return values.every((value) => Math.abs(value - values[0]!) <= rounding) ? values[0] : undefined;
}

/**
 * The finite number that a whole text states, with or without units and other words; undefined for anything else (`nan`, `b`,
 * `5 or 6`), and for more than one line.
 */
export function numberOf(answer: number | string): number | undefined {
  if (typeof answer === "number") return Number.isFinite(answer) ? answer : undefined;
  const lines = answer.split("\n").filter((line) => /[\p{L}\p{N}]/u.test(line));
  return lines.length === 1 ? readStatement(plainText(lines[0]!)) : undefined;
}

/**
 * Where what only explains the number before it may begin. In order: a full stop before a space; a semicolon; a bracket after a
 * space, unless it has the number in words; a dash between spaces; a dash; a comma before a word, unless that word goes on with a
 * list; a word that opens a clause, or names a place or time.
 */
const explanation = new RegExp(
  String.raw`\.(?=\s)|;|\s(?!${inWords})\(|\s-+\s(?=\p{L}{2})|—|,(?=\s+(?!(?:and|or|to|nor)(?!\p{L}))\p{L})|\s(?=(?:because|since|as|so|which|that|who|where|when|if|rounded|not|on|at|after|before|with|in|for)\s)`,
  "giu",
);

/** What follows a number, from the character before it on, if it holds another answer and no explanation. */
const otherAnswers = [
  /^.\W*(?:and|or|nor|to)\b/iu, // 5 (or 6)
  /^.[,;]\s*\p{L}\w*\s*=/u, // x = 5, y = 6
  /^.[.;—]\s*[+-]?\p{Sc}?\s*\d(?!.*=)/u, // 5 apples; 6 pears
  /^\d\s(?:in|for)\s+\p{Sc}?\d/iu, // 1 in 4
  /^.\s(?:on|at|after|before|with|in|for)\s[^.]*(?:[,;.]|\band|\bor|\bto)\s+\p{Sc}?\d(?!.*=)/iu, // 5 for Ann, 6 for Tom
  /^.\s(?:if|when|where|who|that|which|unless)\s[^.]*(?:[,;](?:\s+but)?|(?<!\p{L})(?:and|or))\s+\p{Sc}?\d[^,;.]{0,80}\s(?:if|when|where|who|that|which|unless|otherwise|else)(?!\p{L})/iu, // 5 if it rains, 6 otherwise
  /^.\s(?:if|when|unless)\s[^.]*\s(?:otherwise|else)\W+\d/iu, // 5 if it rains, else 6
  /^.\W*(?:(?:wait|no|oops|sorry|actually|correction|i\s+mean|make\s+that)(?!\p{L})\W*)+(?:it(?:\s+i|')s\W+)?\d(?!.*=)/iu, // 18, wait no, 20
  /^.\s(?:-+\s(?!(?:that|which|because|since|as|so)\s)|\([^()]*\)\s*[*+x/-])[^,.;=]*=/u, // 12 (per person) x 3 = 36
  /^.\W*which\s+(?:is|was|would\s+be)\s+(?:wrong|incorrect|false)\b/iu, // 5, which is wrong
  /^.\W*at\s+(?:least|most)\b/iu, // 5 at least
  /\bremainder\b/iu,
  /^.\W*in\s+(?:dozens|hundreds|thousands|millions|billions)\b/iu, // 5 (in thousands)
  /^.\s\(\W*(?:(?:dozens?|doz|dz|repeating|recurring)\b|(?:squared|cubed|doubled|tripled|halved)\s*\))/iu, // 12 (dozen)
  /^.\s\(\s*(?:[*+x/-]|plus|minus|times)\s*\p{Sc}?\d/iu, // 12 (x 3)
  /^.\s\([^)]*\)\W*(?:and|or|to)?\s*\p{Sc}?\d/iu, // 5 (Ann) and 6 (Tom)
];

/**
 * What a clause behind a number comes to, as in `5 apples, but she gave 2 away, so 3`: that is claimed, too. A comparison (`2 more
 * than 3`, `half of it`) and another equation (`x = 5, so 2x = 10`) claim something else.
 */
const conclusion =
  /^\W*(?:so|thus|hence|therefore|which\s+(?:is|makes|gives|equals)|for\s+a\s+total\s+of)(?!\p{L})[\s,:]*((?!.*\b(?:than|times|of)\b)[^=]*)$/iu;

/** The numbers that the rest of a sentence concludes with, clause by clause. */
function conclusions(clauses: readonly string[]): number[] {
  const end = clauses.findIndex((clause) => clause.startsWith("."));
  return clauses.slice(0, end === -1 ? undefined : end).flatMap((clause) => {
    const concluded = conclusion.exec(clause)?.[1];
    return (concluded === undefined ? undefined : readQuantity(concluded)?.value) ?? [];
  });
}

/** Its full stops end no sentence. */
const thatIs = /(?<!\p{L})i\.\s?e\.,?(?=\s)/giu;

/**
 * The number at the start of a phrase that may go on to explain it: 42 in `42 apples in all, because each has 7`. What
 * `numberOf` reads is read as the same number.
 */
export function leadingNumberOf(phrase: string): number | undefined {
  const whole = numberOf(phrase);
  if (whole !== undefined) return whole;
  const plain = plainText(phrase).replace(thatIs, "so");
  const firstDigit = plain.search(/\d/);
  const begins = [...plain.matchAll(explanation)]
    .map(({ index }) => index)
    .filter((index) => index > firstDigit);
  const [begin] = begins;
  if (firstDigit < 0 || begin === undefined) return undefined;
  if (otherAnswers.some((pattern) => pattern.test(plain.slice(begin - 1)))) return undefined;
  const value = readStatement(plain.slice(0, begin));
  const clauses = begins.map((index, i) => plain.slice(index, begins[i + 1]));
  const isMeant = (other: number) => value !== undefined && Math.abs(other - value) <= rounding;
  return conclusions(clauses).every(isMeant) ? value : undefined;
}
