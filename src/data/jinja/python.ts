// What a template can call: functions as Python and transformers have them, in place of those of the library.
import type { Environment } from "@huggingface/jinja";
import { UserError } from "../../errors.ts";
import { strftime } from "./strftime.ts";
import { ownName } from "./tree.ts";

type RuntimeValue = ReturnType<Environment["set"]>;

/** Python's white space, which differs from JavaScript's. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python takes some for white space
const space = /[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

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

/** Functions see plain values, but for those that are given the library's own. */
export function defineFunctions(environment: Environment, date: string | undefined): void {
  const text = (value: unknown, name: string): string => {
    if (typeof value === "string") return value;
    throw new Error(`${name} of what is no text`);
  };
  const stripping = (name: string, atStart: boolean, atEnd: boolean) =>
    environment.set(ownName(name), (value: unknown, characters: string | null = null) =>
      strip(text(value ?? "", name), characters, atStart, atEnd),
    );
  stripping("strip", true, true);
  stripping("trim", true, true);
  stripping("lstrip", true, false);
  stripping("rstrip", false, true);
  environment.set(ownName("capitalize"), (value: unknown) => {
    const [first = "", ...rest] = text(value, "capitalize");
    return first.toUpperCase() + rest.join("").toLowerCase();
  });
  for (const name of ["length", "count"])
    environment.set(ownName(name), (value: unknown) => {
      if (value === undefined) return 0;
      if (typeof value === "string") return [...value].length; // code points, as Python counts
      if (value instanceof Map) return value.size;
      if (Array.isArray(value)) return value.length;
      throw new Error(`${name} of what has none`);
    });
  environment.set("range", rangeWithin(mostNumbers));
  environment.set("raise_exception", (message: unknown) => {
    throw new UserError(`the template raises: ${String(message)}`);
  });
  environment.set("strftime_now", (format: string) => {
    if (date !== undefined) return strftime(date, format);
    throw new UserError(
      "the template writes today's date, with which a run would not go on as it began; say which day with chat.date, for example 2024-07-26",
    );
  });
  definePrint(environment);
}

/** What Python writes for a value that stands alone between `{{` and `}}`. */
function definePrint(environment: Environment): void {
  const [True, False, None] = ["True", "False", "None"].map((word) =>
    environment.set(`${ownName("print")} ${word}`, word),
  );
  const print = environment.set(ownName("print"), () => null) as unknown as {
    value: (values: readonly RuntimeValue[]) => RuntimeValue;
  };
  print.value = ([value]) => {
    switch (value!.type) {
      case "BooleanValue":
        return value!.value ? True! : False!;
      case "NullValue":
        return None!;
      case "StringValue":
      case "IntegerValue":
      case "FloatValue":
      case "UndefinedValue":
        return value!;
      default:
        throw new UserError("the template writes a list or a mapping as it is; use tojson or join");
    }
  };
}

/** Numbers that one rendering may ask `range` for. Python makes them one by one; here all of a call are made at once. */
const mostNumbers = 10_000;

/** Python's `range`, whose calls share a number of numbers: loops within loops end soon, and leave no memory behind. */
function rangeWithin(most: number): (start: number, stop?: number, step?: number) => number[] {
  let left = most;
  return (start, stop, step = 1) => {
    const [from, to] = stop == null ? [0, start] : [start, stop];
    if (step === 0) throw new Error("range() with a step of 0");
    const length = Math.max(0, Math.ceil((to - from) / step));
    left -= length;
    if (left < 0)
      throw new UserError(
        `the template asks range() for more than ${most} numbers in all; it may have loops within loops: use another one`,
      );
    return Array.from({ length }, (_, i) => from + i * step);
  };
}
