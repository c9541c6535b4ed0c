// Writes GGUF files of version 3: metadata, the list of tensors, then the tensors' bytes, one tensor in memory at a time.
// Reference: ggml-org/ggml, docs/gguf.md.
import { closeSync, fsyncSync, openSync } from "node:fs";
import { withPath } from "../errors.ts";
import { writeFully } from "./fileAccess.ts";
import { blockFormats } from "./ggufBlocks.ts";
import { defaultAlignment, type GgufValue, valueTypes } from "./ggufHeader.ts";
import { type GgufDtype, ggufTypeId, narrowToGguf } from "./ggufQuantize.ts";

/** A value of the metadata; a number is an unsigned integer of 32 bits unless it is marked as a float. */
export type GgufWritten =
  | string
  | boolean
  | number
  | { readonly float32: number }
  | readonly string[]
  | Int32Array
  | Float32Array;

export interface GgufTensorToWrite {
  readonly dtype: GgufDtype;
  /** As PyTorch has it, the innermost dimension last. */
  readonly shape: readonly number[];
  /** In float32 and the order of the file; may be a getter that reads or computes when it is asked. */
  readonly data: Float32Array;
}

/** What a reader finds in place of a written value. */
export function readBack(value: GgufWritten): GgufValue {
  if (value instanceof Int32Array || value instanceof Float32Array) return [...value];
  if (typeof value === "object" && "float32" in value) return Math.fround(value.float32);
  return value;
}

/**
 * Writes a file and waits until the device has it.
 *
 * @throws what the file system refuses; the file is not whole then
 */
export function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufWritten>,
  tensors: ReadonlyMap<string, GgufTensorToWrite>,
): void {
  const descriptor = openSync(path, "w");
  try {
    writeFully(descriptor, path, padded(encodeHeader(metadata, tensors)));
    for (const [name, tensor] of tensors) {
      const bytes = narrowToGguf(tensor.data, tensor.dtype);
      if (bytes.length !== byteLengthOf(tensor)) {
        throw new Error(`writeGguf: "${name}" [${tensor.shape}] has ${tensor.data.length} values`);
      }
      writeFully(descriptor, path, padded(bytes));
    }
    withPath(path, () => fsyncSync(descriptor));
  } finally {
    closeSync(descriptor);
  }
}

function byteLengthOf({ dtype, shape }: GgufTensorToWrite): number {
  const format = blockFormats.get(ggufTypeId(dtype))!;
  return (shape.reduce((product, length) => product * length, 1) / format.values) * format.bytes;
}

function paddedLength(length: number): number {
  return Math.ceil(length / defaultAlignment) * defaultAlignment;
}

/** Every tensor begins at a multiple of the alignment. */
function padded(bytes: Uint8Array): Uint8Array {
  const length = paddedLength(bytes.length);
  if (length === bytes.length) return bytes;
  const result = new Uint8Array(length);
  result.set(bytes);
  return result;
}

function encodeHeader(
  metadata: ReadonlyMap<string, GgufWritten>,
  tensors: ReadonlyMap<string, GgufTensorToWrite>,
): Uint8Array {
  const parts = [Buffer.from("GGUF"), u32(3), u64(tensors.size), u64(metadata.size)];
  for (const [key, value] of metadata) parts.push(text(key), encodeValue(value));
  let offset = 0;
  for (const [name, tensor] of tensors) {
    const dimensions = tensor.shape.toReversed().map(u64); // the innermost first
    parts.push(text(name), u32(dimensions.length), ...dimensions);
    parts.push(u32(ggufTypeId(tensor.dtype)), u64(offset));
    offset += paddedLength(byteLengthOf(tensor));
  }
  return Buffer.concat(parts);
}

function encodeValue(value: GgufWritten): Buffer {
  if (typeof value === "string") return typed("text", text(value));
  if (typeof value === "boolean") return typed("bool", Buffer.from([Number(value)]));
  if (typeof value === "number") return typed("u32", u32(value));
  if ("float32" in value) return typed("f32", bytesOf(Float32Array.of(value.float32)));
  if (value instanceof Int32Array) return array("i32", value.length, bytesOf(value));
  if (value instanceof Float32Array) return array("f32", value.length, bytesOf(value));
  return array("text", value.length, ...value.map(text));
}

type TypeName = (typeof valueTypes)[number];

function typed(type: TypeName, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([u32(valueTypes.indexOf(type)), ...parts]);
}

function array(type: TypeName, length: number, ...elements: readonly Buffer[]): Buffer {
  return typed("array", typed(type, u64(length), ...elements));
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function bytesOf(values: Int32Array | Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}
