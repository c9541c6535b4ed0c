// Operators, attributes and tests as Python has them, by the names under which tree.ts calls them.
import { show, UserError } from "../../errors.ts";
import {
  boolean,
  checkDefined,
  contains,
  equal,
  float,
  integer,
  isList,
  isMapping,
  isNumber,
  items,
  list,
  string,
  text,
  type Value,
} from "./value.ts";

/** Methods of Python's mappings, which come before their keys; the library has the keys first. */
const mappingMethods = ["get", "items", "keys", "values"];

export const operators: Readonly<Record<string, (...values: Value[]) => Value>> = {
  // What Python writes for a value that stands alone between these.
  "{{": (value) => string(text(value!)),
  "==": (a, b) => boolean(equal(a!, b!)),
  in: (a, b) => boolean(contains(b!, a!)),
  "~": (a, b) => string(text(a!) + text(b!)),
  "+": (a, b) => add(a!, b!),
  "%": (a, b) => modulo(a!, divisor(b!)),
  "/": (b) => divisor(b!),
  // What an attribute is asked of: the library finds some that Python has not.
  ".": (value, name) => {
    const asked = text(name!);
    checkDefined(value!, `attribute ${show(asked)}`);
    const isOther = isMapping(value!)
      ? mappingMethods.includes(asked) && value.value.has(asked)
      : asked === "length" && (isList(value!) || value!.type === "StringValue");
    if (!isOther) return value!;
    throw new UserError(
      `Python has another .${asked} than the template may mean; use the filter length, or ["${asked}"] for a key`,
    );
  },
  // What an item is asked of: a text has one for each code point.
  "[]": (value) => {
    checkDefined(value!, "an item");
    return value!.type === "StringValue" ? list(items(value!)) : value!;
  },
  "is number": (value) => boolean(isNumber(value!)),
  "is iterable": (value) => boolean(isSequence(value!)),
  "is sequence": (value) => boolean(isSequence(value!)),
  "is lower": (value) => boolean(isCased(value!, /\p{Lowercase}/u, /[\p{Uppercase}\p{Lt}]/u)),
  "is upper": (value) => boolean(isCased(value!, /\p{Uppercase}/u, /[\p{Lowercase}\p{Lt}]/u)),
};

/** Jinja's undefined value is an empty sequence. */
const isSequence = (value: Value) =>
  isList(value) ||
  isMapping(value) ||
  value.type === "StringValue" ||
  value.type === "UndefinedValue";

const isCased = (value: Value, some: RegExp, none: RegExp) =>
  some.test(text(value)) && !none.test(text(value));

function add(a: Value, b: Value): Value {
  if (a.type === "StringValue" && b.type === "StringValue") return string(a.value + b.value);
  if (isList(a) && isList(b)) return list([...a.value, ...b.value]);
  if (isNumber(a) && isNumber(b)) return numeric(Number(a.value) + Number(b.value), a, b);
  throw new Error(
    "expected two texts, numbers or lists to add; a ~ b writes any two after another",
  );
}

/** A remainder has the sign of its divisor. */
function modulo(a: Value, b: Value): Value {
  if (!isNumber(a) || !isNumber(b)) throw new Error("expected two numbers for %");
  const by = Number(b.value);
  const rest = Number(a.value) % by;
  if (rest === 0) return numeric(by < 0 ? -0 : 0, a, b);
  return numeric(rest < 0 === by < 0 ? rest : rest + by, a, b);
}

const numeric = (value: number, ...of: readonly Value[]) =>
  of.some(({ type }) => type === "FloatValue") ? float(value) : integer(value);

function divisor(value: Value): Value {
  if (isNumber(value) && Number(value.value) === 0) throw new Error("division by zero");
  return value;
}
