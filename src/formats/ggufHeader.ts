// The header of a GGUF file: metadata, and which tensors there are, of what type and shape, and where their bytes lie.
// A file may come from anybody: every count and length is held against the file's size and against what makes sense,
// before anything of that size is read, and nothing out of the file gets into a message but quoted.
// Reference: ggml-org/ggml, docs/gguf.md; what is refused beyond it, ggml's gguf.cpp refuses, too.
import { fstatSync } from "node:fs";
import { quote, UserError } from "../errors.ts";
import { readFully } from "./fileAccess.ts";
import { blockFormats } from "./ggufBlocks.ts";

export type GgufValue = number | boolean | string | readonly GgufValue[];

export interface GgufTensor {
  readonly shape: readonly number[];
  readonly typeId: number;
  /** Position of its bytes in the file. */
  readonly begin: number;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

// Published vocabularies (262,144 tokens with types, scores and 514,906 merges) and chat templates stay far below these.
const maxHeaderBytes = 2 ** 28;
const maxValues = 2 ** 22;
const maxTextBytes = 2 ** 26;
const maxKeyBytes = 2 ** 16 - 1;
const maxTensorNameBytes = 256;
const maxDimensions = 4;
export const defaultAlignment = 32;

/** @throws UserError if the file is truncated, damaged, big-endian, of version 1, or no GGUF file */
export function readHeader(descriptor: number, path: string): GgufHeader {
  const stat = fstatSync(descriptor);
  if (!stat.isFile()) throw new UserError(`${path}: expected a GGUF file, found a folder`);
  const cursor = createCursor(descriptor, path, stat.size);
  checkStart(cursor, path);
  const tensorCount = cursor.count("tensors", 24); // a name's length, a dimension count, a type, an offset
  const metadataCount = cursor.count("metadata entries", 13); // a key's length, a type, a byte
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < metadataCount; i++) {
    const key = cursor.text(maxKeyBytes);
    if (metadata.has(key)) throw invalid(path, `${quote(key)} stands twice in its metadata`);
    metadata.set(key, readValue(cursor, path, key, cursor.number("u32")));
  }
  const listed: [string, GgufTensor][] = [];
  for (let i = 0; i < tensorCount; i++) listed.push(readTensorInfo(cursor, path));
  const alignment = metadata.get("general.alignment") ?? defaultAlignment;
  if (typeof alignment !== "number" || alignment < 1 || !Number.isInteger(Math.log2(alignment))) {
    throw invalid(path, "general.alignment must be a power of two");
  }
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = listed.map(([name, tensor]) => {
    const begin = dataStart + tensor.begin;
    return [name, { ...tensor, begin }] as const;
  });
  checkLayout(tensors, path, stat.size);
  return { metadata, tensors: new Map(tensors) };
}

export function invalid(path: string, problem: string): UserError {
  return new UserError(`${path}: not a valid GGUF file: ${problem}; fetch it again`);
}

function checkStart(cursor: Cursor, path: string): void {
  const magic = cursor.number("u32");
  if (magic !== 0x46554747) throw invalid(path, 'expected it to start with "GGUF"');
  const version = cursor.number("u32");
  if (version === 2 || version === 3) return;
  const found = version > 0xffff ? "a big-endian file" : `version ${version}`;
  throw new UserError(`${path}: ${found} of GGUF is not supported; supported are 2 and 3`);
}

function readValue(cursor: Cursor, path: string, key: string, typeId: number): GgufValue {
  const type = valueTypes[typeId];
  if (type === undefined) throw invalid(path, `${quote(key)} has the unknown type ${typeId}`);
  if (type !== "array") return readScalar(cursor, type);
  const elementId = cursor.number("u32");
  const elementType = valueTypes[elementId];
  if (elementType === undefined || elementType === "array") {
    const found = elementType ?? `the unknown type ${elementId}`;
    throw invalid(path, `the array ${quote(key)} has elements of the type ${found}`);
  }
  const least =
    elementType === "text" ? 8 : elementType === "bool" ? 1 : numberTypes[elementType][0];
  const length = cursor.count(`values in ${quote(key)}`, least);
  return Array.from({ length }, () => readScalar(cursor, elementType));
}

function readScalar(cursor: Cursor, type: Exclude<ValueType, "array">): GgufValue {
  if (type === "bool") return cursor.number("u8") !== 0;
  return type === "text" ? cursor.text(maxTextBytes) : cursor.number(type);
}

/** `begin` counts from the start of the data. */
function readTensorInfo(cursor: Cursor, path: string): [string, GgufTensor] {
  const name = cursor.text(maxTensorNameBytes);
  const dimensions = cursor.number("u32");
  if (dimensions > maxDimensions) {
    throw invalid(path, `tensor ${quote(name)} has ${dimensions} dimensions`);
  }
  // Stored with the innermost first.
  const shape = Array.from({ length: dimensions }, () => cursor.number("u64")).reverse();
  return [name, { shape, typeId: cursor.number("u32"), begin: cursor.number("u64") }];
}

/** Tensors must lie within the file and not share bytes. The size of one whose type is not supported is not known. */
function checkLayout(
  tensors: readonly (readonly [string, GgufTensor])[],
  path: string,
  fileSize: number,
): void {
  const names = new Set<string>();
  let end = 0;
  for (const [name, tensor] of tensors.toSorted(([, a], [, b]) => a.begin - b.begin)) {
    if (names.has(name)) throw invalid(path, `tensor ${quote(name)} stands twice in it`);
    names.add(name);
    const bytes = byteLengthOf(tensor, path, name);
    if (!(tensor.begin + bytes <= fileSize)) {
      throw invalid(
        path,
        `tensor ${quote(name)} [${tensor.shape}] reaches beyond the end of ${fileSize} bytes; the file is truncated`,
      );
    }
    if (tensor.begin < end) throw invalid(path, `tensor ${quote(name)} overlaps the one before it`);
    end = tensor.begin + bytes;
  }
}

/** Inexact or infinite for sizes that no file has. */
function byteLengthOf({ shape, typeId }: GgufTensor, path: string, name: string): number {
  const format = blockFormats.get(typeId);
  if (format === undefined) return 0;
  const size = shape.reduce((product, length) => product * length, 1);
  const innermost = shape.at(-1) ?? 1;
  if (innermost % format.values !== 0) {
    throw invalid(
      path,
      `tensor ${quote(name)} [${shape}] is not made of whole blocks of ${format.values} values (${format.name})`,
    );
  }
  return (size / format.values) * format.bytes;
}

// --- Bytes ---

/** Size in bytes, and how DataView reads it. */
const numberTypes = {
  u8: [1, (view: DataView, at: number) => view.getUint8(at)],
  i8: [1, (view: DataView, at: number) => view.getInt8(at)],
  u16: [2, (view: DataView, at: number) => view.getUint16(at, true)],
  i16: [2, (view: DataView, at: number) => view.getInt16(at, true)],
  u32: [4, (view: DataView, at: number) => view.getUint32(at, true)],
  i32: [4, (view: DataView, at: number) => view.getInt32(at, true)],
  f32: [4, (view: DataView, at: number) => view.getFloat32(at, true)],
  u64: [8, (view: DataView, at: number) => Number(view.getBigUint64(at, true))],
  i64: [8, (view: DataView, at: number) => Number(view.getBigInt64(at, true))],
  f64: [8, (view: DataView, at: number) => view.getFloat64(at, true)],
} as const;

/** By the number that stands for it in a file. */
export const valueTypes = [
  ...(["u8", "i8", "u16", "i16", "u32", "i32", "f32"] as const),
  ...(["bool", "text", "array", "u64", "i64", "f64"] as const),
] as const;
type ValueType = (typeof valueTypes)[number];

const windowBytes = 2 ** 20;

/** Takes values off the start of a file, in order. */
interface Cursor {
  /** How many bytes were taken. */
  readonly position: number;
  number(type: keyof typeof numberTypes): number;
  /** How many of something follow, each of `leastBytes` at least. */
  count(what: string, leastBytes: number): number;
  text(maxBytes: number): string;
}

function createCursor(descriptor: number, path: string, fileSize: number): Cursor {
  let window = new DataView(new ArrayBuffer(0));
  let windowStart = 0;
  let position = 0;
  let counted = 0;
  /** Puts the cursor behind the next bytes, and says where in the window they begin. */
  const take = (count: number): number => {
    if (count > fileSize - position) {
      throw invalid(path, `ends after ${fileSize} bytes, inside its header; the file is truncated`);
    }
    if (position + count > maxHeaderBytes) {
      throw invalid(path, `its header is longer than ${maxHeaderBytes} bytes`);
    }
    if (position + count > windowStart + window.byteLength) {
      const bytes = new Uint8Array(Math.min(Math.max(count, windowBytes), fileSize - position));
      readFully(descriptor, path, bytes, position);
      window = new DataView(bytes.buffer);
      windowStart = position;
    }
    position += count;
    return position - count - windowStart;
  };
  const number = (type: keyof typeof numberTypes): number => {
    const [bytes, read] = numberTypes[type];
    const at = take(bytes); // first: it may replace the window
    return read(window, at);
  };
  // A token may be, or begin with, the byte order mark.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    get position() {
      return position;
    },
    number,
    count(what, leastBytes) {
      const count = number("u64");
      if (count * leastBytes > fileSize - position) {
        throw invalid(path, `says it has ${count} ${what}, more than it has bytes for`);
      }
      counted += count;
      if (counted <= maxValues) return count;
      throw invalid(path, `has ${count} ${what}; all together may be ${maxValues}`);
    },
    text(maxBytes) {
      const length = number("u64");
      if (length > maxBytes && length <= fileSize - position) {
        throw invalid(path, `has a text of ${length} bytes, allowed are ${maxBytes} there`);
      }
      const at = take(length);
      return decoder.decode(new Uint8Array(window.buffer, at, length));
    },
  };
}
