// Reads and writes safetensors files: an 8-byte length, a JSON header, then the tensors' bytes.
// Every tensor is read by its position, so that a file larger than the memory can be opened.
import { closeSync, fstatSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { quote, UserError, withPath } from "../errors.ts";
import { nameAside } from "../folders.ts";
import {
  type FilePlace,
  type OpenFile,
  openToRead,
  readFully,
  syncFolder,
  writeFully,
} from "./fileAccess.ts";
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from "./halfFloats.ts";
import {
  arrayTypes,
  byteLengthOf,
  compareForLayout,
  type Dtype,
  type Entry,
  encodeHeader,
  type FloatDtype,
  type Header,
  invalid,
  maxHeaderBytes,
  parseHeader,
  type TensorData,
  type TensorInfo,
  unsupportedDtype,
} from "./safetensorsHeader.ts";

/**
 * A tensor to write. `data` has the array type of the dtype (16-bit floats: raw bits in a
 * Uint16Array), or is a Float32Array to be rounded to F16 or BF16. It is asked for once, when the
 * tensor's turn comes, so a getter can fetch one tensor at a time.
 */
export interface TensorToWrite extends TensorInfo {
  readonly data: TensorData;
}

/** An open file. Every read gives a fresh array that the caller owns. */
export interface SafetensorsFile extends OpenFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of the bytes in the file. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The values in the file's own dtype; F16 and BF16 as raw bits. */
  read(name: string): TensorData;
  /** The values of an F32, F16 or BF16 tensor, widened exactly. */
  readFloat32(name: string): Float32Array;
  /** The same when it is called, by the header as it was read; the file may be closed by then. */
  laterFloat32(name: string): () => Float32Array;
  /** Where a tensor's bytes begin. */
  placeOf(name: string): FilePlace;
}

/** 16-bit floats are widened piece by piece, so that only the result is held whole. */
const pieceElements = 2 ** 22;

/**
 * Opens a file and checks its whole header against the file's length.
 * Close it, or hold it with `using`.
 *
 * @throws UserError if the file is missing, truncated, or its header is not valid
 */
export function openSafetensors(path: string): SafetensorsFile {
  return openToRead(path, (descriptor) => {
    const { metadata, entries } = readHeader(descriptor, path);
    const entryOf = (name: string): Entry => {
      const entry = entries.get(name);
      if (entry !== undefined) return entry;
      throw new UserError(
        `${path}: has no tensor ${quote(name)}; it has ${listNames(entries.keys())}`,
      );
    };
    return {
      path,
      metadata,
      tensors: entries,
      placeOf: (name) => ({ path, begin: entryOf(name).begin }),
      read: (name) => readRaw(descriptor, path, entryOf(name)),
      readFloat32: (name) => readFloat32(descriptor, path, name, entryOf(name)),
      laterFloat32: (name) => {
        const entry = entryOf(name);
        return () => {
          using file = openToRead(path, (again) => ({
            values: readFloat32(again, path, name, entry),
          }));
          return file.values;
        };
      },
    };
  });
}

function listNames(names: Iterable<string>): string {
  const all = [...names];
  const shown = all.slice(0, 5).map(quote);
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
    throw unsupportedDtype(path, name, dtype);
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

// --- Writing ---

/**
 * Writes the same bytes as Python's `safetensors.torch.save_file(tensors, path, {"format": "pt"})`.
 * The file appears whole or not at all, and is on the disk when this returns.
 *
 * @param metadata further entries beside `format`
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const ordered = [...tensors].sort(compareForLayout);
  const header = encodeHeader(ordered, { format: "pt", ...metadata });
  const temporary = nameAside(path);
  try {
    const descriptor = openSync(temporary, "w");
    try {
      writeFully(descriptor, path, header);
      for (const [name, tensor] of ordered) {
        writeFully(descriptor, path, encodeTensor(name, tensor));
      }
      withPath(path, () => fsyncSync(descriptor));
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
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

/** What a file holds of `data`: a Float32Array is rounded to nearest even where the dtype has 16 bits. */
export function narrow(data: TensorData, dtype: Dtype): TensorData {
  if (!(data instanceof Float32Array)) return data;
  if (dtype === "F16") return float32ToFloat16(data);
  if (dtype === "BF16") return float32ToBfloat16(data);
  return data;
}

/** Values as they are after they were written in a type and read again. */
export function roundedTo(values: Float32Array, dtype: FloatDtype): Float32Array {
  if (dtype === "F32") return values;
  const target = new Float32Array(values.length);
  const widen = dtype === "F16" ? float16ToFloat32 : bfloat16ToFloat32;
  widen(narrow(values, dtype) as Uint16Array, target);
  return target;
}
