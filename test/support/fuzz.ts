// Bad input: cases made of what the project itself writes, changed in every way that a file can be wrong, and the property that all of
// its readers have: a right result, or exactly one clear `UserError`, soon and without memory that the file does not account for.
// `npm run test:fuzz -- --cases N` tries N cases of each kind with a new seed; without it each kind has a thousand, and always the same.
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext, Script } from "node:vm";
import fc from "fast-check";
import { test } from "vitest";
import { UserError } from "../../src/errors.ts";

/** How many cases the long mode tries of each kind; 0 is the short mode. */
const asked = Number(process.env.REFT_FUZZ_CASES ?? 0);
export const isLong = asked > 0;

const secondsPerCase = 5;
const secondsByTheClock = 120; // a busy machine takes its time
const megabytesPerCase = 64;
const longestMessage = 4000;

/** What a message must not begin a line with: text out of a file that looks like one of the program's own. */
const forgery = "reft: forged";

/**
 * One test: reads many cases, and fails with the smallest case that a reader treats otherwise than it should, and its seed.
 *
 * @param read returns what was read, in whatever form, or throws a UserError
 */
export function fuzz<T>(name: string, input: fc.Arbitrary<T>, read: (input: T) => unknown): void {
  const parameters = isLong ? { numRuns: asked } : { numRuns: 1000, seed: 1 };
  test(name, { timeout: 0 }, async () => {
    const property = fc.asyncProperty(input, async (value) => {
      await readsOrRefuses(() => read(value));
    });
    await fc.assert(property, parameters);
  });
}

const state: { call?: () => unknown } = {};
Object.assign(globalThis, { fuzzed: state });
const script = new Script("fuzzed.call()");

/** @throws Error that says what the reader did wrong */
async function readsOrRefuses(read: () => unknown): Promise<void> {
  let { seconds, megabytes } = await measure(read);
  if (megabytes > megabytesPerCase) {
    await forgetPeak();
    ({ seconds, megabytes } = await measure(read));
  }
  if (seconds > secondsPerCase) throw new Error(`took ${seconds} s of processor time`);
  if (megabytes > megabytesPerCase) throw new Error(`asked for ${megabytes} MB`);
}

/** Reads one case: the processor's time and the memory that it took. */
async function measure(read: () => unknown) {
  const before = process.resourceUsage();
  const largest = watchAllocations();
  state.call = read;
  try {
    await script.runInThisContext({ timeout: 1000 * secondsByTheClock });
  } catch (error) {
    checkRefusal(error);
  } finally {
    largest.stop();
  }
  const after = process.resourceUsage();
  const seconds = (after.userCPUTime - before.userCPUTime) / 1e6;
  const megabytes = Math.max(largest.bytes / 2 ** 20, (after.maxRSS - before.maxRSS) / 2 ** 10);
  return { seconds, megabytes };
}

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** Lets the process's peak begin anew, since what the cases before left behind may have been charged to the last one. */
async function forgetPeak(): Promise<void> {
  let [before, after] = [Infinity, process.memoryUsage.rss()];
  while (after < before - 2 ** 20) {
    collectGarbage();
    await sleep(200); // the system gets pages back a little later
    [before, after] = [after, process.memoryUsage.rss()];
  }
  if (process.platform === "linux") writeFileSync("/proc/self/clear_refs", "5");
}

/** Goes on after a clear refusal, for a case that has more readers than one. */
export function refusing(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    checkRefusal(error);
  }
}

/** @throws Error unless an error is one clear message */
function checkRefusal(error: unknown): void {
  if (!(error instanceof UserError)) throw error;
  const { message } = error;
  const problem =
    message.trim() === ""
      ? "is empty"
      : message.length > longestMessage
        ? `has ${message.length} characters`
        : /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u.test(message)
          ? "has characters that a terminal does not show as they are"
          : message.split("\n").some((line) => line.trim().startsWith(forgery))
            ? "has a line out of the file"
            : undefined;
  if (problem === undefined) return;
  throw new Error(`the message ${problem}: ${JSON.stringify(message.slice(0, 3000))}`);
}

/** Notes the largest typed array that is made by its length, touched or not. */
function watchAllocations() {
  const largest = { bytes: 0, stop: () => Object.assign(globalThis, originals) };
  const originals = {
    Uint8Array,
    Uint16Array,
    Int32Array,
    Float32Array,
    Float64Array,
    ArrayBuffer,
  };
  for (const [name, original] of Object.entries(originals)) {
    const bytes = "BYTES_PER_ELEMENT" in original ? original.BYTES_PER_ELEMENT : 1;
    const construct = (target: new (...args: unknown[]) => object, args: unknown[]) => {
      if (typeof args[0] === "number") largest.bytes = Math.max(largest.bytes, bytes * args[0]);
      return new target(...args);
    };
    Object.assign(globalThis, {
      [name]: new Proxy(original, { construct } as ProxyHandler<never>),
    });
  }
  return largest;
}

// --- Values ---

const texts = fc.oneof(
  fc.constantFrom(
    ...["", " ", "x", "0", "true", "null", "NaN", "1e5", "__proto__", "constructor", "toString"],
    ...[
      "\u001b[31m\u0007",
      "\u009b2J",
      "\u202e\u2066",
      "a\ud800",
      "\udc00",
      "\0",
      "\r\n",
      "\u2028",
    ],
    ...[`\n${forgery}`, `x\r\n${forgery}\n`, "../../../etc/passwd", "/", ".", "%s%n", "$&"],
    ...["é\u0301", "\u{1f600}", "x".repeat(5000), "\u001b".repeat(300), "(a+)+$", "{{", "{%"],
  ),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "binary", maxLength: 12 }),
);

const numbers = fc.oneof(
  fc.constantFrom(
    ...["0", "-0", "1", "-1", "2", "3", "0.5", "-0.5", "1e-7", "1e308", "1e999", "-1e999", "1e21"],
    ...["127", "255", "256", "65535", "65536", "2147483647", "2147483648", "-2147483648"],
    ...["4294967295", "4294967296", "9007199254740991", "9007199254740992", "9007199254740993"],
    ...["18446744073709551615", "18446744073709551616", "1000000", "1e5"],
  ),
  fc.integer().map(String),
  fc.double().map((value) => (Number.isFinite(value) ? String(value) : "0")),
);

/** The text of a JSON value, right or wrong. */
const junk = fc.oneof(
  { weight: 4, arbitrary: numbers },
  { weight: 4, arbitrary: texts.map((text) => JSON.stringify(text)) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...["null", "true", "false", "[]", "{}", "[[]]", "[null]", "[1,2,3]", '{"a":1}', "[{}]"],
      ...['{"__proto__":{"x":1}}', '{"constructor":{"prototype":1}}', "NaN", "Infinity", ""],
      ...["[".repeat(5000) + "]".repeat(5000), `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`],
      ...[`[${"0,".repeat(3000)}0]`],
    ),
  },
  { weight: 1, arbitrary: fc.json({ maxDepth: 3 }) },
);

const names = fc.oneof(
  texts,
  fc.constantFrom("__proto__", "constructor", "hasOwnProperty", "toString", "valueOf", "length"),
);

// --- JSON ---

/** A value of JSON that can also be wrong: numbers as they are written, keys that stand twice. */
type Node = string | { readonly list: Node[] } | { readonly entries: [string, Node][] };

function nodeOf(value: unknown): Node {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return { list: value.map(nodeOf) };
  return { entries: Object.entries(value).map(([key, inner]) => [key, nodeOf(inner)]) };
}

function textOf(node: Node): string {
  if (typeof node === "string") return node;
  if ("list" in node) return `[${node.list.map(textOf).join(",")}]`;
  return `{${node.entries.map(([key, inner]) => `${JSON.stringify(key)}:${textOf(inner)}`).join(",")}}`;
}

/** Where a node stands. */
interface Place {
  readonly parent: Exclude<Node, string>;
  readonly index: number;
}

function placesIn(node: Node): Place[] {
  if (typeof node === "string") return [];
  const inner = "list" in node ? node.list : node.entries.map(([, value]) => value);
  return inner.flatMap((child, index) => [{ parent: node, index }, ...placesIn(child)]);
}

const at = ({ parent, index }: Place): Node =>
  "list" in parent ? parent.list[index]! : parent.entries[index]![1];

function put({ parent, index }: Place, node: Node): void {
  if ("list" in parent) parent.list[index] = node;
  else parent.entries[index]![1] = node;
}

const change = fc.record({
  place: fc.nat(100_000),
  kind: fc.constantFrom("put", "put", "put", "remove", "rename", "add", "twice", "wrap", "swap"),
  junk,
  name: names,
  other: fc.nat(100_000),
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function applyChange(root: { readonly list: Node[] }, { place, kind, junk, name, other }: Change) {
  const places = placesIn(root);
  if (places.length === 0) return;
  const chosen = places[place % places.length]!;
  const { parent, index } = chosen;
  const siblings: unknown[] = "list" in parent ? parent.list : parent.entries;
  switch (kind) {
    case "put":
      return put(chosen, junk);
    case "remove":
      return parent === root ? undefined : siblings.splice(index, 1);
    case "rename":
      if ("entries" in parent) parent.entries[index]![0] = name;
      return;
    case "add":
      return parent === root ? undefined : siblings.push("list" in parent ? junk : [name, junk]);
    case "twice":
      return parent === root ? undefined : siblings.push(siblings[index]);
    case "wrap":
      return put(chosen, { list: [at(chosen)] });
    case "swap":
      return put(chosen, structuredClone(at(places[other % places.length]!)));
  }
}

/** The text of a JSON value with a few changes, most of which leave it JSON. */
export function changedJson(value: unknown): fc.Arbitrary<string> {
  const original = nodeOf(value);
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    const root = { list: [structuredClone(original)] };
    for (const one of changes) applyChange(root, one);
    return textOf(root.list[0]!);
  });
}

/** The bytes of a JSON value with a few changes, of the value or of its text. */
export function changedJsonFile(value: unknown): fc.Arbitrary<Uint8Array> {
  const text = changedJson(value).map((changed) => new Uint8Array(Buffer.from(changed)));
  const bytes = changedBytes(Buffer.from(JSON.stringify(value)));
  return fc.oneof({ weight: 4, arbitrary: text }, { weight: 1, arbitrary: bytes });
}

// --- Bytes ---

const integers = [
  ...[0n, 1n, 2n, 8n, 127n, 128n, 255n, 256n, 0x7fffn, 0xffffn, 0x10000n],
  ...[2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n],
  ...[0xf_ffff_ffffn, 0x8_8080_8080n, 0xf_ffff_fffen], // in five bytes numbers of variable length
  ...[2n ** 64n - 1n, 2n ** 62n, 2n ** 61n, 0x7ff0_0000_0000_0000n, 0x7fc0_0000n],
];

const edit = fc.record({
  place: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  kind: fc.constantFrom(
    "bit",
    "bit",
    "number",
    "number",
    "number",
    "cut",
    "remove",
    "insert",
    "copy",
  ),
  width: fc.constantFrom(1, 2, 4, 5, 8),
  value: fc.oneof(fc.constantFrom(...integers), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  bytes: fc.uint8Array({ maxLength: 24 }),
});
type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;

function applyEdit(bytes: Buffer, { place, kind, width, value, bytes: more }: Edit): Buffer {
  const index = Math.floor(place * bytes.length);
  switch (kind) {
    case "bit": {
      const changed = Buffer.from(bytes);
      if (changed.length > 0) changed[index]! ^= 1 << Number(value % 8n);
      return changed;
    }
    case "number": {
      const number = Buffer.alloc(8);
      number.writeBigUInt64LE(value);
      const changed = Buffer.from(bytes);
      number.copy(changed, index, 0, width);
      return changed;
    }
    case "cut":
      return bytes.subarray(0, index);
    case "remove":
      return Buffer.concat([bytes.subarray(0, index), bytes.subarray(index + width)]);
    case "insert":
      return Buffer.concat([bytes.subarray(0, index), more, bytes.subarray(index)]);
    case "copy":
      return Buffer.concat([bytes.subarray(0, index), bytes.subarray(index >> 1)]);
  }
  return bytes;
}

/**
 * Bytes with a few of them changed, cut off, left out or put in.
 *
 * @param within changes are made in so many bytes from the start on
 */
export function changedBytes(
  original: Uint8Array,
  within = original.length,
): fc.Arbitrary<Uint8Array> {
  const [head, tail] = [Buffer.from(original.subarray(0, within)), original.subarray(within)];
  return fc.array(edit, { minLength: 1, maxLength: 4 }).map((edits) => {
    const isCut = edits.some(({ kind }) => kind === "cut");
    const changed = edits.reduce(applyEdit, head);
    return new Uint8Array(isCut ? changed : Buffer.concat([changed, tail]));
  });
}

/** Bytes that nobody has written. */
export const anyBytes: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 300 });

// --- Texts ---

const piece = fc.oneof(
  { weight: 2, arbitrary: texts },
  { weight: 1, arbitrary: numbers },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 30 }) },
);

/**
 * Texts of pieces that mean something to a reader, and others between.
 *
 * @param pieces what the reader knows
 */
export function textsOf(pieces: readonly string[], maxLength = 12): fc.Arbitrary<string> {
  const known = { weight: 6, arbitrary: fc.constantFrom(...pieces) };
  return fc
    .array(fc.oneof(known, { weight: 2, arbitrary: piece }), { maxLength })
    .map((parts) => parts.join(""));
}

/** A text with a few lines left out, doubled, exchanged or changed, or some of its characters. */
export function changedText(text: string): fc.Arbitrary<string> {
  const lines = text.split("\n");
  const lineChange = fc.record({
    place: fc.nat(lines.length - 1),
    other: fc.nat(lines.length - 1),
    kind: fc.constantFrom("remove", "twice", "swap", "value", "value", "value", "key", "indent"),
    piece: fc.oneof(piece, junk),
  });
  const changes = fc.array(lineChange, { minLength: 1, maxLength: 3 }).map((all) => {
    const changed = [...lines];
    for (const { place, other, kind, piece } of all) {
      const line = changed[place] ?? "";
      if (kind === "remove") changed.splice(place, 1);
      else if (kind === "twice") changed.splice(other, 0, line);
      else if (kind === "swap") [changed[place], changed[other]] = [changed[other] ?? "", line];
      else if (kind === "value") changed[place] = line.replace(/:.*|$/, () => `: ${piece}`);
      else if (kind === "key") changed[place] = line.replace(/[\w]+|^/, () => piece);
      else changed[place] = ` ${line}`;
    }
    return changed.join("\n");
  });
  const bytes = changedBytes(Buffer.from(text)).map((changed) => Buffer.from(changed).toString());
  return fc.oneof({ weight: 4, arbitrary: changes }, { weight: 1, arbitrary: bytes });
}
