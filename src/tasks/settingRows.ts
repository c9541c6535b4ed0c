// Every setting that a schema has: its path, what it may be, what holds without it, what it means.
import { z } from "zod";
import { schemas } from "../config.ts";
import { recipeSchema } from "../recipe/config.ts";

const all = { ...schemas, recipe: recipeSchema };
/** What a file of settings is for: a stage, or the whole recipe. */
export type SettingsKind = keyof typeof all;
export const settingsKinds = Object.keys(all) as readonly SettingsKind[];

/** The JSON schema of a file of settings, in the version that editors know. */
export function settingsSchema(kind: SettingsKind): Schema {
  const options = { target: "draft-7", io: "input", unrepresentable: "any" } as const;
  return z.toJSONSchema(all[kind], options) as Schema;
}

/** All settings of a file, in its order. */
export function settingRows(kind: SettingsKind): Row[] {
  return rowsOf("", settingsSchema(kind), "");
}

/** The part of a JSON schema that the settings use. */
export interface Schema {
  /** What a value is called where it is of no plain type. */
  readonly title?: string;
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
}

export interface Row {
  readonly path: string;
  readonly value: string;
  /** When it may, or has to, be left out; empty: never. */
  readonly when: string;
  readonly meaning: string;
}

/**
 * A setting, or a section with all that are in it.
 *
 * @param when it may be left out, or has to be
 */
function rowsOf(path: string, schema: Schema, when: string): Row[] {
  const { description: meaning = "" } = schema;
  const variants = variantsOf(schema);
  if (variants.length === 0) return [{ path, value: describeValue(schema), when, meaning }];
  const inner = variants.flatMap(({ properties = {}, required = [] }, _, all) =>
    Object.entries(properties)
      .filter(([, property]) => !property.not)
      .flatMap(([name, property]) => {
        const owners = all.filter((variant) => isSetting(variant.properties?.[name]));
        const only = owners.length < all.length ? `with ${owners.map(markOf).join(" or ")}` : "";
        const isOptional = only === "" && !required.includes(name);
        return rowsOf(join(path, name), property, isOptional ? optional(property) : only);
      }),
  );
  const own = when === "" ? [] : [{ path, value: "section", when, meaning }];
  return [...own, ...mergeByPath(inner)];
}

function optional({ default: value }: Schema): string {
  return value === undefined ? "optional" : `optional, \`${value}\` unless given`;
}

/** The kinds of a section; none where it is a setting, or may be one. */
function variantsOf(schema: Schema): readonly Schema[] {
  if (schema.properties) return [schema];
  const kinds = schema.oneOf ?? schema.anyOf ?? [];
  return kinds.every((kind) => kind.properties && hasMark(kind)) ? kinds : [];
}

function isSetting(schema: Schema | undefined): boolean {
  return schema !== undefined && !schema.not;
}

/** What tells one kind of a section from the others: its first setting with few values. */
function markOf({ properties = {} }: Schema): string {
  const [name, schema] = Object.entries(properties).find(isMark)!;
  return `${name} ${describeValue(schema)}`;
}

function isMark([, { const: only, enum: values }]: [name: string, Schema]): boolean {
  return Boolean(only ?? values);
}

function hasMark({ properties = {} }: Schema): boolean {
  return Object.entries(properties).some(isMark);
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** One row for a setting that several kinds of a section have, with all its values. */
function mergeByPath(rows: readonly Row[]): Row[] {
  const merged = new Map<string, Row>();
  for (const row of rows) {
    const before = merged.get(row.path);
    if (before === undefined) merged.set(row.path, row);
    else if (!before.value.includes(row.value))
      merged.set(row.path, { ...before, value: `${before.value}, ${row.value}` });
  }
  return [...merged.values()];
}

function describeValue(schema: Schema): string {
  const { title, anyOf, oneOf, type, minimum, exclusiveMinimum, exclusiveMaximum } = schema;
  if (title !== undefined) return title;
  if (schema.properties) return `\`{ ${Object.keys(schema.properties).join(", ")} }\``;
  const alternatives = anyOf ?? oneOf;
  if (alternatives) return alternatives.map(describeValue).join(" or ");
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(", ");
  const maximum =
    (schema.maximum ?? Number.MAX_SAFE_INTEGER) < 2 ** 31 ? schema.maximum : undefined;
  const limits = [
    minimum === undefined ? "" : `from ${minimum}`,
    exclusiveMinimum === undefined ? "" : `above ${exclusiveMinimum}`,
    maximum === undefined ? "" : `to ${maximum}`,
    exclusiveMaximum === undefined ? "" : `below ${exclusiveMaximum}`,
  ].filter((limit) => limit !== "");
  const names: Readonly<Record<string, string>> = {
    integer: "whole number",
    number: "number",
    string: "text",
    boolean: "true or false",
    null: "null",
    array: `list of ${schema.items ? describeValue(schema.items) : "values"}`,
    object: "section",
  };
  return [names[type ?? ""] ?? "any value", ...limits].join(" ");
}
