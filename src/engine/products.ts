// Matrix products, and their precision.
import type { Precision } from "../config.ts";
import { attribute, FLOAT, op, type Tensor, take, tf } from "./tf.ts";

const T = attribute.type("T", FLOAT);

let chosen: Precision | undefined;
let rounds = false;

/**
 * Chooses the precision of this process's matrix products, before the first of them. With bf16, what goes into a product is rounded
 * to bfloat16 inside oneDNN's kernel, which adds up in float32; all tensors stay float32, and so does all other arithmetic.
 * Reference: mixed precision as in Micikevicius et al., arXiv 1710.03740, and Kalamkar et al., arXiv 1905.12322.
 *
 * Says so on stderr where bf16 brings nothing. Products are then those of float32, bit for bit.
 *
 * @throws Error when products have the other precision already
 */
export function usePrecision(precision: Precision): void {
  if (chosen !== undefined && chosen !== precision)
    throw new Error(`this process computes in ${chosen} already: ${precision} takes another one`);
  if (chosen === precision) return;
  chosen = precision;
  if (precision === "float32") return;
  process.env.TF_SET_ONEDNN_FPMATH_MODE = "BF16"; // read once, at the first BatchMatMulV2
  rounds = isRounding();
  if (!rounds)
    console.error(
      "precision bf16 brings nothing here: products stay float32. It takes oneDNN on a CPU with AMX (amx_bf16 in /proc/cpuinfo)",
    );
}

/** Multiplies by 1 what float32 can represent, and TF32, but bf16 cannot. */
function isRounding(): boolean {
  const size = 64; // the smallest products stay float32
  const x = tf.fill([size, size], 1 + 2 ** -9);
  const [products] = take([tf.tidy(() => batchMatMul(x, tf.onesLike(x)))]);
  x.dispose();
  return products!.every((product) => product === size);
}

/** Matrix product of two matrices, either of them transposed. */
export function matMul(a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor {
  chosen ??= "float32";
  if (rounds) return batchMatMul(a, b, transposeA, transposeB); // MatMul's kernel never rounds
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
