// Reads GGUF files, llama.cpp's format: metadata, then a list of tensors, then the tensors' bytes.
// Every tensor is read by its position and widened to float32, so that a file larger than the memory can be opened.
// Reference: ggml-org/ggml, docs/gguf.md.
import { fstatSync } from "node:fs";
import { UserError } from "../errors.ts";
import { type OpenFile, openToRead, readFully } from "./fileAccess.ts";
import { type BlockFormat, blockFormats, blockTypeName } from "./ggufBlocks.ts";

export type GgufValue = number | boolean | string | readonly GgufValue[];

/** An open file. Every read gives a fresh array that the caller owns. */
export interface GgufFile extends OpenFile {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Shape of each tensor as PyTorch has it, the innermost dimension last. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** @throws UserError for a tensor that the file has not, or of a type that is not supported */
  readFloat32(name: string): Float32Array;
}

interface Tensor {
  readonly shape: readonly number[];
  readonly typeId: number;
  /** Of its bytes, from the start of the file's data. */
  readonly offset: number;
}

/** Blocks are widened piece by piece, so that only the result is held whole. */
const pieceBytes = 2 ** 24;
const maxDimensions = 4;
const defaultAlignment = 32;

/**
 * Opens a file and reads its metadata. Close it, or hold it with `using`.
 *
 * @throws UserError if the file is missing, truncated, big-endian, of version 1, or no GGUF file
 */
export function openGguf(path: string): GgufFile {
  return openToRead(path, (descriptor) => {
    const { metadata, tensors, dataStart } = readHeader(descriptor, path);
    return {
      path,
      metadata,
      shapes: new Map([...tensors].map(([name, { shape }]) => [name, shape])),
      readFloat32(name) {
        const tensor = tensors.get(name);
        if (tensor === undefined) throw new UserError(`${path}: has no tensor ${name}`);
        return readTensor(descriptor, path, name, tensor, dataStart);
      },
    };
  });
}

// --- Tensors ---

function readTensor(
  descriptor: number,
  path: string,
  name: string,
  { shape, typeId, offset }: Tensor,
  dataStart: number,
): Float32Array {
  const format = formatOf(path, name, typeId);
  const size = shape.reduce((product, length) => product * length, 1);
  const blocks = size / format.values;
  const start = dataStart + offset;
  if (!Number.isInteger(blocks) || start + blocks * format.bytes > fstatSync(descriptor).size) {
    throw invalid(path, `tensor ${name} [${shape}] reaches beyond the end; the file is truncated`);
  }
  const result = new Float32Array(size);
  const pieceBlocks = Math.floor(pieceBytes / format.bytes);
  for (let first = 0; first < blocks; first += pieceBlocks) {
    const count = Math.min(pieceBlocks, blocks - first);
    const bytes = new Uint8Array(count * format.bytes);
    readFully(descriptor, path, bytes, start + first * format.bytes);
    const view = new DataView(bytes.buffer);
    for (let block = 0; block < count; block++) {
      format.widen(view, block * format.bytes, result, (first + block) * format.values);
    }
  }
  return result;
}

function formatOf(path: string, name: string, typeId: number): BlockFormat {
  const format = blockFormats.get(typeId);
  if (format !== undefined) return format;
  const supported = [...blockFormats.values()].map((known) => known.name).join(", ");
  throw new UserError(
    `${path}: tensor ${name} is of type ${blockTypeName(typeId)}, which is not supported; ` +
      `supported are ${supported}: take a file with one of these`,
  );
}

// --- The header ---

/** Takes values off the start of a file, in order. */
interface Cursor {
  /** How many bytes were taken. */
  readonly position: number;
  readonly remaining: number;
  number(type: keyof typeof numberTypes): number;
  text(): string;
}

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
const valueTypes = [
  ...(["u8", "i8", "u16", "i16", "u32", "i32", "f32"] as const),
  ...(["bool", "text", "array", "u64", "i64", "f64"] as const),
] as const;

const windowBytes = 2 ** 20;

function createCursor(descriptor: number, path: string): Cursor {
  const { size } = fstatSync(descriptor);
  let window = new Uint8Array(0);
  let windowStart = 0;
  let position = 0;
  /** The next bytes, which are then behind the cursor. */
  const take = (count: number): Uint8Array => {
    if (count > size - position) {
      throw invalid(path, `ends after ${size} bytes, inside its header; the file is truncated`);
    }
    if (position + count > windowStart + window.length) {
      window = new Uint8Array(Math.min(Math.max(count, windowBytes), size - position));
      windowStart = position;
      readFully(descriptor, path, window, position);
    }
    const start = position - windowStart;
    position += count;
    return window.subarray(start, start + count);
  };
  const number = (type: keyof typeof numberTypes): number => {
    const [bytes, read] = numberTypes[type];
    const taken = take(bytes);
    return read(new DataView(taken.buffer, taken.byteOffset), 0);
  };
  const decoder = new TextDecoder();
  return {
    get position() {
      return position;
    },
    get remaining() {
      return size - position;
    },
    number,
    text: () => decoder.decode(take(number("u64"))),
  };
}

function readHeader(descriptor: number, path: string) {
  if (!fstatSync(descriptor).isFile()) {
    throw new UserError(`${path}: expected a GGUF file, found a folder`);
  }
  const cursor = createCursor(descriptor, path);
  checkStart(cursor, path);
  const tensorCount = readCount(cursor, path, "tensors");
  const metadataCount = readCount(cursor, path, "metadata entries");
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < metadataCount; i++) {
    const key = cursor.text();
    metadata.set(key, readValue(cursor, path, key, cursor.number("u32")));
  }
  const tensors = new Map<string, Tensor>();
  for (let i = 0; i < tensorCount; i++) {
    const name = cursor.text();
    const dimensions = cursor.number("u32");
    if (dimensions > maxDimensions) {
      throw invalid(path, `tensor ${name} has ${dimensions} dimensions`);
    }
    // Stored with the innermost first.
    const shape = Array.from({ length: dimensions }, () => cursor.number("u64")).reverse();
    tensors.set(name, { shape, typeId: cursor.number("u32"), offset: cursor.number("u64") });
  }
  const alignment = Number(metadata.get("general.alignment") ?? defaultAlignment);
  return { metadata, tensors, dataStart: Math.ceil(cursor.position / alignment) * alignment };
}

function checkStart(cursor: Cursor, path: string): void {
  const magic = cursor.number("u32");
  if (magic !== 0x46554747) throw invalid(path, 'expected it to start with "GGUF"');
  const version = cursor.number("u32");
  if (version === 2 || version === 3) return;
  const found = version > 0xffff ? "a big-endian file" : `version ${version}`;
  throw new UserError(`${path}: ${found} of GGUF is not supported; supported are 2 and 3`);
}

/** What is counted takes a byte each at least, so a larger count is no count. */
function readCount(cursor: Cursor, path: string, what: string): number {
  const count = cursor.number("u64");
  if (count <= cursor.remaining) return count;
  throw invalid(path, `says it has ${count} ${what}, more than it has bytes`);
}

function readValue(cursor: Cursor, path: string, key: string, typeId: number): GgufValue {
  const type = valueTypes[typeId];
  switch (type) {
    case undefined:
      throw invalid(path, `${key} has the unknown type ${typeId}`);
    case "bool":
      return cursor.number("u8") !== 0;
    case "text":
      return cursor.text();
    case "array": {
      const elementType = cursor.number("u32");
      const length = readCount(cursor, path, `values in ${key}`);
      return Array.from({ length }, () => readValue(cursor, path, key, elementType));
    }
    default:
      return cursor.number(type);
  }
}

function invalid(path: string, problem: string): UserError {
  return new UserError(`${path}: not a valid GGUF file: ${problem}; fetch it again`);
}
