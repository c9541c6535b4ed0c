// What a template can call: functions as Python and transformers have them, in place of those of the library.
import type { Environment } from "@huggingface/jinja";
import { UserError } from "../../errors.ts";
import { filters } from "./filters.ts";
import { operators } from "./operators.ts";
import { strftime } from "./strftime.ts";
import { ownName } from "./tree.ts";
import { missing, type Value } from "./value.ts";

/** A function of a template under a name of ours, with its parameters as Python calls them; what is not given is undefined. */
function define(
  environment: Environment,
  name: string,
  parameters: readonly string[],
  run: (value: Value, ...given: (Value | undefined)[]) => Value,
): void {
  const made = environment.set(ownName(name), () => null) as unknown as Value;
  if (made.type !== "FunctionValue") return;
  made.value = (args) => {
    const last = args.at(-1);
    const isNamed = last?.type === "KeywordArgumentsValue";
    const named: ReadonlyMap<string, Value> = isNamed ? last.value : new Map();
    const places = isNamed ? args.slice(0, -1) : args;
    const free = parameters.slice(places.length);
    if (places.length > parameters.length || [...named.keys()].some((key) => !free.includes(key)))
      throw new Error(`${name}: expected no arguments but ${parameters.join(", ")}`);
    const [value = missing, ...given] = parameters.map((key, i) => places[i] ?? named.get(key));
    return run(value, ...given);
  };
}

export function defineFunctions(environment: Environment, date: string | undefined): void {
  for (const [name, run] of Object.entries(operators))
    define(environment, name, ["a", "b"], (...values) => run(...(values as Value[])));
  for (const [name, { parameters, run }] of Object.entries(filters))
    define(environment, name, ["value", ...parameters], run);
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
