// Filters as Python's Jinja and transformers have them, and methods of texts, whose names begin with a point.
import { UserError } from "../../errors.ts";
import { json } from "./json.ts";
import {
  attribute,
  boolean,
  checkDefined,
  checkKey,
  equal,
  float,
  integer,
  isGiven,
  isNumber,
  isTrue,
  items,
  list,
  string,
  text,
  type Value,
} from "./value.ts";

export interface Filter {
  /** Names of what may be given beside the value. */
  readonly parameters: readonly string[];
  readonly run: (value: Value, ...given: (Value | undefined)[]) => Value;
}

/** Python's white space, which differs from JavaScript's. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python takes some for white space
const space = /[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
/** What Python's `splitlines` takes for the end of a line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python takes some for ends of lines
const lineEnd = /\r\n|[\n-\r\x1c-\x1e\x85\u2028\u2029]/;

/** A text without the characters at its ends that Python's `strip` takes off: those given, else white space. */
function strip(text: string, characters: string | null, atStart: boolean, atEnd: boolean): string {
  const isTaken = (character: string) =>
    characters === null ? space.test(character) : characters.includes(character);
  const all = [...text];
  let [start, end] = [0, all.length];
  while (atStart && start < end && isTaken(all[start]!)) start++;
  while (atEnd && start < end && isTaken(all[end - 1]!)) end--;
  return all.slice(start, end).join("");
}

/** What only a text can do; a filter takes other values by what is written of them. */
function textOf(value: Value): string {
  if (value.type === "StringValue") return value.value;
  throw new Error("expected a text");
}

const stripping = (atStart: boolean, atEnd: boolean, read = textOf): Filter => ({
  parameters: ["chars"],
  run: (value, chars) =>
    string(strip(read(value), isGiven(chars) ? textOf(chars) : null, atStart, atEnd)),
});

const capitalizing = (read: (value: Value) => string): Filter => ({
  parameters: [],
  run: (value) => {
    const [first = "", ...rest] = read(value);
    return string(first.toUpperCase() + rest.join("").toLowerCase());
  },
});

const counting: Filter = {
  parameters: [],
  run: (value) => integer(items(value).length),
};

/** A number, or what is one in Python's spelling. */
function toNumber(value: Value): number | undefined {
  checkDefined(value, "the number");
  if (isNumber(value)) return Number(value.value);
  if (value.type !== "StringValue") return undefined;
  if (/(?![0-9])\p{Nd}/u.test(value.value))
    throw new UserError("numbers in digits other than 0 to 9 are not computed");
  const spelled = strip(value.value, null, true, true).replace(/(?<=\d)_(?=\d)/g, "");
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(spelled)) return Number(spelled);
  if (/^[+-]?nan$/i.test(spelled)) return Number.NaN;
  if (!/^[+-]?inf(inity)?$/i.test(spelled)) return undefined;
  return spelled.startsWith("-") ? -Infinity : Infinity;
}

/** White space, as a text or by its width. */
const margin = (value: Value) =>
  isNumber(value) ? " ".repeat(Math.max(0, Number(value.value))) : textOf(value);

export const filters: Readonly<Record<string, Filter>> = {
  ".strip": stripping(true, true),
  ".lstrip": stripping(true, false),
  ".rstrip": stripping(false, true),
  ".capitalize": capitalizing(textOf),
  // This splits at white space; the library splits at other texts as Python does.
  ".split": {
    parameters: [],
    run: (value) => list(textOf(value).split(space).filter(Boolean).map(string)),
  },
  trim: stripping(true, true, text),
  capitalize: capitalizing(text),
  length: counting,
  count: counting,
  string: { parameters: [], run: (value) => string(text(value)) },
  int: {
    parameters: ["default", "base"],
    run: (value, otherwise = integer(0), base) => {
      if (base) throw new UserError("the filter int with a base is not computed");
      const number = toNumber(value) ?? Number.NaN;
      return Number.isFinite(number) ? integer(Math.trunc(number)) : otherwise;
    },
  },
  float: {
    parameters: ["default"],
    run: (value, otherwise = float(0)) => {
      const number = toNumber(value);
      return number === undefined ? otherwise : float(number);
    },
  },
  join: {
    parameters: ["d", "attribute"],
    run: (value, between = string(""), path) => {
      const shown = items(value).map((item) => text(isGiven(path) ? attribute(item, path) : item));
      return string(shown.join(text(between)));
    },
  },
  unique: {
    parameters: ["case_sensitive", "attribute"],
    run: (value, isCased = boolean(false), path) => {
      const found = new Map<Value, Value>();
      for (const item of items(value)) {
        const told = isGiven(path) ? attribute(item, path) : item;
        const isSmall = told.type === "StringValue" && !isTrue(isCased);
        const key = isSmall ? string(told.value.toLowerCase()) : told;
        checkKey(key);
        if (![...found.keys()].some((other) => equal(other, key))) found.set(key, item);
      }
      return list([...found.values()]);
    },
  },
  indent: {
    parameters: ["width", "first", "blank"],
    run: (value, width = integer(4), first, blank) => {
      const lines = `${textOf(value)}\n`.split(lineEnd).slice(0, -1);
      const isMoved = (line: string, i: number) =>
        i === 0 ? isTrue(first) : line !== "" || isTrue(blank);
      const moved = lines.map((line, i) => (isMoved(line, i) ? margin(width) + line : line));
      return string(moved.join("\n"));
    },
  },
  tojson: {
    parameters: ["ensure_ascii", "indent", "separators", "sort_keys"],
    run: (value, ascii, indent, separators, sorted) => {
      const layout = {
        isAscii: isTrue(ascii),
        indent: isGiven(indent) ? margin(indent) : undefined,
        separators: isGiven(separators)
          ? pairOf(separators)
          : ([isGiven(indent) ? "," : ", ", ": "] as const),
        isSorted: isTrue(sorted),
      };
      return string(json(value, layout));
    },
  },
};

function pairOf(value: Value): readonly [string, string] {
  const [first, second, ...more] = items(value);
  if (first && second && more.length === 0) return [textOf(first), textOf(second)];
  throw new Error("expected two separators");
}
