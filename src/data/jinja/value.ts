// Values of a running template, and what Python makes of them: how they are written, when they are equal, what they hold.
import { Environment, Interpreter } from "@huggingface/jinja";
import { show, UserError } from "../../errors.ts";

/** A value of the library, whose classes are not exported. */
export type Value = { __bool__(): { readonly value: boolean } } & (
  | { readonly type: "StringValue"; readonly value: string }
  | NumberValue
  | ListValue
  | MappingValue
  | { readonly type: "NullValue" | "UndefinedValue" | "NamespaceValue"; readonly value: unknown }
  | { readonly type: "FunctionValue"; value: (args: readonly Value[]) => Value }
);
/** A truth value is a number in Python. */
type NumberValue =
  | { readonly type: "BooleanValue"; readonly value: boolean }
  | { readonly type: "IntegerValue" | "FloatValue"; readonly value: number };
interface ListValue {
  readonly type: "ArrayValue" | "TupleValue";
  readonly value: readonly Value[];
}
interface MappingValue {
  readonly type: "ObjectValue" | "KeywordArgumentsValue";
  readonly value: ReadonlyMap<string, Value>;
}

const scope = new Environment();
const interpreter = new Interpreter(scope);
const literal = (type: string, value: unknown) =>
  interpreter.evaluate({ type, value } as never, scope) as unknown as Value;

export const string = (value: string) => literal("StringLiteral", value);
export const integer = (value: number) => literal("IntegerLiteral", value);
export const float = (value: number) => literal("FloatLiteral", value);
export const list = (values: readonly Value[]): Value =>
  Object.assign(literal("ArrayLiteral", []), { value: [...values] });
const [yes, no] = [true, false].map(
  (value) => scope.set(String(value), value) as unknown as Value,
) as [Value, Value];
export const boolean = (value: boolean) => (value ? yes : no);
export const missing = interpreter.evaluate(undefined, scope) as unknown as Value;

export const isNumber = (value: Value): value is Value & NumberValue =>
  ["BooleanValue", "IntegerValue", "FloatValue"].includes(value.type);
export const isList = (value: Value): value is Value & ListValue =>
  ["ArrayValue", "TupleValue"].includes(value.type);
export const isMapping = (value: Value): value is Value & MappingValue =>
  ["ObjectValue", "KeywordArgumentsValue"].includes(value.type);

/** An argument that is there and not None. */
export const isGiven = (value: Value | undefined): value is Value =>
  value !== undefined && value.type !== "NullValue";
export const isTrue = (value: Value | undefined) => value?.__bool__().value === true;

/** Python's `str`. @throws UserError for a value that has no text here */
export function text(value: Value): string {
  switch (value.type) {
    case "StringValue":
      return value.value;
    case "BooleanValue":
      return value.value ? "True" : "False";
    case "NullValue":
      return "None";
    case "UndefinedValue":
      return "";
    case "IntegerValue":
      if (Number.isSafeInteger(value.value)) return String(value.value);
      throw new UserError("the template writes an integer that is not exact here: above 2^53 - 1");
    case "FloatValue":
      return floatText(value.value);
    default:
      throw new UserError("the template writes a list or a mapping as it is; use tojson or join");
  }
}

/** Python's `repr` of a float: both languages write the fewest digits, with an exponent from other sizes on. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const [digits, exponent] = value.toExponential().split("e") as [string, string];
  if (Number(exponent) >= -4 && Number(exponent) < 16)
    return Number.isInteger(value) ? value.toFixed(1) : String(value);
  return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

/** Python's `==`. @throws UserError for a list and a tuple with the same items: the library makes lists of some tuples */
export function equal(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) return Number(a.value) === Number(b.value);
  if (isList(a) && isList(b)) {
    const { length } = a.value;
    const isSame = length === b.value.length && a.value.every((x, i) => equal(x, b.value[i]!));
    if (!isSame || a.type === b.type) return isSame;
    throw new UserError("the template compares a list with a tuple, which is not computed");
  }
  if (isMapping(a) && isMapping(b))
    return a.value.size === b.value.size && [...a.value].every(([key, x]) => isAt(b, key, x));
  return a.type === b.type && a.value === b.value;
}

const isAt = (mapping: MappingValue, key: string, value: Value) => {
  const found = mapping.value.get(key);
  return found !== undefined && equal(found, value);
};

/** What a loop of Python's goes through: the keys of a mapping, the code points of a text. */
export function items(value: Value): readonly Value[] {
  if (isList(value)) return value.value;
  if (isMapping(value)) return [...value.value.keys()].map(string);
  if (value.type === "StringValue") return [...value.value].map(string);
  if (value.type === "UndefinedValue") return [];
  throw new Error("expected something with items");
}

/** Python's `in`. */
export function contains(container: Value, value: Value): boolean {
  if (container.type === "StringValue") {
    if (value.type === "StringValue") return container.value.includes(value.value);
    throw new Error("expected a text to look for in a text");
  }
  if (isMapping(container)) checkKey(value);
  return items(container).some((item) => equal(item, value));
}

/** @throws Error for what can be no key of Python's */
export function checkKey(value: Value): void {
  if (value.type === "ArrayValue" || isMapping(value))
    throw new Error("expected a value that can be a key, found a list or a mapping");
}

/** What an attribute's name, also one with dots, tells of a value, where filters take one. */
export function attribute(value: Value, path: Value): Value {
  return text(path)
    .split(".")
    .reduce((inner, name) => {
      checkDefined(inner, `attribute ${show(name)}`);
      if (isMapping(inner)) return inner.value.get(name) ?? missing;
      const isPlace = /^\d+$/.test(name) && (isList(inner) || inner.type === "StringValue");
      return (isPlace ? items(inner)[Number(name)] : undefined) ?? missing;
    }, value);
}

/** @throws Error where an attribute or item of nothing is asked for */
export function checkDefined(value: Value, asked: string): void {
  if (value.type === "UndefinedValue") throw new Error(`${asked} of an undefined value`);
}
