// One quantity as it is written: `$1,234.50`, `-3 1/2 hours`, `1.5 * 10^6`, `about 2 million people`. The text is plain (plainText.ts).

/** A number as it stands; a fraction can also be a computation, as in `200/3 = 66.7`. */
export interface Quantity {
  readonly value: number;
  readonly isFraction: boolean;
}

/** A text that is taken apart from its front. */
interface Cursor {
  readonly text: string;
  at: number;
}

/** Takes what a sticky pattern matches here. */
function take(cursor: Cursor, pattern: RegExp): RegExpExecArray | undefined {
  pattern.lastIndex = cursor.at;
  const match = pattern.exec(cursor.text) ?? undefined;
  if (match) cursor.at = pattern.lastIndex;
  return match;
}

// Digits stand in groups of three with one and the same separator (hence the name), in India's groups (12,34,567), or without groups.
const integer = String.raw`(?:[1-9]\d{0,2}(?<separator>[ ,'_])\d{3}(?:\k<separator>\d{3})*(?!\d)|[1-9]\d?(?:,\d\d)+,\d{3}(?!\d)|\d+)`;
const decimal = new RegExp(String.raw`(?:${integer}(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?`, "iy");
// `10^6`, `10 ** 6`, `10^{6}`; not `10^1.5` and `10^1/2`, which are computations. Blanks stand on both sides of `**`, or on neither.
const tenToThe = String.raw`10(?:\s?\^\s?|(?<gap>\s?)\*\*\k<gap>)[({]?(?<exponent>[+-]?\d+)(?!\d|\.\d|\s?\/)[)}]?`;
const powerOfTen = new RegExp(tenToThe, "y");
const timesPowerOfTen = new RegExp(String.raw`\s*[*xX]\s*${tenToThe}`, "y");
// `/4` behind digits, also in LaTeX's braces: `}/{4}`.
const over = /[)}]?\s*\/\s*[({]?(?<denominator>-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?))[)}]?/y;
// ` 1/2` or ` and 1/2` behind a whole number.
const fractionPart = /(?:\s+and)?\s+\{?(?<numerator>\d+)\}?\s*\/\s*\{?(?<denominator>\d+)\}?/y;

const magnitudes: Readonly<Record<string, number>> = {
  hundred: 2,
  thousand: 3,
  lakh: 5,
  million: 6,
  mln: 6,
  mn: 6,
  crore: 7,
  billion: 9,
  bn: 9,
  trillion: 12,
  tn: 12,
  quadrillion: 15,
  quintillion: 18,
};
const numberWords =
  "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety";
const magnitudeNames = `(?:${Object.keys(magnitudes).join("|")})`;
const magnitude = new RegExp(String.raw`[\s(){}*_'"-]*(${magnitudeNames})s?(?!\p{L})`, "iuy");
/**
 * A magnitude within the name of what is counted: `3 hundred-dollar bills` are three. In `a 5-million-dollar home`, `5 million-odd`
 * and `5 hundred-thousand` it belongs to the number.
 */
const ofCompound = new RegExp(
  String.raw`(?=[\s(){}*_'"]+${magnitudeNames}(?:-${magnitudeNames})*-(?!${magnitudeNames}|odd|ish|fold|strong)\p{L})`,
  "iuy",
);
/** A number in words, in brackets behind the same number: `25 (twenty-five)`. */
export const inWords = String.raw`\([\s*_'"]*(?:(?:${numberWords}|${magnitudeNames}s?|one|and)(?!\p{L})[\s*_'"-]*)+\)`;
const anyInWords = new RegExp(inWords, "giu");
const nextInWords = new RegExp(String.raw`[\s{}*_'"]*${inWords}`, "iuy");
// 5M may be millions, M a unit and 300K kelvins, so without a currency only the small k is sure.
const letterMagnitudes: Readonly<Record<string, number>> = { k: 3, m: 6, mm: 6, b: 9 };
const magnitudeOfPrice = /(?:mm|[kmb])(?![\p{L}\d])/iuy;
const magnitudeOfCount = /k(?![\p{L}\d])/uy;

/** Passes over words in brackets that only say the number again: those of `1,000 (thousand)` do, those of `3 (million)` do not. */
function passGloss(cursor: Cursor, value: number): void {
  const start = cursor.at;
  const words = take(cursor, nextInWords)?.[0].match(/\p{L}+/gu) ?? [];
  const exponents = words.map((word) => magnitudes[word.toLowerCase().replace(/s$/, "")]);
  const isScale = !exponents.includes(undefined);
  if (isScale && 10 ** exponents.reduce((a, b) => a! + b!, 0)! !== value) cursor.at = start;
}

/** The power of ten that words behind a number stand for. */
function takeMagnitude(cursor: Cursor, value: number, hasCurrency: boolean): number {
  const letter = take(cursor, hasCurrency ? magnitudeOfPrice : magnitudeOfCount)?.[0];
  if (letter !== undefined) return letterMagnitudes[letter.toLowerCase()]!;
  passGloss(cursor, value);
  if (!hasCurrency && Number.isInteger(value) && take(cursor, ofCompound)) return 0;
  let exponent = 0;
  for (;;) {
    const word = take(cursor, magnitude)?.[1];
    if (word === undefined) return exponent;
    exponent += magnitudes[word.toLowerCase()]!;
  }
}

const withoutSeparators = (digits: string) => digits.replace(/[ ,'_]/g, "");

/** Numerator and denominator of what follows the digits: `/4`, or ` 1/2` of a mixed number. */
function takeRatio(cursor: Cursor, written: string): [number, number] | undefined {
  const digits = withoutSeparators(written);
  const start = cursor.at;
  const part = /^\d+$/.test(digits) ? take(cursor, fractionPart)?.groups : undefined;
  if (part) {
    const [numerator, denominator] = [Number(part.numerator), Number(part.denominator)];
    if (numerator < denominator) return [Number(digits) * denominator + numerator, denominator];
    cursor.at = start;
  }
  if (written.includes(" ")) return undefined; // 1 000/3 may be 1 and a fraction
  const denominator = take(cursor, over)?.groups?.denominator;
  return denominator === undefined
    ? undefined
    : [Number(digits), Number(withoutSeparators(denominator))];
}

/** A number without its sign. Number() rounds digits and power of ten once, so 1.1 million is 1100000. */
function takeUnsigned(cursor: Cursor, hasCurrency: boolean): Quantity | undefined {
  const power = take(cursor, powerOfTen)?.groups?.exponent;
  if (power !== undefined) return { value: Number(`1e${power}`), isFraction: false };
  const written = take(cursor, decimal)?.[0];
  if (written === undefined) return undefined;
  const digits = withoutSeparators(written);
  const times = take(cursor, timesPowerOfTen)?.groups?.exponent;
  if (times !== undefined) return { value: Number(`${digits}e${times}`), isFraction: false };
  const ratio = takeRatio(cursor, written);
  const value = ratio ? ratio[0] / ratio[1] : Number(digits);
  const exponent = takeMagnitude(cursor, value, hasCurrency);
  if (ratio) return { value: (ratio[0] * 10 ** exponent) / ratio[1], isFraction: true };
  return { value: Number(exponent === 0 ? digits : `${digits}e${exponent}`), isFraction: false };
}

/** What changes no number in front of it: quotes, bold, brackets, arrows, `about` and the like. */
const dressing =
  /[\s*_`"'#~()[\]{}→]+|(?:about|approximately|approx\.?|around|roughly|nearly|almost|exactly|precisely|just|only|simply|equals|equal to|a total of|therefore|thus|hence|indeed|actually|clearly|now|then|also)(?!\p{L})/iuy;
const currency =
  /(?:US|CA?|AU?|NZ?|HK|NT|S|R)?\p{Sc}|(?:USD|EUR|GBP|CHF|INR|JPY|CNY|CAD|AUD|Rs\s?\.?)(?!\p{L})/iuy;
const sign = /[+-]|(?:negative|minus)(?!\p{L})/iuy;

/** What stands before the digits. @returns undefined for two signs */
function takeFront(cursor: Cursor): { sign: 1 | -1; hasCurrency: boolean } | undefined {
  const signs: string[] = [];
  let hasCurrency = false;
  for (;;) {
    if (take(cursor, currency)) hasCurrency = true;
    else if (!take(cursor, dressing)) {
      const found = take(cursor, sign)?.[0];
      if (found === undefined) break;
      signs.push(found);
    }
  }
  if (signs.length > 1) return undefined;
  return { sign: signs[0] === undefined || signs[0] === "+" ? 1 : -1, hasCurrency };
}

/**
 * Powers of units: the only digits that may follow a number. Without `^` a minus may be one between two numbers; what follows a
 * function is no power (`5log2`, `5sqrt2`).
 */
const unitPower =
  /((?<!\p{L})(?:[cdkm]?m|ft|in|yd|mi|s)|(?!sin|cos|tan|log|exp|qrt)\p{L}{3})\}?(?:\^?[({]?[23]|\^[({]?-[123])(?!\d)[)}]?/giu;
/** Words, signs of units, punctuation, symbols like emoji, and hyphens within words. */
const words =
  /^(?:[\p{L}\p{M}\p{Sc}\p{So}\s%()[\]{}*_`"'.,:;~#&|]|\/(?=\s?\{?\p{L})|(?<=\p{L})!|(?<=^|\p{L})-(?=\p{L}{2}))*$/u;
/** Words that change the number in front of them, or make it one of several; the first are so only next to it. */
const anyOf = (list: string) => String.raw`(?<!\p{L})(?:${list})(?!\p{L})`;
const largeWords =
  "(?:hundred|thousand|million|billion|trillion|quadrillion|quintillion|lakh|crore)s?";
const changing = [
  String.raw`^[^\p{L}]*${anyOf("and|to|x|by|over|out|squared|cubed|factorial|point|through|until|versus|vs|one|doubled|tripled|quadrupled|halved|tens|twelves|raised\\s+to|sqrt|sin|cos|ln")}(?!-\p{L})`,
  String.raw`^[^\p{L}]*${anyOf("tan|log|exp")}\s*(?:\(|${anyOf("\\p{L}|alpha|beta|phi|theta")})`, // `5 tan shirts` are five
  String.raw`^(?![\uFE0F\u20E3])\p{M}`, // 0.3̅ repeats its digit; 5️⃣ only looks another way
  anyOf("or|nor|plus|minus|below|half|halves|dozens?|doz|dz|mil|mio|mrd|pi|repeating|recurring"),
  String.raw`${anyOf(largeWords)}(?!-\p{L})`,
  String.raw`${anyOf(numberWords)}(?!-\p{L})`, // two readings, as with digits; `5 ten-dollar bills` are five
  anyOf("(?:third|fourth|fifth|sixth|seventh|eighth|ninth|eleventh|twelfth|\\p{L}+teenth)s?"),
  anyOf("(?:tenth|\\p{L}+tieth|\\p{L}*(?:hundred|thousand|illion)th)s?"),
  String.raw`${anyOf("quarters?")}\s+of(?!\p{L})`,
  String.raw`${anyOf("and")}\s+${anyOf("an?|one")}`,
  anyOf("at\\s+(?:least|most)"),
  anyOf("which\\s+(?:is|was|would\\s+be)\\s+(?:wrong|incorrect|false)"),
  "[π十百千万亿億萬]",
].map((pattern) => new RegExp(pattern, "iu"));
/** A letter alone, or below a stroke, is an unknown (5x, 5 y, 5/n), an imaginary unit or a choice, unless it is that of a unit. */
const loneLetter =
  /^[\s{}]*(?:\/[\s{]*)?(?![cCdFghJlLmNpstVwWΩÅ]|(?<=\s)a\s+\p{L}|a\.\s?m)\p{L}(?!['\p{L}\p{M}])/u;

/** Is what follows a number its unit or other words, which do not change it? */
function isUnit(rest: string): boolean {
  const text = rest.replace(unitPower, "$1").replace(anyInWords, "");
  return words.test(text) && ![loneLetter, ...changing].some((pattern) => pattern.test(text));
}

/** The number of a text that is one quantity with its unit and other words behind it. Units do not scale: `50%` is 50, `50 cents` 50. */
export function readQuantity(text: string): Quantity | undefined {
  const cursor = { text, at: 0 };
  const front = takeFront(cursor);
  const unsigned = front && takeUnsigned(cursor, front.hasCurrency);
  if (!unsigned || !Number.isFinite(unsigned.value) || !isUnit(text.slice(cursor.at)))
    return undefined;
  return { ...unsigned, value: front.sign * unsigned.value + 0 }; // -0 + 0 is 0
}
