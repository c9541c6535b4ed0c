// Rows of Parquet, the form in which Hugging Face keeps data sets.
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { messageOf, show, UserError } from "../../errors.ts";
import { reading } from "../../formats/jsonl.ts";
import type { JsonValue } from "../json.ts";
import type { RowFile, SourceRow } from "./rowFile.ts";

/** @throws UserError for a file that cannot be read, or is no Parquet */
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

/**
 * A page of a few bytes can say that it has 2^31 values, in many places, and whatever reads it takes memory and time without
 * end: so a thread of its own does, which is ended.
 */
async function objectsIn(path: string, bytes: Buffer): Promise<Record<string, unknown>[]> {
  const { buffer, byteOffset, byteLength } = bytes;
  const worker = new Worker(new URL("./parquetWorker.mjs", import.meta.url), {
    workerData: buffer.slice(byteOffset, byteOffset + byteLength),
    resourceLimits: { maxOldGenerationSizeMb: megabytesFor(byteLength) },
  });
  const seconds = secondsFor(byteLength);
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve, reject) => {
      const end = () => reject(new Error(`it takes more than ${Math.round(seconds)} s`));
      worker.once("error", reject);
      worker.once("message", () => {
        timer = setTimeout(end, 1000 * seconds);
        worker.once("message", resolve);
      });
    });
  } catch (error) {
    throw new UserError(`${path}: cannot be read as Parquet: ${messageOf(error)}`);
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

/** What JSON says of a value; undefined for bytes that are no text. A number that is none (NaN) is null. */
function jsonValueOf(value: unknown): JsonValue | undefined {
  if (value === undefined || value === null) return null;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Date) return value.toISOString();
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
