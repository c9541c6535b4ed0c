// Regular expressions of tokenizer.json are Oniguruma's (Ruby's syntax, Unicode classes). What JavaScript can match exactly is
// translated, all else is refused. Reference: kkos/oniguruma, doc/RE.
import { show, UserError } from "../../errors.ts";

/** Any character at all; "." leaves the line end out. */
const anything = "[^]";
/** Oniguruma's own Latin-1 table counts these numbers as word characters, but not in a bracketed class. */
const latinNumbers = "\\u{b2}\\u{b3}\\u{b9}\\u{bc}-\\u{be}";
const wordClass = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
const word = `[${wordClass}${latinNumbers}]`;

/** What escapes mean within a class. JavaScript's \s holds U+FEFF and lacks U+0085. */
const sets: Readonly<Record<string, string>> = {
  s: "\\p{White_Space}",
  S: "\\P{White_Space}",
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  h: "0-9A-Fa-f",
  H: "[^0-9A-Fa-f]",
  w: wordClass,
  W: `[^${wordClass}]`,
};
const anchors: Readonly<Record<string, string>> = {
  b: `(?:(?<=${word})(?!${word})|(?<!${word})(?=${word}))`,
  B: `(?:(?<=${word})(?=${word})|(?<!${word})(?!${word}))`,
  A: `(?<!${anything})`,
  z: `(?!${anything})`,
};
const controls: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  f: "\f",
  v: "\v",
  a: "\u0007",
  e: "\u001b",
};
/** Two letters that also fold to one character ("ss" to "ß"); without case, Oniguruma finds that, too. */
const foldedPairs = ["ss", "st", "ff", "fi", "fl"];

/** Groups and classes within each other; nobody writes more, and more would exhaust the stack. */
const deepest = 100;

/**
 * @param where the place in tokenizer.json, for messages
 * @returns an expression with the flags g and u that finds what Oniguruma finds
 * @throws UserError for what has no exact counterpart
 */
export function compileOniguruma(source: string, where: string): RegExp {
  const refuse = (what: string): never => {
    throw new UserError(
      `${where}: the regular expression ${show(source)} has ${what}, which is not supported`,
    );
  };
  const flags = { ignoresCase: false, looksBehind: false };
  const translated = all({ chars: [...source], refuse, at: 0, depth: 0, atomics: 0, ...flags });
  try {
    return new RegExp(translated, "gu");
  } catch {
    return refuse("a form that JavaScript does not read");
  }
}

/** A text as an expression that finds it, for the flag u. */
export function literal(text: string): string {
  return Array.from(text, (char) =>
    /[A-Za-z0-9]/.test(char) ? char : `\\u{${char.codePointAt(0)!.toString(16)}}`,
  ).join("");
}

/** The expression as far as it has been read, from left to right. */
interface Reader {
  readonly chars: readonly string[];
  readonly refuse: (what: string) => never;
  at: number;
  depth: number;
  atomics: number;
  ignoresCase: boolean;
  looksBehind: boolean;
}

/** A translated part of the expression. */
interface Part {
  readonly source: string;
  readonly canBeEmpty: boolean;
}

/** A part that takes one character. */
const taking = (source: string): Part => ({ source, canBeEmpty: false });
/** A part that only looks around. */
const looking = (source: string): Part => ({ source, canBeEmpty: true });

function all(reader: Reader): string {
  const result = alternatives(reader).source;
  return reader.at < reader.chars.length ? reader.refuse('a ")" too many') : result;
}

function takes(reader: Reader, text: string): boolean {
  const found = reader.chars.slice(reader.at, reader.at + text.length).join("") === text;
  if (found) reader.at += text.length;
  return found;
}

function takesMatch(reader: Reader, pattern: RegExp): RegExpExecArray | undefined {
  const match = pattern.exec(reader.chars.slice(reader.at, reader.at + 40).join(""));
  if (match) reader.at += [...match[0]].length;
  return match ?? undefined;
}

function next(reader: Reader): string {
  return reader.chars[reader.at++] ?? reader.refuse("no end");
}

function alternatives(reader: Reader): Part {
  if (++reader.depth > deepest) reader.refuse(`groups nested deeper than ${deepest}`);
  const found = [looking("")];
  while (reader.at < reader.chars.length && reader.chars[reader.at] !== ")") {
    if (takes(reader, "|")) {
      found.push(looking(""));
      continue;
    }
    const before = found.pop()!;
    const part = quantified(reader, atom(reader));
    const canBeEmpty = before.canBeEmpty && part.canBeEmpty;
    found.push({ source: before.source + part.source, canBeEmpty });
  }
  reader.depth--;
  return {
    source: found.map(({ source }) => source).join("|"),
    canBeEmpty: found.some(({ canBeEmpty }) => canBeEmpty),
  };
}

function atom(reader: Reader): Part {
  const start = reader.at;
  const char = next(reader);
  if (reader.ignoresCase && /[[\\.^$]/.test(char))
    return reader.refuse(`${show(char)} within "(?i:"`);
  switch (char) {
    case "(":
      return group(reader);
    case "[":
      return taking(characterClass(reader));
    case ".":
      return taking("[^\\n]");
    case "\\":
      return escapeSequence(reader);
    case "^":
    case "$":
    case "*":
    case "+":
    case "?":
      return reader.refuse(`"${char}" at character ${start + 1}`);
    default:
      return taking(reader.ignoresCase ? eitherCase(reader, char) : literal(char));
  }
}

function group(reader: Reader): Part {
  const [ignoresCase, looksBehind] = [reader.ignoresCase, reader.looksBehind];
  const kind = takesMatch(reader, /^\?(?:i:|<[=!]|[:=!>])/)?.[0] ?? "";
  if (kind === "" && reader.chars[reader.at] === "?") reader.refuse("a group of another kind");
  if (kind === "?i:") reader.ignoresCase = true;
  if (kind.startsWith("?<")) reader.looksBehind = true;
  const { source, canBeEmpty } = alternatives(reader);
  if (!takes(reader, ")")) reader.refuse("a group without an end");
  [reader.ignoresCase, reader.looksBehind] = [ignoresCase, looksBehind];
  if (/[=!]$/.test(kind)) return looking(`(${kind}${source})`);
  return { source: kind === "?>" ? atomic(reader, source) : `(?:${source})`, canBeEmpty };
}

/** An atomic group: JavaScript never goes back into a lookahead, and the reference to its group takes what it found. */
function atomic(reader: Reader, body: string): string {
  if (reader.looksBehind) reader.refuse("an atomic or possessive part within a lookbehind");
  const name = `atomic${reader.atomics++}`;
  return `(?:(?=(?<${name}>${body}))\\k<${name}>)`;
}

function quantified(reader: Reader, part: Part): Part {
  const simple = takesMatch(reader, /^[*+?]/)?.[0];
  const interval = simple ? undefined : takesMatch(reader, /^\{(\d*)(,?)(\d*)\}/);
  if (interval?.[0] === "{}" || interval?.[0] === "{,}") reader.refuse("an empty interval");
  const quantifier = simple ?? (interval && `{${interval[1] || 0}${interval[2]}${interval[3]}}`);
  if (quantifier === undefined) return part;
  // Either language ends such a repetition in its own way.
  if (part.canBeEmpty) reader.refuse("a repeated part that can be empty");
  const canBeEmpty = interval ? Number(interval[1]) === 0 : simple !== "+";
  const source = part.source + quantifier;
  const suffix = takesMatch(reader, /^[*+?{]/)?.[0];
  if (suffix === undefined) return { source, canBeEmpty };
  // In Ruby's syntax "{3}?" and "{3}+" repeat the interval once more.
  const readAlike = suffix === "?" ? interval?.[2] !== "" : suffix === "+" && simple;
  if (!readAlike || /[*+?{]/.test(reader.chars[reader.at] ?? ""))
    reader.refuse("a quantifier after a quantifier");
  return { source: suffix === "?" ? `${source}?` : atomic(reader, source), canBeEmpty };
}

/** Simple case folding, as the flag i does it. */
function eitherCase(reader: Reader, char: string): string {
  const pair = (char + (reader.chars[reader.at] ?? "")).toLowerCase();
  if (char > "\u007f" || foldedPairs.includes(pair)) reader.refuse(`${show(char)} within "(?i:"`);
  const lower = char.toLowerCase();
  const others = lower === "s" ? "\u017f" : lower === "k" ? "\u212a" : "";
  return `[${literal(lower + char.toUpperCase() + others)}]`;
}

function escapeSequence(reader: Reader): Part {
  const char = next(reader);
  const anchor = anchors[char];
  if (anchor !== undefined) return looking(anchor);
  if (char === "w") return taking(word);
  if (char === "W") return taking(`[^${wordClass}${latinNumbers}]`);
  const set = sets[char];
  if (set !== undefined) return taking(unionOf([set]));
  const isProperty = char === "p" || char === "P";
  return taking(isProperty ? property(reader, char) : literal(escaped(reader, char)));
}

/** The character that an escape stands for. */
function escaped(reader: Reader, char: string): string {
  const control = controls[char];
  if (control !== undefined) return control;
  const hex = { x: /^(?:\{([0-9A-Fa-f]{1,6})\}|([0-7][0-9A-Fa-f]))/, u: /^([0-9A-Fa-f]{4})/ };
  const code = char === "x" || char === "u" ? takesMatch(reader, hex[char]) : undefined;
  if (code) {
    const point = Number.parseInt(code[1] ?? code[2]!, 16);
    const isCharacter = point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
    return isCharacter ? String.fromCodePoint(point) : reader.refuse("a code of no character");
  }
  return /[A-Za-z0-9]/.test(char) ? reader.refuse(`"\\${char}"`) : char;
}

function property(reader: Reader, letter: "p" | "P"): string {
  const name = takesMatch(reader, /^\{(\^?)([A-Z][A-Za-z_]*)\}/);
  if (!name) return reader.refuse(`"\\${letter}" with a name of another form`);
  const negated = (letter === "P") !== (name[1] === "^");
  const kind = ["General_Category", "Script"].find((one) => isKnown(`${one}=${name[2]}`));
  if (kind === undefined) reader.refuse(`the property "${name[2]}"`);
  return `\\${negated ? "P" : "p"}{${kind}=${name[2]}}`;
}

/**
 * A class as an expression that takes one character: nested classes are alternatives, intersections look ahead.
 * The flag v has both, but V8 11.3 misses matches with it (a negated class that is repeated lazily).
 */
function characterClass(reader: Reader): string {
  if (++reader.depth > deepest) reader.refuse(`classes nested deeper than ${deepest}`);
  const negated = takes(reader, "^");
  const operands: string[][] = [[]];
  while (!takes(reader, "]")) {
    if (takes(reader, "&&")) operands.push([]);
    else operands.at(-1)!.push(classItem(reader));
  }
  reader.depth--;
  if (operands.some((items) => items.length === 0)) reader.refuse("an empty class");
  const [first, ...others] = operands.map(unionOf);
  const positive =
    others.length === 0 ? first! : `(?:${others.map((one) => `(?=${one})`).join("")}${first})`;
  if (!negated) return positive;
  return /^\[[^^]/.test(positive) ? `[^${positive.slice(1)}` : `(?:(?!${positive})${anything})`;
}

/** @param items contents of a class, or expressions that take one character */
function unionOf(items: readonly string[]): string {
  const isExpression = (item: string) => /^[[(]/.test(item);
  const contents = items.filter((item) => !isExpression(item)).join("");
  const expressions = items.filter(isExpression);
  const all = contents === "" ? expressions : [`[${contents}]`, ...expressions];
  return all.length === 1 ? all[0]! : `(?:${all.join("|")})`;
}

function classItem(reader: Reader): string {
  const char = next(reader);
  if (char === "[") {
    if (reader.chars[reader.at] === ":") reader.refuse("a POSIX class");
    return characterClass(reader);
  }
  const set = char === "\\" ? classSet(reader) : undefined;
  if (set !== undefined) return set;
  const first = char === "\\" ? escaped(reader, next(reader)) : char;
  const isRange =
    reader.chars[reader.at] === "-" && !/[\]&]/.test(reader.chars[reader.at + 1] ?? "]");
  if (!isRange) return literal(first);
  reader.at++;
  const last = next(reader);
  if (char === "-" || last === "[") reader.refuse('a "-" between sets');
  const end = last === "\\" ? escaped(reader, next(reader)) : last;
  return `${literal(first)}-${literal(end)}`;
}

function classSet(reader: Reader): string | undefined {
  const char = reader.chars[reader.at] ?? "";
  const set = sets[char];
  if (set === undefined && char !== "p" && char !== "P") return undefined;
  reader.at++;
  const found = set ?? property(reader, char as "p" | "P");
  const isBeforeRange = reader.chars[reader.at] === "-" && reader.chars[reader.at + 1] !== "]";
  return isBeforeRange ? reader.refuse('a "-" after a set') : found;
}

function isKnown(name: string): boolean {
  try {
    return new RegExp(`\\p{${name}}`, "u") instanceof RegExp;
  } catch {
    return false;
  }
}
