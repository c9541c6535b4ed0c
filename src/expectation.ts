// What a schema expects of a value, in plain words: of a setting and of what a file holds.
import type { z } from "zod";
import { show } from "./errors.ts";

const typeNames: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

/** What is wrong with a value, each once: beyond a whole number's range and the schema's own limit is one mistake, of the latter. */
export function issuesOf(error: z.ZodError): z.core.$ZodIssue[] {
  const limitOf = ({ code, path }: z.core.$ZodIssue) =>
    code === "too_big" || code === "too_small" ? JSON.stringify([code, path]) : undefined;
  return error.issues.filter((issue, i) => {
    const limit = limitOf(issue);
    return limit === undefined || error.issues.findLastIndex((one) => limitOf(one) === limit) === i;
  });
}

/** What was expected; undefined where the schema says it in words of its own. @param object what an object is called */
export function expectationOf(issue: z.core.$ZodIssue, object = "an object"): string | undefined {
  const nameOf = (type: string) => (type === "object" ? object : typeNames[type]);
  switch (issue.code) {
    case "invalid_type": {
      const name = nameOf(issue.expected);
      return name && `expected ${name}`;
    }
    case "invalid_value":
      return `expected ${issue.values.map(show).join(" or ")}`;
    case "invalid_union": {
      if ("options" in issue && issue.options)
        return `expected ${issue.options.map(show).join(" or ")}`;
      const types = issue.errors
        .flat()
        .flatMap((one) => (one.code === "invalid_type" ? (nameOf(one.expected) ?? []) : []));
      const isUnsaid = issue.message === "Invalid input" && types.length > 0;
      return isUnsaid ? `expected ${[...new Set(types)].join(" or ")}` : issue.message;
    }
    case "too_small":
      if (issue.origin === "string" || issue.origin === "array")
        return `expected ${nameOf(issue.origin)} that is not empty`;
      return `expected ${issue.inclusive ? "at least" : "more than"} ${issue.minimum}`;
    case "too_big":
      return `expected ${issue.inclusive ? "at most" : "less than"} ${issue.maximum}`;
    default:
      return undefined;
  }
}
