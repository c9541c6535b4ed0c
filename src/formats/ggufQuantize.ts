// Narrows float32 weights to what a GGUF file holds, bit for bit as ggml does: the inverse of ggufBlocks.ts.
// Reference: ggml-org/llama.cpp, gguf-py/gguf/quants.py; ggml/src/ggml-quants.c, `quantize_row_q8_0_ref`.
import { blockFormats } from "./ggufBlocks.ts";
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from "./halfFloats.ts";
import { narrow } from "./safetensors.ts";

/** The types that can be written. */
export type GgufDtype = "F32" | "F16" | "BF16" | "Q8_0";

/** The smallest magnitudes that would become infinite. The scale of a Q8_0 block is a 127th of its largest, in binary16. */
export const ggufOverflows: Readonly<Record<GgufDtype, number>> = {
  F32: Number.POSITIVE_INFINITY,
  F16: 65_520,
  BF16: (2 - 2 ** -8) * 2 ** 127,
  Q8_0: 127 * 65_520,
};

/** The number that stands for a type in a file. */
export function ggufTypeId(dtype: GgufDtype): number {
  for (const [id, { name }] of blockFormats) if (name === dtype) return id;
  throw new Error(`ggufTypeId: no block format is called ${dtype}`);
}

/**
 * Rounds to nearest, ties to even for the 16-bit types, ties away from zero within a Q8_0 block.
 *
 * @param values finite, below `ggufOverflows`; of Q8_0 whole blocks of 32
 * @returns the bytes of the tensor
 */
export function narrowToGguf(values: Float32Array, dtype: GgufDtype): Uint8Array {
  if (dtype === "Q8_0") return quantizeQ8(values);
  const { buffer, byteOffset, byteLength } = narrow(values, dtype);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** What a reader of the file finds in place of these values. */
export function roundedToGguf(values: Float32Array, dtype: GgufDtype): Float32Array {
  const result = new Float32Array(values.length);
  switch (dtype) {
    case "F32":
      return values;
    case "F16":
      float16ToFloat32(float32ToFloat16(values), result);
      return result;
    case "BF16":
      bfloat16ToFloat32(float32ToBfloat16(values), result);
      return result;
    case "Q8_0": {
      const view = new DataView(quantizeQ8(values).buffer);
      const { widen } = blockFormats.get(ggufTypeId("Q8_0"))!;
      for (let block = 0; block < values.length / blockValues; block++)
        widen(view, block * blockBytes, result, block * blockValues);
      return result;
    }
  }
}

const blockValues = 32;
const blockBytes = 34;

/** Per block of 32 values: their scale in binary16, then each divided by the unrounded scale, as a signed byte. */
function quantizeQ8(values: Float32Array): Uint8Array {
  const blocks = values.length / blockValues;
  const { fround } = Math;
  const scales = new Float32Array(blocks);
  const result = new Uint8Array(blocks * blockBytes);
  for (let block = 0; block < blocks; block++) {
    const first = block * blockValues;
    let largest = 0;
    for (let i = 0; i < blockValues; i++) largest = Math.max(largest, Math.abs(values[first + i]!));
    const scale = fround(largest / 127);
    scales[block] = scale;
    const inverse = scale === 0 ? 0 : fround(1 / scale);
    if (!Number.isFinite(inverse)) continue; // the scale is 0 in binary16, and with it the block
    for (let i = 0; i < blockValues; i++) {
      const quotient = fround(values[first + i]! * inverse);
      result[block * blockBytes + 2 + i] =
        Math.sign(quotient) * Math.floor(Math.abs(quotient) + 0.5);
    }
  }
  const view = new DataView(result.buffer);
  float32ToFloat16(scales).forEach((bits, block) => {
    view.setUint16(block * blockBytes, bits, true);
  });
  return result;
}
