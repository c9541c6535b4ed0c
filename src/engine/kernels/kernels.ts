// What this process computes with: native ops, or TensorFlow's.
import { usesNativeOps } from "../tf.ts";
import { nativeKernels } from "./native.ts";
import { tensorflowKernels } from "./tensorflow.ts";
import type { Kernels } from "./types.ts";

const kernels: Kernels = usesNativeOps ? nativeKernels : tensorflowKernels;
export const { rmsNorm, rotate, swiGlu, logProbabilityOf, packedAttention } = kernels;
