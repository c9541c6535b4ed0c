// Reads and writes safetensors files: an 8-byte length, a JSON header, then the tensors' bytes without gaps.
// Reading goes tensor by tensor with positioned reads, so that a file larger than the memory can be opened.
// Reference: the format section of github.com/huggingface/safetensors; little-endian, row-major.
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { messageOf, UserError } from "../errors.ts";
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from "./halfFloats.ts";

/** Array type per dtype, in the order in which the Python library lays tensors out: widest alignment first. */
const arrayTypes = {
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

/**
 * A tensor to write. `data` is the array type of the dtype (16-bit floats: raw bits in a Uint16Array),
 * or a Float32Array to be rounded to F16 or BF16. It is asked for once, when the tensor's turn comes,
 * so a getter can fetch one tensor at a time.
 */
export interface TensorToWrite extends TensorInfo {
  readonly data: TensorData;
}

/** An open file. Every read gives a fresh array that the caller owns. */
export interface SafetensorsFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of the bytes in the file. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The values in the file's own dtype; F16 and BF16 as raw bits. */
  read(name: string): TensorData;
  /** The values of an F32, F16 or BF16 tensor, widened exactly. */
  readFloat32(name: string): Float32Array;
  close(): void;
  [Symbol.dispose](): void;
}

interface Entry extends TensorInfo {
  /** Position in the file. */
  readonly begin: number;
  readonly byteLength: number;
}

interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: ReadonlyMap<string, Entry>;
}

/** The Python library refuses longer headers, too. */
const maxHeaderBytes = 100_000_000;
/** Node reads and writes less than 2 GiB in one call. */
const maxTransferBytes = 2 ** 30;
/** 16-bit floats are widened piece by piece, so that only the result is held whole. */
const pieceElements = 2 ** 22;

/**
 * Opens a file and checks its whole header against the file's length. Close it, or hold it with `using`.
 * @throws UserError if the file is missing, truncated, or its header is not valid
 */
export function openSafetensors(path: string): SafetensorsFile {
  const descriptor = attempt(`open ${path}`, () => openSync(path, "r"));
  try {
    const { metadata, entries } = readHeader(descriptor, path);
    const entryOf = (name: string): Entry => {
      const entry = entries.get(name);
      if (entry !== undefined) return entry;
      throw new UserError(`${path}: has no tensor "${name}"; it has ${listNames(entries.keys())}`);
    };
    let open = true;
    const close = () => {
      if (open) closeSync(descriptor);
      open = false;
    };
    return {
      path,
      metadata,
      tensors: entries,
      read: (name) => readRaw(descriptor, path, entryOf(name)),
      readFloat32: (name) => readFloat32(descriptor, path, name, entryOf(name)),
      close,
      [Symbol.dispose]: close,
    };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function listNames(names: Iterable<string>): string {
  const all = [...names];
  const shown = all.slice(0, 5).map((name) => JSON.stringify(name));
  return shown.join(", ") + (all.length > 5 ? ` and ${all.length - 5} more` : "");
}

function readRaw(descriptor: number, path: string, entry: Entry): TensorData {
  const bytes = new Uint8Array(entry.byteLength);
  readFully(descriptor, path, bytes, entry.begin);
  return new arrayTypes[entry.dtype](bytes.buffer);
}

function readFloat32(descriptor: number, path: string, name: string, entry: Entry): Float32Array {
  const { dtype, begin } = entry;
  if (dtype === "F32") return readRaw(descriptor, path, entry) as Float32Array;
  if (dtype !== "F16" && dtype !== "BF16") {
    throw new UserError(`${path}: tensor "${name}" must be F32, F16 or BF16, found ${dtype}`);
  }
  const widen = dtype === "F16" ? float16ToFloat32 : bfloat16ToFloat32;
  const result = new Float32Array(entry.byteLength / 2);
  const piece = new Uint16Array(Math.min(pieceElements, result.length));
  for (let start = 0; start < result.length; start += pieceElements) {
    const bits = piece.subarray(0, Math.min(pieceElements, result.length - start));
    readFully(descriptor, path, bytesOf(bits), begin + 2 * start);
    widen(bits, result.subarray(start, start + bits.length));
  }
  return result;
}

/** Fills `target` from `position` on. */
function readFully(descriptor: number, path: string, target: Uint8Array, position: number): void {
  let done = 0;
  while (done < target.length) {
    const wanted = Math.min(target.length - done, maxTransferBytes);
    const count = attempt(`read ${path}`, () =>
      readSync(descriptor, target, done, wanted, position + done),
    );
    if (count === 0) throw new UserError(`${path}: became shorter while it was being read`);
    done += count;
  }
}

function bytesOf(data: TensorData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

// --- The header ---

function readHeader(descriptor: number, path: string): Header {
  const stat = fstatSync(descriptor);
  if (!stat.isFile()) throw new UserError(`${path}: expected a safetensors file, found a folder`);
  if (stat.size < 8) {
    throw invalid(path, `expected at least 8 bytes, found ${stat.size}; the file is truncated`);
  }
  const prefix = new Uint8Array(8);
  readFully(descriptor, path, prefix, 0);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (length > maxHeaderBytes) {
    const start = new TextDecoder().decode(prefix);
    const hint = start.startsWith("version") ? " (a Git LFS pointer? fetch the real file)" : "";
    throw invalid(path, `header of ${length} bytes, allowed are ${maxHeaderBytes}${hint}`);
  }
  if (length > stat.size - 8) {
    throw invalid(path, `header of ${length} bytes in a file of ${stat.size}; it is truncated`);
  }
  const bytes = new Uint8Array(length);
  readFully(descriptor, path, bytes, 8);
  return parseHeader(bytes, path, stat.size);
}

function invalid(path: string, problem: string): UserError {
  return new UserError(`${path}: not a valid safetensors file: ${problem}`);
}

function parseHeader(bytes: Uint8Array, path: string, fileSize: number): Header {
  if (bytes[0] !== 0x7b) throw invalid(path, 'the header must start with "{"');
  const text = decodeUtf8(bytes, path);
  const json = parseJson(text, path);
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) throw invalid(path, `"${duplicate}" stands twice in the header`);

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

/** JSON.parse keeps the last of two equal keys in silence. `text` must be valid JSON. */
function findDuplicateKey(text: string): string | undefined {
  const openObjects: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "{") openObjects.push(new Set());
    else if (char === "}") openObjects.pop();
    else if (char === '"') {
      const end = endOfString(text, i);
      if (nextSignificant(text, end) === ":") {
        const key = JSON.parse(text.slice(i, end)) as string;
        const keys = openObjects.at(-1)!;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      i = end - 1;
    }
  }
  return undefined;
}

/** The index behind the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

function nextSignificant(text: string, start: number): string | undefined {
  let i = start;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") i++;
  return text[i];
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
  const fail = (problem: string) => invalid(path, `tensor "${name}": ${problem}`);
  if (!isObject(value)) throw fail("its entry must be an object");
  const { dtype, shape, data_offsets: offsets, ...rest } = value;
  const unknownKey = Object.keys(rest)[0];
  if (unknownKey !== undefined) throw fail(`unknown field "${unknownKey}"`);
  if (!isDtype(dtype)) {
    throw fail(`dtype must be one of ${dtypes.join(", ")}, found ${JSON.stringify(dtype)}`);
  }
  if (!isSizes(shape)) throw fail(`shape must be sizes, found ${JSON.stringify(shape)}`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[1]! < offsets[0]!) {
    throw fail(`data_offsets must be [begin, end], found ${JSON.stringify(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = byteLengthOf(dtype, shape);
  if (end - begin !== expected) {
    const description = `${dtype} [${shape.join(", ")}]`;
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

/** Infinite if it is beyond what a double counts exactly, so that no file's length can equal it. */
function byteLengthOf(dtype: Dtype, shape: readonly number[]): number {
  let total = arrayTypes[dtype].BYTES_PER_ELEMENT;
  for (const size of shape) {
    total *= size;
    if (!Number.isSafeInteger(total)) return Number.POSITIVE_INFINITY;
  }
  return total;
}

/** Tensors must follow each other without overlap or hole, from the header's end to the file's end. */
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
      throw invalid(path, `tensor "${name}" ${problem} (byte ${entry.begin}, expected ${end})`);
    }
    end += entry.byteLength;
  }
  if (end !== fileSize) {
    const hint = end > fileSize ? "it is truncated" : "there are bytes after the last tensor";
    throw invalid(path, `expected ${end} bytes, found ${fileSize}; ${hint}`);
  }
}

// --- Writing ---

/**
 * Writes a file with the same bytes as Python's `safetensors.torch.save_file(tensors, path, {"format": "pt"})`.
 * The file appears whole or not at all, and is on the disk when this returns.
 * @param metadata further entries beside `format`
 * @throws UserError if the file cannot be written, for one because the disk is full
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const ordered = [...tensors].sort(compareForLayout);
  const header = encodeHeader(ordered, { format: "pt", ...metadata });
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const descriptor = attempt(`create ${path}`, () => openSync(temporary, "w"));
    try {
      writeFully(descriptor, path, header);
      for (const [name, tensor] of ordered) {
        writeFully(descriptor, path, encodeTensor(name, tensor));
      }
      attempt(`write ${path}`, () => fsyncSync(descriptor));
    } finally {
      closeSync(descriptor);
    }
    attempt(`write ${path}`, () => renameSync(temporary, path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

function compareForLayout(a: [string, TensorToWrite], b: [string, TensorToWrite]): number {
  const byDtype = dtypes.indexOf(a[1].dtype) - dtypes.indexOf(b[1].dtype);
  return byDtype || Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0]));
}

function encodeHeader(
  ordered: readonly (readonly [string, TensorToWrite])[],
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

function encodeTensor(name: string, tensor: TensorToWrite): Uint8Array {
  const { dtype, shape } = tensor;
  const data = narrow(tensor.data, dtype);
  if (!(data instanceof arrayTypes[dtype]) || data.byteLength !== byteLengthOf(dtype, shape)) {
    const expected = `${arrayTypes[dtype].name} for ${dtype} [${shape.join(", ")}]`;
    const found = `${data.constructor.name} of ${data.length}`;
    throw new Error(`writeSafetensors: "${name}": expected a ${expected}, got a ${found}`);
  }
  return bytesOf(data);
}

function narrow(data: TensorData, dtype: Dtype): TensorData {
  if (!(data instanceof Float32Array)) return data;
  if (dtype === "F16") return float32ToFloat16(data);
  if (dtype === "BF16") return float32ToBfloat16(data);
  return data;
}

function writeFully(descriptor: number, path: string, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) {
    const wanted = Math.min(bytes.length - done, maxTransferBytes);
    done += attempt(`write ${path}`, () => writeSync(descriptor, bytes, done, wanted));
  }
}

/** Makes the rename itself durable. Some file systems cannot sync a folder; the file is whole either way. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } catch (error) {
    if (!isSystemError(error) || !["EINVAL", "ENOTSUP", "EPERM"].includes(error.code)) throw error;
  } finally {
    closeSync(descriptor);
  }
}

// --- Errors of the file system ---

const advice: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is not a folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full; free some space and try again",
  EDQUOT: "the disk quota is used up; free some space and try again",
  EFBIG: "the file would be larger than the system allows",
  EMFILE: "too many open files",
  EIO: "the disk reports an error",
};

/** Runs a call of the file system; what it refuses for a reason outside the program becomes a UserError. */
function attempt<T>(action: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const reason = advice[error.code] ?? error.message;
    throw new UserError(`cannot ${action}: ${reason}`, { cause: error });
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  return error instanceof Error && "syscall" in error && "code" in error;
}
