// Python's json.dumps, which transformers' filter "tojson" is.
import { UserError } from "../../errors.ts";
import { jsonEscapes } from "../json.ts";
import { isList, isMapping, text, type Value } from "./value.ts";

export interface Layout {
  readonly isAscii: boolean;
  /** What each level is moved to the right by; without it all is one line. */
  readonly indent: string | undefined;
  /** What stands between two items, and between a key and its value. */
  readonly separators: readonly [string, string];
  readonly isSorted: boolean;
}

/** @param lineEnd with the white space that the line after it begins with */
export function json(value: Value, layout: Layout, lineEnd = "\n"): string {
  const { isAscii, indent, isSorted } = layout;
  const [comma, colon] = layout.separators;
  const within = lineEnd + indent;
  const inside = (inner: Value) => json(inner, layout, within);
  const brackets = (open: string, parts: readonly string[], close: string) =>
    indent === undefined || parts.length === 0
      ? open + parts.join(comma) + close
      : open + within + parts.join(comma + within) + lineEnd + close;
  if (isList(value)) return brackets("[", value.value.map(inside), "]");
  if (isMapping(value)) {
    const entries = [...value.value];
    if (isSorted) entries.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const parts = entries.map(([key, inner]) => quoted(key, isAscii) + colon + inside(inner));
    return brackets("{", parts, "}");
  }
  switch (value.type) {
    case "StringValue":
      return quoted(value.value, isAscii);
    case "IntegerValue":
    case "FloatValue":
      if (Number.isFinite(value.value)) return text(value);
      throw new UserError("tojson of a number that is not finite is not computed");
    case "BooleanValue":
      return String(value.value);
    case "NullValue":
      return "null";
    default:
      throw new Error("tojson of what JSON has not");
  }
}

function quoted(value: string, isAscii: boolean): string {
  const json = JSON.stringify(value);
  if (!isAscii) return json;
  return json.replace(/[\x7f-\uffff]/g, jsonEscapes);
}
