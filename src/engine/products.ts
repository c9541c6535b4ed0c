// Matrix products, and their precision.
import type { Precision } from "../config.ts";
import { attribute, FLOAT, native, op, type Tensor, take, tf } from "./tf.ts";

const T = attribute.type("T", FLOAT);

/** How many bits of a float32's mantissa, the leading one included, are left, and where. */
const roundings = {
  tf32: { bits: 11, where: "a GPU, from NVIDIA's Ampere on" },
  bf16: { bits: 8, where: "oneDNN on a CPU with AMX (amx_bf16 in /proc/cpuinfo)" },
} as const;

let chosen: Precision | undefined;
let isBf16 = false;

/**
 * Chooses the precision of this process's matrix products, before the first of them. What goes into a product is rounded to tf32 or
 * bf16 inside the kernel, which adds up in float32; all tensors stay float32, and so does all other arithmetic.
 * Reference: mixed precision as in Micikevicius et al., arXiv 1710.03740, and Kalamkar et al., arXiv 1905.12322.
 *
 * Says so on stderr where it brings nothing. Products are then those of float32, bit for bit.
 *
 * @throws Error when products have another precision already
 */
export function usePrecision(precision: Precision): void {
  if (chosen !== undefined && chosen !== precision)
    throw new Error(
      `expected precision ${chosen}, in which this process computes already, found ${precision}: it takes a process of its own`,
    );
  if (chosen === precision) return;
  chosen = precision;
  if (precision === "float32") return;
  if (precision === "tf32") native.setTensorFloat32(true);
  else process.env.TF_SET_ONEDNN_FPMATH_MODE = "BF16"; // read once, at the first BatchMatMulV2
  const { bits, where } = roundings[precision];
  const isRounded = roundsTo(bits);
  isBf16 = isRounded && precision === "bf16";
  if (!isRounded)
    console.error(
      `precision ${precision} brings nothing here: products stay float32. It takes ${where}`,
    );
}

/** Whether what goes into a product is rounded to bf16. */
export function roundsToBf16(): boolean {
  chosen ??= "float32";
  return isBf16;
}

/** Whether a factor of one bit more loses that bit. */
function roundsTo(bits: number): boolean {
  const size = 64; // the smallest products stay float32
  const x = tf.fill([size, size], 1 + 2 ** -(bits + 1));
  const [products] = take([tf.tidy(() => batchMatMul(x, tf.onesLike(x)))]);
  x.dispose();
  return products!.every((product) => product === size);
}

/** Matrix product of two matrices, either of them transposed. */
export function matMul(a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor {
  chosen ??= "float32";
  if (isBf16) return batchMatMul(a, b, transposeA, transposeB); // oneDNN's MatMul never rounds
  return op(
    "MatMul",
    [T, attribute.bool("transpose_a", transposeA), attribute.bool("transpose_b", transposeB)],
    [a, b],
  );
}

/** Matrix products of two stacks of matrices, either of them transposed. */
export function batchMatMul(a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor {
  chosen ??= "float32";
  return op(
    "BatchMatMulV2",
    [T, attribute.bool("adj_x", transposeA), attribute.bool("adj_y", transposeB)],
    [a, b],
  );
}
