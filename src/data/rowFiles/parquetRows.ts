// Rows of Parquet, the form in which Hugging Face keeps data sets.
import { isUtf8 } from "node:buffer";
import { fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { messageOf, show, UserError } from "../../errors.ts";
import { reading } from "../../formats/jsonl.ts";
import type { JsonValue } from "../json.ts";
import type { RowFile, SourceRow } from "./rowFile.ts";

/** @throws UserError for a file that cannot be read, is no Parquet, or has a column twice */
export async function readParquetRows(path: string): Promise<RowFile> {
  const bytes = reading(path, () => readFileSync(path));
  const rows: SourceRow[] = [];
  const mistakes: string[] = [];
  for (const [i, record] of (await objectsIn(path, bytes)).entries()) {
    const line = i + 1;
    const where = `${path}, row ${line}`;
    const values: Record<string, JsonValue> = {};
    for (const [name, value] of Object.entries(record)) {
      const read = jsonValueOf(value);
      if (read !== undefined) values[name] = read;
      else
        mistakes.push(
          `${where}: ${show(name)}: expected text or numbers, found bytes; leave it out`,
        );
    }
    rows.push({ line, where, values });
  }
  return { rows, mistakes };
}

// A hundred times what a file takes that has what it says.
const secondsFor = (bytes: number) => 2 + bytes / 100_000;
const megabytesFor = (bytes: number) => 512 + bytes / 10_000;

type Answer =
  | { readonly objects: Record<string, unknown>[] }
  | { readonly twice: string }
  | { readonly problem: string };

/**
 * A page of a few bytes can say that it has 2^31 values, in many places, and whatever reads it takes memory and time without
 * end: so a process of its own does, which is ended. A thread would not do: one without memory has ended all of Node.
 */
async function objectsIn(path: string, bytes: Buffer): Promise<Record<string, unknown>[]> {
  const [seconds, megabytes] = [secondsFor(bytes.length), megabytesFor(bytes.length)].map(
    Math.round,
  );
  const child = fork(new URL("./parquetWorker.mjs", import.meta.url), {
    serialization: "advanced",
    execArgv: [`--max-old-space-size=${megabytes}`],
    stdio: ["ignore", "ignore", "ignore", "ipc"], // Node writes pages about a lack of memory
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    const answer = await new Promise<Answer>((resolve, reject) => {
      const giveUp = (limit: string) => reject(new Error(`it takes more than ${limit}`));
      child.once("error", reject);
      child.once("exit", (code, signal) =>
        signal === "SIGABRT" || signal === "SIGKILL" // by Node, or by a system that has no memory left
          ? giveUp(`${megabytes} MB`)
          : reject(
              new Error(`the process that reads it ended with ${signal ?? `exit code ${code}`}`),
            ),
      );
      child.once("message", () => {
        timer = setTimeout(() => giveUp(`${seconds} s`), 1000 * seconds!);
        child.once("message", (answer: Answer) => resolve(answer));
        child.send(bytes);
      });
    });
    if ("problem" in answer) throw new Error(answer.problem);
    if ("twice" in answer)
      throw new UserError(`${path}: expected every column once, found ${show(answer.twice)} twice`);
    return answer.objects;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path}: cannot be read as Parquet: ${messageOf(error)}`);
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}

/** What JSON says of a value; undefined for bytes that are no text. A number that is none (NaN) is null, and so is a date that JavaScript has not. */
function jsonValueOf(value: unknown): JsonValue | undefined {
  if (value === undefined || value === null) return null;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) return isUtf8(value) ? Buffer.from(value).toString() : undefined;
  if (Array.isArray(value)) {
    const items = value.map(jsonValueOf);
    return items.includes(undefined) ? undefined : (items as JsonValue[]);
  }
  if (typeof value !== "object") return value as string | boolean;
  const entries = Object.entries(value).map(([name, inner]) => [name, jsonValueOf(inner)] as const);
  return entries.some(([, inner]) => inner === undefined)
    ? undefined
    : (Object.fromEntries(entries) as Record<string, JsonValue>);
}
