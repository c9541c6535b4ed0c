import { describe, expect, test } from "vitest";
import { nativeKernels } from "../../src/engine/kernels/native.ts";
import { tensorflowKernels } from "../../src/engine/kernels/tensorflow.ts";
import { backend, readAndDispose, type Tensor, tf } from "../../src/engine/tf.ts";
import { largestDifference } from "../support/golden.ts";
import { relativeDistance, runSftStep } from "../support/runSftStep.ts";

// Native attention against TensorFlow's batched products, which are tested against PyTorch through whole models.

const random = (seed: number, ...shape: number[]): Tensor =>
  tf.randomNormal(shape, 0, 1, "float32", seed);

/** Segments of given lengths, one after the other, -1 behind them. */
function row(lengths: readonly number[], rowLength: number): number[] {
  const segments = lengths.flatMap((length, i) => new Array<number>(length).fill(i));
  return [...segments, ...new Array<number>(rowLength - segments.length).fill(-1)];
}

const rowLength = 160;
const segments = [row([70, 1, 30, 40], rowLength), row([160], rowLength)];
/** In the first row segments 1 and 2 see segment 0, and go on from it. */
const contexts = segments.map((segment, r) =>
  segment.map((s) => (r === 0 && (s === 1 || s === 2) ? 0 : s)),
);
const positions = segments.flatMap((segment, r) => {
  const startOf = (s: number) => segment.indexOf(s);
  return segment.map((s, i) => {
    const context = contexts[r]![i]!;
    const before = context === s ? 0 : segment.filter((other) => other === context).length;
    return before + i - startOf(s);
  });
});
const isReal = tf.tensor3d(
  segments.flat().map((s) => (s < 0 ? 0 : 1)),
  [2 * rowLength, 1, 1],
);

// Head sizes: a multiple of a vector, none, and one that needs several blocks. Windows: none, one within a block of queries, one that
// leaves blocks of keys out.
describe.skipIf(backend.isUsingGpuDevice).each([
  { heads: 4, kvHeads: 4, headDim: 32, window: null },
  { heads: 6, kvHeads: 2, headDim: 10, window: null },
  { heads: 2, kvHeads: 1, headDim: 80, window: null },
  { heads: 6, kvHeads: 2, headDim: 10, window: 7 },
  { heads: 4, kvHeads: 4, headDim: 32, window: 50 },
  { heads: 2, kvHeads: 1, headDim: 80, window: 1 },
])("heads $heads, of keys $kvHeads, of size $headDim, window $window", (sizes) => {
  const { heads, kvHeads, headDim, window } = sizes;
  test("packed segments see what they see in batched products, and so do their gradients", () => {
    const visible = [segments, contexts].map((x) => tf.tensor2d(x, undefined, "int32"));
    const places = {
      positions: tf.tensor1d(positions, "int32"),
      segments: visible[0]!,
      contexts: visible[1]!,
    };
    const inputs = [heads, kvHeads, kvHeads].map((n, i) =>
      random(i + 1, 2 * rowLength, n, headDim),
    );
    const upstream = tf.mul(random(4, 2 * rowLength, heads, headDim), isReal); // nothing reads empty places
    const valueAndGradients = (f: (q: Tensor, k: Tensor, v: Tensor) => Tensor) => {
      const loss = () => {
        const [q, k, v] = inputs as [Tensor, Tensor, Tensor];
        return tf.sum(tf.mul(f(q, k, v), upstream));
      };
      const { value, grads } = tf.engine().gradients(loss, inputs);
      return readAndDispose([value, ...grads]);
    };
    const [own, batched] = [nativeKernels, tensorflowKernels].map(({ packedAttention }) => {
      const attention = packedAttention(places, [window], heads / kvHeads);
      return valueAndGradients((q, k, v) => attention(q, k, v, window));
    }) as [Float32Array[], Float32Array[]];
    expect(Math.abs(own[0]![0]! - batched[0]![0]!)).toBeLessThan(1e-3); // a sum of some 10^4 numbers
    for (const i of [1, 2, 3]) expect(largestDifference(own[i]!, batched[i]!)).toBeLessThan(1e-5);
  });
});

let unlimited: ReturnType<typeof runSftStep>["out"]["gradients"] | undefined;

// There is a copy for each: 16 floats at once, 8, and whatever the compiler does without.
test.skipIf(backend.isUsingGpuDevice).each(["AVX2", "SSE41"])(
  "with %s alone a step's gradients are the same up to rounding",
  (isa) => {
    unlimited ??= runSftStep("float32").out.gradients;
    const { out: limited } = runSftStep("float32", { ONEDNN_MAX_CPU_ISA: isa });
    for (const [name, gradient] of Object.entries(unlimited))
      expect(relativeDistance(limited.gradients[name]!, gradient), name).toBeLessThan(1e-5);
  },
);
