// Matrix products, and their precision.
import type { Precision } from "../config.ts";
import { UserError } from "../errors.ts";
import { say } from "../terminal.ts";
import {
  attribute,
  FLOAT,
  lacksGpu,
  native,
  op,
  readAndDispose,
  type Tensor,
  tf,
  usesNativeOps,
} from "./tf.ts";

const T = attribute.type("T", FLOAT);

/** How many bits of a float32's mantissa, the leading one included, are left, and where. */
const roundings = {
  tf32: { bits: 11, where: "a GPU, from NVIDIA's Ampere on" },
  bf16: {
    bits: 8,
    where: "a CPU with AMX (amx_bf16 in /proc/cpuinfo) and a set-up by g++ 11 or newer",
  },
} as const;

let chosen: Precision | undefined;
let isBf16 = false;

/**
 * Chooses the precision of this process's matrix products, before the first of them. What goes into a product is rounded to tf32 or
 * bf16 inside the kernel, which adds up in float32; all tensors stay float32, and so does all other arithmetic.
 * Reference: mixed precision as in Micikevicius et al., arXiv 1710.03740, and Kalamkar et al., arXiv 1905.12322.
 *
 * Says so where it brings nothing. Products are then those of float32, bit for bit.
 *
 * @throws UserError when products have another precision already
 */
export function usePrecision(precision: Precision): void {
  if (chosen !== undefined && chosen !== precision)
    throw new UserError(
      `expected precision ${chosen}, in which this process computes already, found ${precision}: give it a process of its own`,
    );
  if (chosen === precision) return;
  chosen = precision;
  if (lacksGpu)
    say("note: the set-up is for GPUs, but none is in use; TF_CPP_MIN_LOG_LEVEL=0 says why");
  if (precision === "float32") return;
  if (precision === "tf32") native.setTensorFloat32(true);
  const { bits, where } = roundings[precision];
  const isRounded = precision === "bf16" ? roundsProductsToBf16() : roundsTo(bits, batchMatMul);
  isBf16 = isRounded && precision === "bf16";
  if (!isRounded)
    say(`precision ${precision} brings nothing here: products stay float32. It takes ${where}`);
}

/** The precision that this process computes in, or will where none is chosen. */
export function currentPrecision(): Precision {
  return chosen ?? "float32";
}

/** Whether what goes into a product is rounded to bf16. */
export function roundsToBf16(): boolean {
  chosen ??= "float32";
  return isBf16;
}

/** Whether products can round to bf16 here. A GPU would leave such a product to the CPU, and copy. */
export function roundsProductsToBf16(): boolean {
  return usesNativeOps && roundsTo(roundings.bf16.bits, roundedMatMul);
}

/** Whether a factor of one bit more loses that bit. */
function roundsTo(bits: number, product: (a: Tensor, b: Tensor) => Tensor): boolean {
  const size = 64;
  const x = tf.fill([size, size], 1 + 2 ** -(bits + 1));
  try {
    const [products] = readAndDispose([tf.tidy(() => product(x, tf.onesLike(x)))]);
    return products!.every((value) => value === size);
  } catch {
    return false; // there is no such op, or it says that there is no AMX
  } finally {
    x.dispose();
  }
}

/** Products of vectors, or of not many more, are not worth the rounding: they stay float32. */
const SMALLEST_ROUNDED = 32;

/** Matrix product of two matrices, either of them transposed. */
export function matMul(a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor {
  chosen ??= "float32";
  if (isBf16 && Math.min(...a.shape, ...b.shape) >= SMALLEST_ROUNDED)
    return roundedMatMul(a, b, transposeA, transposeB);
  return op(
    "MatMul",
    [T, attribute.bool("transpose_a", transposeA), attribute.bool("transpose_b", transposeB)],
    [a, b],
  );
}

/** The same of numbers rounded to bf16: our own op for CPUs with AMX, native/products.cc. */
function roundedMatMul(a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor {
  const both = transposeA && transposeB ? "" : transposeA ? "Left" : "Right";
  const suffix = transposeA || transposeB ? `OfTransposed${both}` : "";
  return op(`RoundedProduct${suffix}`, [], [a, b]);
}

/** Matrix products of two stacks of matrices, either of them transposed; never of numbers rounded to bf16. */
export function batchMatMul(a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor {
  chosen ??= "float32";
  return op(
    "BatchMatMulV2",
    [T, attribute.bool("adj_x", transposeA), attribute.bool("adj_y", transposeB)],
    [a, b],
  );
}
