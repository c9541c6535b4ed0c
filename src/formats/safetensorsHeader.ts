// The header of a safetensors file: which tensors there are, of what type and shape, and where
// their bytes lie. Every field is checked, because the file may come from anywhere.
// Reference: the section "Format" of github.com/huggingface/safetensors; little-endian, row-major.
import { messageOf, quote, show, UserError } from "../errors.ts";
import { findDuplicateKey } from "./duplicateKey.ts";

/** Array type per dtype, in the order in which the Python library lays tensors out. */
export const arrayTypes = {
  U64: BigUint64Array,
  I64: BigInt64Array,
  F64: Float64Array,
  F32: Float32Array,
  U32: Uint32Array,
  I32: Int32Array,
  BF16: Uint16Array, // raw bits
  F16: Uint16Array, // raw bits
  U16: Uint16Array,
  I16: Int16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array, // 0 or 1
} as const;

export type Dtype = keyof typeof arrayTypes;

/** What weights are written as. */
export type FloatDtype = Extract<Dtype, "F32" | "F16" | "BF16">;

/** F16 and BF16 are raw bits in a Uint16Array. */
export type TensorData =
  | BigUint64Array
  | BigInt64Array
  | Float64Array
  | Float32Array
  | Uint32Array
  | Int32Array
  | Uint16Array
  | Int16Array
  | Int8Array
  | Uint8Array;

const dtypes = Object.keys(arrayTypes) as Dtype[];

export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

export interface Entry extends TensorInfo {
  /** Position in the file. */
  readonly begin: number;
  readonly byteLength: number;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: ReadonlyMap<string, Entry>;
}

/** The Python library refuses longer headers, too. */
export const maxHeaderBytes = 100_000_000;

// --- Reading ---

export function invalid(path: string, problem: string): UserError {
  return new UserError(`${path}: not a valid safetensors file: ${problem}`);
}

/** How to convert a model, for messages. */
export const inPython =
  'in Python, transformers: AutoModelForCausalLM.from_pretrained(FOLDER, dtype="float32").save_pretrained(NEW_FOLDER)';

/** A tensor of a type that weights cannot have here: F8_E4M3 and others of 8 bits and fewer, integers, F64. */
export function unsupportedDtype(path: string, name: string, dtype: string): UserError {
  const type = /^\w{1,20}$/.test(dtype) ? dtype : quote(dtype);
  return new UserError(
    `${path}: tensor ${quote(name)} is of type ${type}, which is not supported; weights must be F32, F16 or BF16: ` +
      `take the model in one of these, or convert it ${inPython}`,
  );
}

/**
 * @param bytes the JSON text, without the 8 bytes of length before it
 * @param path for messages
 * @throws UserError unless the tensors fill the file from the header to its end
 */
export function parseHeader(bytes: Uint8Array, path: string, fileSize: number): Header {
  if (bytes[0] !== 0x7b) throw invalid(path, 'the header must start with "{"');
  const text = decodeUtf8(bytes, path);
  const json = parseJson(text, path);
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined)
    throw invalid(path, `${quote(duplicate)} stands twice in the header`);

  let metadata: Readonly<Record<string, string>> = {};
  const entries: [string, Entry][] = [];
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") metadata = checkMetadata(value, path);
    else entries.push([name, checkEntry(name, value, path, 8 + bytes.length)]);
  }
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.byteLength - b.byteLength);
  checkLayout(entries, path, 8 + bytes.length, fileSize);
  return { metadata, entries: new Map(entries) };
}

/** As it is where it looks like a weight's name, else quoted. */
export function weightName(name: string): string {
  return /^[\w.-]{1,100}$/.test(name) ? name : quote(name);
}

function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw invalid(path, "the header is not UTF-8");
  }
}

function parseJson(text: string, path: string): object {
  try {
    return JSON.parse(text) as object; // starts with "{", so it is an object
  } catch (error) {
    throw invalid(path, `the header is not JSON: ${messageOf(error)}`);
  }
}

function checkMetadata(value: unknown, path: string): Readonly<Record<string, string>> {
  const isText = (item: unknown) => typeof item === "string";
  if (isObject(value) && Object.values(value).every(isText)) return value as Record<string, string>;
  throw invalid(path, '"__metadata__" must map names to texts');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkEntry(name: string, value: unknown, path: string, dataStart: number): Entry {
  const fail = (problem: string) => invalid(path, `tensor ${quote(name)}: ${problem}`);
  if (!isObject(value)) throw fail("its entry must be an object");
  const { dtype, shape, data_offsets: offsets, ...rest } = value;
  const unknownKey = Object.keys(rest)[0];
  if (unknownKey !== undefined) throw fail(`unknown field ${quote(unknownKey)}`);
  if (!isDtype(dtype)) {
    if (typeof dtype === "string") throw unsupportedDtype(path, name, dtype);
    throw fail(`dtype must be one of ${dtypes.join(", ")}, found ${show(dtype)}`);
  }
  if (!isSizes(shape)) throw fail(`shape must be sizes, found ${show(shape)}`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw fail(`data_offsets must be [begin, end], found ${show(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = byteLengthOf(dtype, shape);
  if (end - begin !== expected) {
    const description = `${dtype} ${show(shape)}`;
    throw fail(`${description} needs ${expected} bytes, data_offsets give it ${end - begin}`);
  }
  return { dtype, shape, begin: dataStart + begin, byteLength: expected };
}

function isDtype(value: unknown): value is Dtype {
  return (dtypes as unknown[]).includes(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** Inexact or infinite from 2^53 on, and then equal to no difference of two offsets. */
export function byteLengthOf(dtype: Dtype, shape: readonly number[]): number {
  return shape.reduce((total, size) => total * size, arrayTypes[dtype].BYTES_PER_ELEMENT);
}

/** Tensors must follow each other without overlap or hole, from the header to the file's end. */
function checkLayout(
  entries: readonly (readonly [string, Entry])[],
  path: string,
  dataStart: number,
  fileSize: number,
): void {
  let end = dataStart;
  for (const [name, entry] of entries) {
    if (entry.begin !== end) {
      const problem =
        entry.begin < end ? "overlaps the tensor before it" : "leaves a hole before it";
      throw invalid(
        path,
        `tensor ${quote(name)} ${problem} (byte ${entry.begin}, expected ${end})`,
      );
    }
    end += entry.byteLength;
  }
  if (end !== fileSize) {
    const hint = end > fileSize ? "it is truncated" : "there are bytes after the last tensor";
    throw invalid(path, `expected ${end} bytes, found ${fileSize}; ${hint}`);
  }
}

// --- Writing ---

/** By dtype, then by the bytes of the name, as the Python library sorts. */
export function compareForLayout(a: [string, TensorInfo], b: [string, TensorInfo]): number {
  const byDtype = dtypes.indexOf(a[1].dtype) - dtypes.indexOf(b[1].dtype);
  return byDtype || Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0]));
}

/** Length and JSON text for tensors that follow each other in this order. */
export function encodeHeader(
  ordered: readonly (readonly [string, TensorInfo])[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const parts = [`"__metadata__":${JSON.stringify(metadata)}`];
  let end = 0;
  for (const [name, { dtype, shape }] of ordered) {
    const begin = end;
    end += byteLengthOf(dtype, shape);
    const entry = { dtype, shape, data_offsets: [begin, end] };
    parts.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  const json = Buffer.from(`{${parts.join(",")}}`);
  const paddedLength = Math.ceil(json.length / 8) * 8;
  const header = Buffer.alloc(8 + paddedLength, " ");
  header.writeBigUInt64LE(BigInt(paddedLength));
  json.copy(header, 8);
  return header;
}
