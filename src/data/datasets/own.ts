// The user's own rows: which columns are the question, the chain of thought and the answer, and what of a row cannot be used.
// Forms: {question, cot, answer}; Hugging Face's {prompt, completion}; and turns of a chat in place of a text.
import { basename } from "node:path";
import { z } from "zod";
import { show, UserError } from "../../errors.ts";
import { type Example, type GoldAnswers, isBlank, unreadableGold } from "../examples.ts";
import { hashFile, sha256 } from "../hash.ts";
import type { JsonValue } from "../json.ts";
import { gather, refuse } from "../mistakes.ts";
import { questionKey } from "../questionKey.ts";
import { readRowFile, type SourceRow } from "../rowFiles/rowFile.ts";
import { type Candidate, partition, type Rejection, type Source } from "./source.ts";

/** What a row says, with the names that its column usually has. */
const usualColumns = {
  id: ["id"],
  question: ["question", "prompt", "messages"],
  cot: ["cot", "completion"],
  answer: ["answer"],
} as const;

export type OwnPart = keyof typeof usualColumns;
export const ownParts = Object.keys(usualColumns) as readonly OwnPart[];

/** The columns that hold a row's parts, where they are not the usual ones. */
export type OwnColumns = Readonly<Partial<Record<OwnPart, string>>>;

/** The column of each part that the file has. */
type Layout = OwnColumns & { readonly question: string; readonly answer: string };

/** What a file has for a data set. Rows without a chain of thought are candidates, too. */
interface OwnRows {
  readonly rows: readonly OwnRow[];
  /** Each with its place. */
  readonly mistakes: readonly string[];
  readonly notes: readonly string[];
}

/** A row, with its place in the file for messages. */
type OwnRow = (Candidate | Rejection) & { readonly where: string };

export interface OwnFiles {
  readonly from: string;
  readonly devFrom?: string | undefined;
  readonly testFrom?: string | undefined;
  readonly columns: OwnColumns;
  /** What gold answers have to be. */
  readonly gold: GoldAnswers;
}

/** What `Source` is, but a split without a file of its own is undefined. */
export type OwnSource = Omit<Source, "test"> & {
  readonly dev: readonly Example[] | undefined;
  readonly test: readonly Example[] | undefined;
};

/**
 * Reads the user's files.
 *
 * @throws UserError that lists all mistakes of all files. In files for dev and test, a row that cannot be used is one of them: no test
 *   set becomes smaller without a word
 */
export async function readOwn({
  from,
  devFrom,
  testFrom,
  columns,
  gold,
}: OwnFiles): Promise<OwnSource> {
  const read = async (path: string, isPartial: boolean) =>
    readOwnRows(path, columns, gold, isPartial);
  const train = await read(from, false);
  const dev = devFrom === undefined ? undefined : await read(devFrom, true);
  const test = testFrom === undefined ? undefined : await read(testFrom, true);
  refuse([
    ...train.mistakes,
    ...[dev, test].flatMap((split) => split?.mistakes.concat(unusable(split)) ?? []),
    ...inBoth(dev, test),
  ]);
  const paths = [from, devFrom, testFrom].filter((path) => path !== undefined);
  return {
    ...partition(train.rows.map(({ where, ...row }) => row)),
    dev: dev && examplesOf(dev),
    test: test && examplesOf(test),
    files: paths.map((path) => ({ name: basename(path), sha256: hashFile(path) })),
    notes: [train, dev, test].flatMap((file) => file?.notes ?? []),
  };
}

function unusable({ rows }: OwnRows): string[] {
  return rows.flatMap((row) =>
    "reason" in row ? [`${row.where}: ${row.reason}; correct the row or take it out`] : [],
  );
}

/** Dev questions that are test questions. */
function inBoth(dev: OwnRows | undefined, test: OwnRows | undefined): string[] {
  if (dev === undefined || test === undefined) return [];
  const tested = new Set(examplesOf(test).map(({ question }) => questionKey(question)));
  return dev.rows.flatMap((row) =>
    "example" in row && tested.has(questionKey(row.example.question))
      ? [`${row.where}: its question is in the test set, too; take it out of one of the two`]
      : [],
  );
}

/** Gives the examples without their chains of thought: nothing is learned from them. */
function examplesOf({ rows }: OwnRows): Example[] {
  return partition(rows).candidates.map(({ example: { cot, ...others } }) => others);
}

/**
 * Reads a file of rows and finds their parts.
 *
 * @param isPartial allows a file without the columns that were named for the chain of thought and the id
 * @throws UserError for a file that cannot be read at all
 */
async function readOwnRows(
  path: string,
  columns: OwnColumns,
  gold: GoldAnswers,
  isPartial: boolean,
): Promise<OwnRows> {
  const { rows, mistakes } = await readRowFile(path);
  const names = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))];
  const found = layoutOf(names, columns, isPartial);
  if ("missing" in found) {
    const missing = rows.length === 0 ? [] : found.missing.map((text) => `${path}: ${text}`);
    return { rows: [], mistakes: [...mistakes, ...missing], notes: [] };
  }
  const { layout } = found;
  const idOf = createIds();
  const inRows: string[] = [];
  const read = rows.flatMap((row) => gather(inRows, () => readRow(row, layout, gold, idOf)) ?? []);
  const notes = [...notesOn(path, names, layout), ...noteOnUnread(path, rows, layout)];
  return { rows: read, mistakes: [...mistakes, ...inRows], notes };
}

/** Finds the parts' columns among a file's, or says which are missing. */
function layoutOf(
  names: readonly string[],
  columns: OwnColumns,
  isPartial: boolean,
): { readonly layout: Layout } | { readonly missing: readonly string[] } {
  const missing: string[] = [];
  const layout: Partial<Record<OwnPart, string>> = {};
  for (const part of ownParts) {
    const isOptional = part === "id" || part === "cot";
    const wanted = columns[part] === undefined ? usualColumns[part] : [columns[part]];
    const column = wanted.find((name) => names.includes(name));
    if (column !== undefined) layout[part] = column;
    else if (!isOptional || (columns[part] !== undefined && !isPartial))
      missing.push(
        `expected a column ${wanted.map(show).join(" or ")} for the ${part}, found ${names.map(show).join(", ")}; name it with the option column ${part}=NAME`,
      );
  }
  return missing.length > 0 ? { missing } : { layout: layout as Layout };
}

function notesOn(path: string, names: readonly string[], layout: Layout): string[] {
  const used = Object.values(layout);
  const renamed = ownParts.filter((part) => (layout[part] ?? part) !== part);
  const hidden = ownParts.filter((part) => names.includes(part) && !used.includes(part));
  return [
    ...(renamed.length === 0
      ? []
      : [`${path}: ${renamed.map((part) => `${part} from ${show(layout[part])}`).join(", ")}`]),
    ...(layout.id === undefined
      ? [`${path}: rows have no id; each gets one made of its content`]
      : []),
    ...hidden.map(
      (part) => `${path}: the column ${show(part)} is left out: another one has its place`,
    ),
  ];
}

/** The keys under which chats have what was thought or called, beside what was said. */
const unreadParts = ["reasoning_content", "reasoning", "thinking", "tool_calls"] as const;

function noteOnUnread(path: string, rows: readonly SourceRow[], layout: Layout): string[] {
  const chats = rows.map(({ values }) =>
    [layout.question, layout.cot].flatMap((name) => {
      const value = name === undefined ? undefined : values[name];
      return Array.isArray(value) ? value : [];
    }),
  );
  const isSaid = (value: unknown) =>
    typeof value === "string" ? !isBlank(value) : Array.isArray(value) && value.length > 0;
  return unreadParts.flatMap((part) => {
    const has = (turn: JsonValue) => isSaid((turn as Record<string, unknown> | null)?.[part]);
    const count = chats.filter((turns) => turns.some(has)).length;
    return count === 0
      ? []
      : [
          `${path}: ${count} rows have ${show(part)} in their turns, which is not learned: put it into "content" where it should be`,
        ];
  });
}

/**
 * A row as a candidate, or why it is left out.
 *
 * @throws UserError for a row of another form
 */
function readRow(
  { line, where, values }: SourceRow,
  layout: Layout,
  gold: GoldAnswers,
  idOf: ReturnType<typeof createIds>,
): OwnRow {
  const valueIn = (part: OwnPart) =>
    layout[part] === undefined ? undefined : values[layout[part]];
  const turns = [
    ...turnsOf(valueIn("question"), "user", `${where}: ${show(layout.question)}`),
    ...turnsOf(valueIn("cot"), "assistant", `${where}: ${show(layout.cot)}`),
  ];
  const saidBy = (role: string) => turns.find((turn) => turn.role === role)?.content;
  const [question, cot, system] = ["user", "assistant", "system"].map(saidBy);
  const answer = valueIn("answer");
  const id = idOf(valueIn("id"), where, [question, cot, asText(answer)]);
  const reason = reasonAgainst(turns, answer, gold);
  if (reason !== undefined) return { line, where, id, reason };
  const further = furtherColumns(values, layout);
  if (system !== undefined && "system" in further)
    throw new UserError(`${where}: expected a system turn or a column "system", found both`);
  const asked = { id, question: question!, ...(cot !== undefined && { cot }), answer: answer! };
  const said = system === undefined ? {} : { system };
  return { line, where, example: { ...asked, ...further, ...said } };
}

const turnsSchema = z.array(z.looseObject({ role: z.string(), content: z.string() }));
type Turn = z.infer<typeof turnsSchema>[number];

/** The turns of a chat, or a text as the turn of a role. Blank ones are none. @throws UserError for anything else */
function turnsOf(value: JsonValue | undefined, role: string, where: string): Turn[] {
  if (value === undefined) return [];
  const turns =
    typeof value === "string" ? [{ role, content: value }] : turnsSchema.safeParse(value).data;
  if (turns === undefined)
    throw new UserError(
      `${where}: expected a text, or turns {"role", "content"} with texts, found ${show(value)}`,
    );
  return turns.filter(({ content }) => !isBlank(content));
}

/** Why a row of a right form cannot be used; undefined where it can. */
function reasonAgainst(
  turns: readonly Turn[],
  answer: JsonValue | undefined,
  gold: GoldAnswers,
): string | undefined {
  const roles = turns.map(({ role }) => role);
  if (!roles.includes("user")) return "no question";
  if (!/^(system, )?user(, assistant)?$/.test(roles.join(", ")))
    return `expected one question and at most one chain of thought, found the turns ${roles.join(", ")}`;
  if (answer === undefined || (typeof answer === "string" && isBlank(answer))) return "no answer";
  return gold === "comparable" ? unreadableGold(answer) : undefined;
}

function furtherColumns(values: SourceRow["values"], layout: Layout): SourceRow["values"] {
  const used = new Set<string>([...Object.values(layout), ...ownParts]);
  return Object.fromEntries(Object.entries(values).filter(([name]) => !used.has(name)));
}

/**
 * Takes the ids that rows have, and makes those that are not there of a row's question, chain of thought and answer, so that the
 * order of the rows does not matter. Rows that are all the same are counted: "row-1f3a...", "row-1f3a...-2".
 */
function createIds() {
  const places = new Map<string, string>();
  return (given: JsonValue | undefined, where: string, content: readonly unknown[]): string => {
    if (given !== undefined && typeof given !== "string" && typeof given !== "number")
      throw new UserError(
        `${where}: expected an id that is a text or a number, found ${show(given)}`,
      );
    if (Number.isInteger(given) && !Number.isSafeInteger(given))
      throw new UserError(
        `${where}: expected an id of at most 15 digits, since JavaScript rounds longer numbers (to ${given} here); write it in quotes`,
      );
    const isMade = given === undefined || isBlank(String(given));
    const id = isMade ? unusedId(places, content) : String(given);
    const earlier = places.get(id);
    if (earlier !== undefined)
      throw new UserError(
        `${where}: id ${show(id)} is already used at ${earlier}; give it another one`,
      );
    places.set(id, where);
    return id;
  };
}

function unusedId(used: ReadonlyMap<string, string>, content: readonly unknown[]): string {
  const hash = sha256(JSON.stringify(content));
  const id = `row-${hash.slice(0, 12)}`;
  if (!used.has(id)) return id;
  let copy = 2;
  while (used.has(`${id}-${copy}`)) copy++;
  return `${id}-${copy}`;
}

/** 12 and "12" are the same answer. */
function asText(answer: JsonValue | undefined): string | undefined {
  return typeof answer === "string" ? answer : JSON.stringify(answer);
}
