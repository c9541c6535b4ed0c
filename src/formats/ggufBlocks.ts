// How GGUF stores weights: in blocks of values that share their scale. Each is widened to the float32 that ggml computes.
// Reference: ggml-org/ggml, src/ggml-common.h and ggml-quants.c.
import { float16Table } from "./halfFloats.ts";

export interface BlockFormat {
  readonly name: string;
  /** Values in a block. */
  readonly values: number;
  /** Bytes of a block. */
  readonly bytes: number;
  readonly widen: Widen;
}

/**
 * Widens the block at byte `at` into `target` from `to` on.
 *
 * Rounds as ggml does in float32: a scale of 11 bits times a few more is exact in either precision, and one sum of two
 * float32 comes out the same whether or not it stops at float64 on its way.
 */
type Widen = (view: DataView, at: number, target: Float32Array, to: number) => void;

const float16At = (view: DataView, at: number): number => float16Table()[view.getUint16(at, true)]!;

const float32: Widen = (view, at, target, to) => {
  target[to] = view.getFloat32(at, true);
};

const float16: Widen = (view, at, target, to) => {
  target[to] = float16At(view, at);
};

/** The upper half of a float32. */
const bfloat16: Widen = (view, at, target, to) => {
  scratch.setUint16(0, view.getUint16(at, true));
  target[to] = scratch.getFloat32(0);
};
const scratch = new DataView(new ArrayBuffer(4));

/** Scale, 32 signed bytes. */
const q8_0: Widen = (view, at, target, to) => {
  const scale = float16At(view, at);
  for (let i = 0; i < 32; i++) target[to + i] = scale * view.getInt8(at + 2 + i);
};

/** Scale, 32 times 4 bits around 8. */
const q4_0: Widen = (view, at, target, to) => {
  const scale = float16At(view, at);
  for (let i = 0; i < 32; i++) target[to + i] = scale * (fourBits(view, at + 2, i) - 8);
};

/** Scale, minimum, 32 times 4 bits. */
const q4_1: Widen = (view, at, target, to) => {
  const [scale, minimum] = [float16At(view, at), float16At(view, at + 2)];
  for (let i = 0; i < 32; i++) target[to + i] = scale * fourBits(view, at + 4, i) + minimum;
};

/** Scale, the fifth bits, 32 times 4 bits, around 16. */
const q5_0: Widen = (view, at, target, to) => {
  const scale = float16At(view, at);
  const fifths = view.getUint32(at + 2, true);
  for (let i = 0; i < 32; i++) {
    target[to + i] = scale * ((fourBits(view, at + 6, i) | fifthBit(fifths, i)) - 16);
  }
};

/** Scale, minimum, the fifth bits, 32 times 4 bits. */
const q5_1: Widen = (view, at, target, to) => {
  const [scale, minimum] = [float16At(view, at), float16At(view, at + 2)];
  const fifths = view.getUint32(at + 4, true);
  for (let i = 0; i < 32; i++) {
    target[to + i] = scale * (fourBits(view, at + 8, i) | fifthBit(fifths, i)) + minimum;
  }
};

/** Of 16 bytes the lower halves are values 0 to 15, the upper halves 16 to 31. */
function fourBits(view: DataView, at: number, i: number): number {
  return i < 16 ? view.getUint8(at + i) & 15 : view.getUint8(at + i - 16) >> 4;
}

function fifthBit(fifths: number, i: number): number {
  return ((fifths >>> i) & 1) << 4;
}

/** Scale of the scales, scale of the minima, 8 pairs of 6 bits, then 8 groups of 32 times 4 bits, two to 32 bytes. */
const q4_K: Widen = (view, at, target, to) => {
  const [scale, minimum] = [float16At(view, at), float16At(view, at + 2)];
  for (let group = 0; group < 8; group++) {
    const [scale6, minimum6] = sixBitPair(view, at + 4, group);
    const [groupScale, groupMinimum] = [scale * scale6, minimum * minimum6];
    const start = at + 16 + 32 * (group >> 1);
    const shift = 4 * (group & 1);
    for (let i = 0; i < 32; i++) {
      const four = (view.getUint8(start + i) >> shift) & 15;
      target[to + 32 * group + i] = groupScale * four - groupMinimum;
    }
  }
};

/** 12 bytes: four scales, four minima, then the lower bits of the other four of both; their upper bits top the first 8. */
function sixBitPair(view: DataView, at: number, group: number): readonly [number, number] {
  const byte = (index: number) => view.getUint8(at + index);
  if (group < 4) return [byte(group) & 63, byte(group + 4) & 63];
  const lower = byte(group + 4);
  const upper = (index: number) => (byte(index) >> 6) << 4;
  return [(lower & 15) | upper(group - 4), (lower >> 4) | upper(group)];
}

/** 256 times 4 lower bits, 256 times 2 upper bits, 16 signed scales, their scale; around 32. */
const q6_K: Widen = (view, at, target, to) => {
  const scale = float16At(view, at + 208);
  for (let group = 0; group < 8; group++) {
    const [half, quarter] = [group >> 2, group & 3];
    const lowers = at + 64 * half + 32 * (quarter & 1);
    const uppers = at + 128 + 32 * half;
    for (let i = 0; i < 32; i++) {
      const lower = (view.getUint8(lowers + i) >> (4 * (quarter >> 1))) & 15;
      const upper = (view.getUint8(uppers + i) >> (2 * quarter)) & 3;
      const groupScale = scale * view.getInt8(at + 192 + 2 * group + (i >> 4));
      target[to + 32 * group + i] = groupScale * ((lower | (upper << 4)) - 32);
    }
  }
};

/** The types that can be read, by the number that stands for each in a file. */
export const blockFormats: ReadonlyMap<number, BlockFormat> = new Map([
  [0, { name: "F32", values: 1, bytes: 4, widen: float32 }],
  [1, { name: "F16", values: 1, bytes: 2, widen: float16 }],
  [30, { name: "BF16", values: 1, bytes: 2, widen: bfloat16 }],
  [8, { name: "Q8_0", values: 32, bytes: 34, widen: q8_0 }],
  [2, { name: "Q4_0", values: 32, bytes: 18, widen: q4_0 }],
  [3, { name: "Q4_1", values: 32, bytes: 20, widen: q4_1 }],
  [6, { name: "Q5_0", values: 32, bytes: 22, widen: q5_0 }],
  [7, { name: "Q5_1", values: 32, bytes: 24, widen: q5_1 }],
  [12, { name: "Q4_K", values: 256, bytes: 144, widen: q4_K }],
  [14, { name: "Q6_K", values: 256, bytes: 210, widen: q6_K }],
]);

/** Those that cannot, for the message that refuses them. */
// biome-ignore format: a table
const otherTypes: ReadonlyMap<number, string> = new Map([
  [9, "Q8_1"], [10, "Q2_K"], [11, "Q3_K"], [13, "Q5_K"], [15, "Q8_K"], [16, "IQ2_XXS"], [17, "IQ2_XS"], [18, "IQ3_XXS"],
  [19, "IQ1_S"], [20, "IQ4_NL"], [21, "IQ3_S"], [22, "IQ2_S"], [23, "IQ4_XS"], [24, "I8"], [25, "I16"], [26, "I32"],
  [27, "I64"], [28, "F64"], [29, "IQ1_M"], [34, "TQ1_0"], [35, "TQ2_0"], [39, "MXFP4"], [40, "NVFP4"],
]);

export function blockTypeName(id: number): string {
  return blockFormats.get(id)?.name ?? otherTypes.get(id) ?? `number ${id}`;
}
