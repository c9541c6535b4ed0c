// 16-bit floats as raw bits and back: IEEE binary16 ("F16") and bfloat16 ("BF16"), for which
// JavaScript has no arrays. Widening is exact; narrowing rounds to nearest, ties to even.

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

let float16Values: Float32Array | undefined;

/** The 65,536 values of binary16, by their bits; made on first use. */
export function float16Table(): Float32Array {
  if (float16Values === undefined) {
    float16Values = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) float16Values[bits] = float16Value(bits);
  }
  return float16Values;
}

function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24; // zero and subnormals
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Widens binary16 bits into `target` (same length, or longer). */
export function float16ToFloat32(bits: Uint16Array, target: Float32Array): void {
  const table = float16Table();
  for (let i = 0; i < bits.length; i++) target[i] = table[bits[i]!]!;
}

/** Widens bfloat16 bits, which are the upper halves of float32 bits, into `target`. */
export function bfloat16ToFloat32(bits: Uint16Array, target: Float32Array): void {
  const targetBits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < bits.length; i++) targetBits[i] = bits[i]! << 16;
}

/** Rounds to binary16; magnitudes of 65,520 and more become infinite. */
export function float32ToFloat16(values: Float32Array): Uint16Array {
  const result = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) result[i] = float16Bits(values[i]!);
  return result;
}

function float16Bits(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65,520 and up
  if (magnitude < 0x38800000) {
    // Below 2^-14 the unit in the last place is 2^-24, so adding 0.5 aligns exactly that bit with
    // the last fraction bit of a float32, and the addition itself rounds to nearest even.
    scratchFloat[0] = Math.abs(value) + 0.5;
    return sign | (scratchBits[0]! - 0x3f000000);
  }
  // Rebias the exponent from 127 to 15, then round off 13 bits; a carry may raise the exponent.
  const rebiased = magnitude - 0x38000000;
  return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
}

/** Rounds to bfloat16. */
export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const result = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) result[i] = bfloat16Bits(bits[i]!);
  return result;
}

function bfloat16Bits(bits: number): number {
  // Rounding a NaN could carry into the exponent and make it infinite: PyTorch's quiet NaN instead.
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
