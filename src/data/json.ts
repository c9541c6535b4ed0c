// JSON values: their type, one text for all that are the same, and finding them in what a model wrote.

/** Any value that JSON can say. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** The same text for the same value: keys in order, no spaces, numbers as JavaScript writes the nearest double. */
export function canonicalJson(value: JsonValue): string {
  return JSON.stringify(value, (_, inner) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** Characters as a text of JSON escapes them, one escape for each UTF-16 unit. */
export function jsonEscapes(characters: string): string {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return characters.split("").map(escaped).join("");
}

/** Is every number in a value finite? JavaScript reads 1e400 as Infinity and writes that as null, so it would equal null. */
export function isFiniteJson(value: JsonValue): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value !== "object" || value === null || Object.values(value).every(isFiniteJson);
}

/** The value that a text says and nothing else; undefined where it is no JSON, or has a number beyond the doubles. */
export function readJsonText(text: string): JsonValue | undefined {
  try {
    const value = JSON.parse(text) as JsonValue;
    return isFiniteJson(value) ? value : undefined;
  } catch {
    return undefined; // SyntaxError, or RangeError where it is nested too deep
  }
}

/**
 * Finds the first or the last JSON value in a text: in Markdown's fences if they hold any, else an object or a list between
 * other words, else the whole text.
 */
export function findJson(text: string, which: "first" | "last"): JsonValue | undefined {
  const fenced = [...text.matchAll(/^ {0,3}```[^\n`]*\n(.*?)^ {0,3}```/gms)];
  const inFences = fenced.flatMap(([, inside]) => readJsonText(inside!) ?? []);
  const found = inFences.length > 0 ? inFences : jsonWithin(text).map(({ value }) => value);
  return found.at(which === "first" ? 0 : -1) ?? readJsonText(text);
}

/** Characters read in vain at most: thousands of brackets may each be the begin of a value. */
const searched = 200_000;

/** The text with each object and list of JSON in it, such as stand in no other one, written in another way. */
export function rewriteJson(text: string, rewrite: (json: string) => string): string {
  const found = jsonWithin(text);
  const between = found.map(({ end }, i) => text.slice(end, found[i + 1]?.start));
  const parts = found.map(({ start, end }, i) => rewrite(text.slice(start, end)) + between[i]);
  return text.slice(0, found[0]?.start) + parts.join("");
}

/** The objects and lists of JSON in a text that stand in no other one, in their order. */
function jsonWithin(text: string): { value: JsonValue; start: number; end: number }[] {
  const values: ReturnType<typeof jsonWithin> = [];
  let start = nextBracket(text, 0);
  for (let read = 0; start !== -1 && read < searched; ) {
    const end = closingBracket(text, start);
    const value = end === -1 ? undefined : readJsonText(text.slice(start, end));
    if (value !== undefined) values.push({ value, start, end });
    else read += (end === -1 ? text.length : end) - start;
    start = nextBracket(text, value === undefined ? start + 1 : end);
  }
  return values;
}

function nextBracket(text: string, from: number): number {
  const bracket = /[{[]/g;
  bracket.lastIndex = from;
  return bracket.exec(text)?.index ?? -1;
}

/** Where the value that a bracket opens ends, brackets within texts left out; -1 where it does not. */
function closingBracket(text: string, start: number): number {
  let depth = 0;
  const part = /"(?:[^"\\]|\\.)*"|[{}[\]]/gs;
  part.lastIndex = start;
  for (let found = part.exec(text); found; found = part.exec(text)) {
    if (/[{[]/.test(found[0][0]!)) depth++;
    else if (/[}\]]/.test(found[0][0]!) && --depth === 0) return part.lastIndex;
  }
  return -1;
}
