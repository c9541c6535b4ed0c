// Settings as a user writes them, in a YAML file and flags: read, checked, and every mistake shown with its place.
import { readFileSync } from "node:fs";
import { Document, LineCounter, parseDocument, type YAMLError } from "yaml";
import type { z } from "zod";
import { checkDepth, firstOf, inOneLine, messageOf, show, UserError } from "./errors.ts";
import { expectationOf, issuesOf } from "./expectation.ts";
import { suggestion } from "./suggest.ts";

/** One setting that takes the place of a file's. */
export interface Override {
  /** Where: `training.epochs`. */
  readonly path: string;
  /** What; undefined leaves the setting out. */
  readonly value: unknown;
  /** What messages call it: how the user wrote it. */
  readonly source: string;
}

/** A rule between settings, looked at only when all the settings that it reads are right by themselves. */
export interface Rule<C> {
  readonly reads: readonly string[]; // the first is where a breach is reported
  /** What is wrong, or undefined. */
  readonly breach: (config: C) => string | undefined;
}

/** What is wrong with the setting at a path. */
export interface Mistake {
  readonly path: readonly string[];
  readonly text: string;
}

/** Values with what it takes to say where each was written. */
export interface Settings {
  readonly values: unknown;
  readonly file: string;
  readonly document: Document;
  readonly lines: LineCounter;
  readonly overrides: readonly Override[];
}

/**
 * Reads `key.path=value` as given to `--set`. The value is YAML: `1e-5`, `null`, `[1, 2]`, `text`.
 *
 * @throws UserError when there is no `=`, no key, or the value is not YAML
 */
export function parseOverride(text: string): Override {
  const source = `--set ${inOneLine(text)}`;
  const equals = text.indexOf("=");
  if (equals < 1)
    throw new UserError(`${source}: expected key=value, for example training.epochs=3`);
  return {
    path: text.slice(0, equals).trim(),
    value: typedValue(text.slice(equals + 1), source),
    source,
  };
}

/**
 * The value that was typed, in YAML. What begins with a slash, a path or a regular expression, is a text as it is: in `/Final: (.*)/`
 * YAML would see a mapping.
 *
 * @throws UserError when it is not YAML
 */
export function typedValue(text: string, source: string): unknown {
  if (text.startsWith("/")) return text;
  const document = documentOf(text, source);
  const [problem] = [...document.errors, ...document.warnings];
  if (problem) throw new UserError(`${source}: the value is not YAML: ${problemIn(problem)}`);
  return valuesOf(document, source);
}

/** YAML's words, but where they are for programmers, or leave what to do unsaid. */
function problemIn({ code, message }: YAMLError): string {
  if (code === "MULTIPLE_DOCS")
    return 'expected one document, found a second one behind "---"; write it to a file of its own';
  const advice = 'a text with ": " in it needs quotes around it';
  return message.startsWith("Nested mappings")
    ? `${firstLine(message)} ${advice}`
    : firstLine(message);
}

/** @throws UserError for what is nested deeper than YAML can be read */
function documentOf(text: string, where: string, options?: { lineCounter: LineCounter }): Document {
  try {
    return parseDocument(text, options);
  } catch (error) {
    throw new UserError(`${where}: cannot be read as YAML: ${firstLine(messageOf(error))}`);
  }
}

/** @throws UserError for an alias of nothing, which only shows when values are made, and for values in each other without end */
function valuesOf(document: Document, where: string): unknown {
  let values: unknown;
  try {
    values = document.toJS();
  } catch (error) {
    throw new UserError(`${where}: the value is not YAML: ${firstLine(messageOf(error))}`);
  }
  checkDepth(values, where);
  return values;
}

/**
 * Reads a YAML file and puts the overrides over it in their order.
 *
 * @throws UserError when the file cannot be read or is not YAML, or an override is inside a plain value
 */
export function readSettings(file: string, overrides: readonly Override[]): Settings {
  const settings = settingsOf(readText(file), file);
  return { ...settings, values: overrides.reduce(withOverride, settings.values), overrides };
}

/**
 * Takes YAML text, or values that a program has, as settings.
 *
 * @param name of the file, or what else messages call it
 * @throws UserError when the text is not YAML
 */
export function settingsOf(given: unknown, name: string): Settings {
  const lines = new LineCounter();
  const isText = typeof given === "string";
  const document = isText ? parseYaml(given, name, lines) : new Document();
  const values = isText ? valuesOf(document, name) : given;
  return { values, file: name, document, lines, overrides: [] };
}

/** Finds all that a schema and the rules between settings have against the values. */
export function findMistakes<C>(
  schema: z.ZodType,
  rules: readonly Rule<C>[],
  values: unknown,
): Mistake[] {
  const { error } = schema.safeParse(values);
  const issues = error === undefined ? [] : issuesOf(error);
  const mistakes = issues.flatMap((issue) => describeIssue(issue, schema, values));
  const wrong = issues
    .filter((issue) => issue.code !== "unrecognized_keys")
    .map((issue) => issue.path.join("."));
  for (const { reads, breach } of rules) {
    if (reads.some((read) => wrong.some((at) => isWithin(read, at)))) continue; // reported already
    const text = breach(values as C);
    const path = reads[0]!;
    if (text !== undefined) mistakes.push({ path: path.split("."), text: `${path}: ${text}` });
  }
  return mistakes;
}

/** One error for all mistakes, each with file and line or flag. */
export function mistakesError(settings: Settings, mistakes: readonly Mistake[]): UserError {
  const found = mistakes.map(({ path, text }) => `  ${origin(path, settings)}: ${text}`);
  const title = mistakes.length === 1 ? "1 mistake" : `${mistakes.length} mistakes`;
  return new UserError(`${title} in the settings of this run:\n${firstOf(found, "\n")}`);
}

function parseYaml(text: string, file: string, lineCounter: LineCounter): Document {
  const document = documentOf(text, file, { lineCounter });
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0) {
    const list = problems.map(
      (problem) => `  ${file}:${problem.linePos?.[0].line ?? 1}: ${problemIn(problem)}`,
    );
    throw new UserError(`this file is not YAML:\n${firstOf(list, "\n")}`);
  }
  return document;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UserError(`${file}: expected a readable YAML file: ${messageOf(error)}`);
  }
}

/** A copy of the settings with one value replaced, or left out; sections on the way that are not there are made. */
function withOverride(settings: unknown, override: Override): unknown {
  const place = (section: unknown, keys: readonly string[]): unknown => {
    const [key, ...rest] = keys;
    if (key === undefined) return override.value;
    if (section !== undefined && section !== null && !isSection(section))
      throw new UserError(
        `${override.source}: "${key}" cannot be set because what holds it is a plain value, ${show(section)}`,
      );
    const inner = isSection(section) && Object.hasOwn(section, key) ? section[key] : undefined;
    const placed = place(inner, rest);
    return Object.fromEntries([
      ...Object.entries(section ?? {}).filter(([name]) => name !== key),
      ...(placed === undefined ? [] : [[key, placed]]),
    ]);
  };
  return place(settings, override.path.split("."));
}

/** Is the path the section itself or something in it? The empty path is the whole file. */
export function isWithin(path: string, section: string): boolean {
  return section === "" || `${path}.`.startsWith(`${section}.`);
}

function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType, settings: unknown): Mistake[] {
  const path = issue.path.map(String);
  const named = (keys: readonly string[], text: string): Mistake => ({
    path: keys,
    text: keys.length === 0 ? text : `${settingName(keys)}: ${text}`,
  });
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) =>
      named([...path, key], `unknown key${suggestion(key, keysOf(schema, path))}`),
    );
  const found = valueAt(settings, path);
  const what = expectationOf(issue, "a section of settings") ?? issue.message;
  return [named(path, found === undefined ? `missing, ${what}` : `${what}, found ${show(found)}`)];
}

/** As it is where it looks like a setting's name, else quoted and cut short. */
function settingName(keys: readonly string[]): string {
  const name = keys.join(".");
  return /^[\x20-\x7e]{1,100}$/.test(name) ? name : show(name);
}

/** The keys that the section at a path may have, by any of its variants. */
function keysOf(schema: z.core.$ZodType, path: readonly string[]): string[] {
  const { def } = schema._zod as z.core.$ZodTypes["_zod"];
  switch (def.type) {
    case "optional":
    case "nullable":
    case "default":
      return keysOf(def.innerType, path);
    case "union":
      return [...new Set(def.options.flatMap((option) => keysOf(option, path)))];
    case "object": {
      const [key, ...rest] = path;
      if (key === undefined) return Object.keys(def.shape);
      const inner = def.shape[key];
      return inner === undefined ? [] : keysOf(inner, rest);
    }
    default:
      return [];
  }
}

/** Where the user wrote the setting: its flag, else file and line (of the section around it when it is missing). */
function origin(path: readonly string[], { file, document, lines, overrides }: Settings): string {
  const dotted = path.join(".");
  const flag =
    overrides.findLast((override) => isWithin(dotted, override.path)) ??
    overrides.find(
      (override) => document.getIn(path) === undefined && isWithin(override.path, dotted),
    );
  if (flag) return flag.source;
  for (let length = path.length; length > 0; length--) {
    const section =
      length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const offset = keyOffset(section, path[length - 1]!);
    if (offset !== undefined) return `${file}:${lines.linePos(offset).line}`;
  }
  return file;
}

/** Offset of a key in a YAML mapping node, if it has the key. */
function keyOffset(section: unknown, key: string): number | undefined {
  const items = isSection(section) && Array.isArray(section.items) ? section.items : [];
  const pair = items.find((item) => item?.key?.value === key);
  return pair?.key?.range?.[0];
}

/** The value at a path, undefined when there is none. */
export function valueAt(values: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      (isSection(value) || Array.isArray(value)) && Object.hasOwn(value, key)
        ? (value as Record<string, unknown>)[key]
        : undefined,
    values,
  );
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]!;
}
