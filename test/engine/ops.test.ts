import { describe, expect, test } from "vitest";
import { logProbabilityOf, rmsNorm, swiGlu } from "../../src/engine/kernels/kernels.ts";
import { nativeKernels } from "../../src/engine/kernels/native.ts";
import { tensorflowKernels } from "../../src/engine/kernels/tensorflow.ts";
import type { Kernels } from "../../src/engine/kernels/types.ts";
import {
  attend,
  biasWhere,
  entropyOf,
  gatherRows,
  greedyClasses,
  linear,
  sampleClasses,
  sumRows,
} from "../../src/engine/ops.ts";
import { backend, op, readAndDispose, type Tensor, tf } from "../../src/engine/tf.ts";
import { largestDifference } from "../support/golden.ts";

const random = (seed: number, ...shape: number[]): Tensor =>
  tf.randomNormal(shape, 0, 1, "float32", seed);
const values = (tensor: Tensor) => [...tensor.dataSync()];

/** The largest error of the gradients of sum(weights · f(inputs)) against central differences. */
function gradientError(f: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[]): number {
  const weights = random(99, ...f(...inputs).shape);
  const loss = (...xs: Tensor[]) => tf.sum(tf.mul(f(...xs), weights));
  const { grads } = tf.engine().gradients(() => loss(...inputs), [...inputs]);
  const step = 1e-2;
  let worst = 0;
  inputs.forEach((input, k) => {
    const at = values(input);
    const analytic = values(grads[k]!);
    const moved = (i: number, by: number) => {
      const changed = tf.tensor(
        at.map((x, j) => (j === i ? x + by : x)),
        input.shape,
      );
      return loss(...inputs.map((x, j) => (j === k ? changed : x))).dataSync()[0]!;
    };
    at.forEach((_, i) => {
      const numeric = (moved(i, step) - moved(i, -step)) / (2 * step);
      worst = Math.max(worst, Math.abs(numeric - analytic[i]!) / (1 + Math.abs(numeric)));
    });
  });
  return worst;
}

describe("gradients equal central differences", () => {
  const indices = tf.tensor1d([1, 1, 0], "int32");
  const [cos, sin] = [random(1, 3, 1, 4), random(2, 3, 1, 4)];
  const order = tf.range(0, 3, 1, "int32");
  const causal = biasWhere(tf.greaterEqual(tf.reshape(order, [3, 1]), order));
  test.each([
    { name: "linear", f: linear, inputs: [random(3, 3, 4), random(4, 5, 4)] },
    {
      name: "gatherRows",
      f: (table: Tensor) => gatherRows(table, indices),
      inputs: [random(5, 3, 2)],
    },
    { name: "sumRows", f: (x: Tensor) => sumRows(x, indices, 4), inputs: [random(15, 3, 2)] },
    { name: "entropyOf", f: entropyOf, inputs: [random(16, 3, 4)] },
    {
      name: "attend",
      f: (q: Tensor, k: Tensor, v: Tensor) => attend(q, k, v, causal),
      inputs: [random(9, 2, 2, 3, 4), random(10, 2, 2, 3, 4), random(11, 2, 2, 3, 4)],
    },
  ])("$name", ({ f, inputs }) => {
    expect(gradientError(f as (...xs: Tensor[]) => Tensor, inputs)).toBeLessThan(1e-3);
  });

  const sets = { ...(!backend.isUsingGpuDevice && { nativeKernels }), tensorflowKernels };
  describe.each(Object.entries(sets))("%s", (_, { rmsNorm, rotate, swiGlu, logProbabilityOf }) => {
    test.each([
      {
        name: "rmsNorm",
        f: (x: Tensor, w: Tensor) => rmsNorm(x, w, 1e-5),
        inputs: [random(6, 3, 4), random(7, 4)],
      },
      { name: "rotate", f: (x: Tensor) => rotate(x, cos, sin), inputs: [random(8, 3, 2, 4)] },
      { name: "swiGlu", f: swiGlu, inputs: [random(12, 3, 4), random(13, 3, 4)] },
      {
        name: "logProbabilityOf",
        f: (x: Tensor) => logProbabilityOf(x, indices),
        inputs: [random(14, 3, 4)],
      },
    ])("$name", ({ f, inputs }) => {
      expect(gradientError(f as (...xs: Tensor[]) => Tensor, inputs)).toBeLessThan(1e-3);
    });
  });
});

test("entropyOf: even odds of four are log 4, certainty is 0, and the other side of a coin of 1/4 is known", () => {
  const [even, sure, coin] = readAndDispose([
    entropyOf(
      tf.tensor2d([
        [7, 7, 7, 7],
        [0, 200, 0, 0],
        [0, Math.log(3), -200, -200],
      ]),
    ),
  ])[0]!;
  expect(even).toBeCloseTo(Math.log(4), 6);
  expect(sure).toBeCloseTo(0, 12);
  expect(coin).toBeCloseTo(0.25 * Math.log(4) + 0.75 * Math.log(4 / 3), 6);
});

test("sumRows adds up what belongs together, and is 0 where nothing does", () => {
  const sums = sumRows(tf.tensor1d([1, 2, 4]), tf.tensor1d([2, 0, 2], "int32"), 4);
  expect([...sums.dataSync()]).toEqual([2, 0, 5, 0]);
});

// Sizes: a multiple of a vector and none; rows of one task and of many, the last one not full. For each instruction set
// test/model/attention.test.ts compares whole steps.
describe.skipIf(backend.isUsingGpuDevice).each([
  { rows: 5, columns: 48 },
  { rows: 701, columns: 390 }, // enough for two threads
])("native kernels are TensorFlow's, $rows x $columns", ({ rows, columns }) => {
  const [x, y] = [random(21, rows, columns), random(22, rows, columns)];
  const vectors = tf.reshape(x, [rows, 3, columns / 3]);
  const angles = [23, 24].map((seed) => random(seed, rows, 1, columns / 3)) as [Tensor, Tensor];
  const classes = tf.tensor1d(
    Array.from({ length: rows }, (_, i) => (7 * i) % columns),
    "int32",
  );
  const large = tf.mul(x, 20); // as logits, and where the logistic function is 0 or 1
  test.each([
    {
      name: "rmsNorm",
      of:
        ({ rmsNorm }: Kernels) =>
        (x: Tensor, w: Tensor) =>
          rmsNorm(x, w, 1e-5),
      inputs: [x, random(25, columns)],
    },
    {
      name: "rotate",
      of:
        ({ rotate }: Kernels) =>
        (x: Tensor) =>
          rotate(x, ...angles),
      inputs: [vectors],
    },
    { name: "swiGlu", of: ({ swiGlu }: Kernels) => swiGlu, inputs: [large, y] },
    {
      name: "logProbabilityOf",
      of:
        ({ logProbabilityOf }: Kernels) =>
        (x: Tensor) =>
          logProbabilityOf(x, classes),
      inputs: [large],
    },
  ])("$name", ({ of, inputs }) => {
    const valueAndGradients = (f: (...inputs: Tensor[]) => Tensor) => {
      const value = f(...inputs);
      const upstream = random(26, ...value.shape);
      const loss = () => tf.sum(tf.mul(f(...inputs), upstream));
      return readAndDispose([value, ...tf.engine().gradients(loss, inputs).grads]);
    };
    const own = valueAndGradients(of(nativeKernels) as typeof linear);
    valueAndGradients(of(tensorflowKernels) as typeof linear).forEach((expected, i) => {
      expect(largestDifference(own[i]!, expected)).toBeLessThan(1e-4);
    });
  });
});

test("gradients of equal logits are those of equal probabilities, however large the logits are", () => {
  const logits = tf.fill([1, 4096], 1e9);
  const classes = tf.tensor1d([0], "int32");
  const { grads } = tf
    .engine()
    .gradients(() => tf.sum(logProbabilityOf(logits, classes)), [logits]);
  const [gradient] = readAndDispose(grads);
  expect(gradient![0]).toBeCloseTo(1 - 1 / 4096, 6);
  expect(gradient![1]).toBeCloseTo(-1 / 4096, 9);
});

test("swiGlu of a gate that is far below zero is 0", () => {
  const [gated] = readAndDispose([swiGlu(tf.tensor2d([[-1e30, -100]]), tf.ones([1, 2]))]);
  expect(gated!.map(Math.abs)).toEqual(new Float32Array([0, 0]));
});

test.skipIf(backend.isUsingGpuDevice)("ops of our own refuse inputs that do not fit", () => {
  const run = (name: string, ...inputs: Tensor[]) => readAndDispose([op(name, [], inputs)]);
  const [matrix, vector, epsilon] = [tf.ones([2, 8]), tf.ones([8]), tf.scalar(1e-5)];
  expect(() => run("LlamaNorm", vector, vector, epsilon)).toThrow("expected a matrix as input 0");
  expect(() => run("LlamaNorm", matrix, tf.ones([7]), epsilon)).toThrow(
    "input 1: expected 8 numbers, found 7",
  );
  expect(() => run("LlamaNorm", matrix, vector, tf.ones([0]))).toThrow(
    "input 2: expected 1 numbers, found 0",
  );
});

// On a GPU TensorFlow gives NaN in place of an error, as it documents.
test.skipIf(backend.isUsingGpuDevice)("logProbabilityOf refuses a class that has no logit", () => {
  const classes = tf.tensor1d([2], "int32");
  expect(() => logProbabilityOf(tf.tensor2d([[0, 1]]), classes)).toThrow("no logit");
});

test("rmsNorm divides by the root of the mean square", () => {
  // mean of squares (9 + 16) / 2 = 12.5
  const out = rmsNorm(tf.tensor2d([[3, 4]]), tf.tensor1d([1, 2]), 0);
  expect(out.dataSync()[0]).toBeCloseTo(3 / Math.sqrt(12.5), 6);
  expect(out.dataSync()[1]).toBeCloseTo(8 / Math.sqrt(12.5), 6);
});

test("logProbabilityOf is the log of the softmax", () => {
  // exp(0) + exp(ln 3) = 4
  const out = logProbabilityOf(tf.tensor2d([[0, Math.log(3)]]), tf.tensor1d([1], "int32"));
  expect(out.dataSync()[0]).toBeCloseTo(Math.log(0.75), 6);
});

test("sampleClasses inverts the cumulative distribution, and never leaves the classes", () => {
  // probabilities 1/4, 1/2, 1/4
  const row = [0, Math.log(2), 0];
  const uniforms = [0, 0.24, 0.26, 0.74, 0.76, 1 - 2 ** -24];
  const logits = tf.tensor2d(uniforms.map(() => row));
  expect(values(sampleClasses(logits, tf.tensor1d(uniforms)))).toEqual([0, 0, 1, 1, 2, 2]);
  expect(values(sampleClasses(tf.tensor2d([[0, -200]]), tf.tensor1d([1])))).toEqual([1]);
});

test("sampleClasses gives no class of probability 0 a chance at the left end", () => {
  expect(values(sampleClasses(tf.tensor2d([[-200, 0]]), tf.tensor1d([0])))).toEqual([1]);
});

test("greedyClasses takes the first of the largest", () => {
  expect(
    values(
      greedyClasses(
        tf.tensor2d([
          [1, 5, 5],
          [2, 1, 0],
        ]),
      ),
    ),
  ).toEqual([1, 0]);
});
