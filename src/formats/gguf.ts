// Reads GGUF files, llama.cpp's format: metadata, then a list of tensors, then the tensors' bytes.
// Every tensor is read by its position and widened to float32, so that a file larger than the memory can be opened.
// Reference: ggml-org/ggml, docs/gguf.md.
import { quote, UserError } from "../errors.ts";
import { type OpenFile, openToRead, readFully } from "./fileAccess.ts";
import { type BlockFormat, blockFormats, blockTypeName } from "./ggufBlocks.ts";
import { type GgufTensor, type GgufValue, readHeader } from "./ggufHeader.ts";

/** An open file. Every read gives a fresh array that the caller owns. */
export interface GgufFile extends OpenFile {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Shape of each tensor as PyTorch has it, the innermost dimension last. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** @throws UserError for a tensor that the file has not, or of a type that is not supported */
  readFloat32(name: string): Float32Array;
}

/** Blocks are widened piece by piece, so that only the result is held whole. */
const pieceBytes = 2 ** 24;

/**
 * Opens a file, reads its metadata and checks that every tensor lies within it. Close it, or hold it with `using`.
 *
 * @throws UserError if the file is missing, truncated, damaged, big-endian, of version 1, or no GGUF file
 */
export function openGguf(path: string): GgufFile {
  return openToRead(path, (descriptor) => {
    const { metadata, tensors } = readHeader(descriptor, path);
    return {
      path,
      metadata,
      shapes: new Map([...tensors].map(([name, { shape }]) => [name, shape])),
      readFloat32(name) {
        const tensor = tensors.get(name);
        if (tensor === undefined) throw new UserError(`${path}: has no tensor ${quote(name)}`);
        return readTensor(descriptor, path, name, tensor);
      },
    };
  });
}

function readTensor(
  descriptor: number,
  path: string,
  name: string,
  { shape, typeId, begin }: GgufTensor,
): Float32Array {
  const format = formatOf(path, name, typeId);
  const size = shape.reduce((product, length) => product * length, 1);
  const blocks = size / format.values;
  const result = new Float32Array(size);
  const pieceBlocks = Math.floor(pieceBytes / format.bytes);
  for (let first = 0; first < blocks; first += pieceBlocks) {
    const count = Math.min(pieceBlocks, blocks - first);
    const bytes = new Uint8Array(count * format.bytes);
    readFully(descriptor, path, bytes, begin + first * format.bytes);
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
    `${path}: tensor ${quote(name)} is of type ${blockTypeName(typeId)}, which is not supported; ` +
      `supported are ${supported}: take a file with one of these`,
  );
}
