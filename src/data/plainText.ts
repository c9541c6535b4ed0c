// Brings the many spellings of the signs around numbers, Unicode's and LaTeX's, to plain ones, for the reader of numbers.

type Spelling = readonly [written: RegExp, plain: string | ((written: string) => string)];

/** What Unicode's own compatibility forms (NFKC) would lose or mistake. */
const beforeNormalising: readonly Spelling[] = [
  [/\p{Cf}/gu, ""], // spaces without width, marks of direction
  [/[¼½¾⅐-⅞]/g, " $&"], // 3½ is 3 1/2, not 31/2
  [/[\u2460-\u249b\u24ea-\u24ff\u2776-\u2793]/g, " $& "], // 42①, a reference behind it, is not 421
  [/[⁰¹²³⁴-⁹⁺⁻]+/g, "^$&"], // 10⁶ is 10^6, not 106
  [/[₀-₉]+/g, "_$&"],
];

const isDigit = (code: number) => /\p{Nd}/u.test(String.fromCodePoint(code));

/** The digits of a script follow each other from 0 to 9, so their distance from the first one is their value. */
function asciiDigit(digit: string): string {
  const code = digit.codePointAt(0)!;
  let zero = code;
  while (isDigit(zero - 1)) zero--;
  return String((code - zero) % 10);
}

const afterNormalising: readonly Spelling[] = [
  [/(?![0-9])\p{Nd}/gu, asciiDigit],
  [/(?<=\d)٫(?=\d)/g, "."],
  [/(?<=\d)٬(?=\d)/g, ","],
  [/٪/g, "%"],
  [/[。।]/g, ". "],
  [/[、،]/g, ", "], // they separate no thousands
  [/[⁄∕]/g, "/"],
  [/[−‐‑‒–]/g, "-"],
  [/[×✕✖·⋅∗]/g, "*"],
  [/[≈≅≃∼]/g, "="],
  [/(?<!-)-+>|[⇒⟶⟹➔➜➡∴]/g, "→"],
  [/[’ʼ′]/g, "'"],
  [/[‘‚‛“”„‟«»‹›「」『』《》〈〉]/g, '"'],
  [/[【〔]/g, "["],
  [/[】〕]/g, "]"],
  // LaTeX
  [/^[\s$]*\{\d+(?:,\d+)+\}(?!\s*\/)/, (set) => set.replaceAll(",", ", ")], // {100,200} are two numbers, \text{1,234} is one
  [/\\(?:text)?color\s*\{\w*\}/g, ""],
  [/\\!/g, ""], // a negative space, as in 1,\!000
  [/\{,\}/g, ","],
  [/\\[()[\]]/g, " "], // around mathematics
  [/\\(?:[,:; ]|q?quad(?![a-z]))/g, " "],
  [/\\([$%#])/g, "$1"],
  [/\\pounds(?![a-z])/g, "£"],
  [/\\(?:d?box(?:ed)?|fbox|mbox|text[a-z]*|math[a-z]+|underline|left|right|bf|rm)(?![a-z])/g, ""],
  [/\\(?:boldsymbol|bm|displaystyle|small|large|Large|LARGE|huge|Huge)(?![a-zA-Z])/g, ""],
  [/(?<=\{)\s+|(?<!\s)\s+(?=\})/g, ""], // LaTeX takes no notice of them
  [/\{\{([^{}]*)\}\}/g, "{$1}"], // as \frac{\text{km}}{\text{h}} has them by now
  [/\\[dtc]?frac\s*(\{[^{}]*\}|\d)\s*(\{[^{}]*\}|\d)/g, " $1/$2"],
  [/\\(?:times|cdot|ast)(?![a-z])/g, "*"],
  [/\\(?:approx|simeq|sim)(?![a-z])/g, "="],
  [/\\(?:to|[rR]ightarrow|[lL]ongrightarrow|Longrightarrow|implies|therefore)(?![a-zA-Z])/g, "→"],
  [/\\l?dots(?![a-z])/g, "..."],
  [/\^?\{?\\(?:circ|degree)(?![a-z])\}?/g, "°"],
  [/<<[^<>=]*=[^<>]*>>/g, ""], // GSM8K's notes for a calculator, as in 6*7=<<6*7=42>>42
  [/<sup>([^<>]*)<\/sup>/gi, "^$1"],
  [/<(b|strong|i|em|u|span|p|code|mark)>([^<>]*)<\/\1>/gi, " $2 "],
  [/<([^<>]*)>/g, " $1 "],
];

const rewrite = (text: string, spellings: readonly Spelling[]) =>
  spellings.reduce(
    (rewritten, [written, plain]) => rewritten.replace(written, plain as string),
    text,
  );

/**
 * The text with full-width and other compatible characters and the digits of all scripts as ASCII, dashes that can be a minus as
 * `-`, signs of multiplication as `*`, those of near equality as `=`, arrows as `→`, quotes of all kinds as `"`, LaTeX's fractions
 * as ` {7}/{2}`, and without the commands that only change how something looks and pairs of angle brackets. Other commands keep their backslash.
 */
export function plainText(text: string): string {
  return rewrite(rewrite(text, beforeNormalising).normalize("NFKC"), afterNormalising);
}
