import { describe, expect, test } from "vitest";
import { batchMatMul, matMul, usePrecision } from "../../src/engine/products.ts";
import { backend, op, readAndDispose, type Tensor, tf } from "../../src/engine/tf.ts";
import { processorHas } from "../support/processor.ts";
import { relativeDistance, runSftStep } from "../support/runSftStep.ts";

describe("bf16", () => {
  const hasAmx = processorHas("AMX");

  test.runIf(hasAmx && !backend.isUsingGpuDevice)(
    "rounds products, forward and backward, and nothing is said (AMX)",
    () => {
      const { out: exact } = runSftStep("float32");
      const { out: rounded, said } = runSftStep("bf16");
      expect(said).toBe("");
      // bf16 has 8 bits: a factor is off by 2^-9 at most, a gradient passes a few products.
      expect(Math.abs(rounded.loss / exact.loss - 1)).toBeLessThan(2 ** -9);
      for (const [name, gradient] of Object.entries(exact.gradients))
        expect(relativeDistance(rounded.gradients[name]!, gradient), name).toBeLessThan(2 ** -5);
      expect([exact.products, rounded.products]).toEqual([
        [64.125, 64.125],
        [64, 64.125],
      ]);
      expect(rounded.difference).toBeLessThan(1e-5); // of numbers around 1
      expect(exact.difference).toBeGreaterThan(1e-3);
    },
  );

  test.runIf(hasAmx && !backend.isUsingGpuDevice)(
    "products of no numbers are 0, and only matrices have one (AMX)",
    () => {
      const product = (...factors: Tensor[]) =>
        readAndDispose([op("RoundedProduct", [], factors)])[0]!;
      expect(product(tf.ones([2, 0]), tf.ones([0, 3]))).toEqual(new Float32Array(6));
      for (const shape of [[64], [2, 64, 64]])
        expect(() => product(tf.ones(shape), tf.ones([64, 64]))).toThrow("expected two matrices");
    },
  );

  test.runIf(backend.isUsingGpuDevice)("is float32 on a GPU, which is said", () => {
    const { out, said } = runSftStep("bf16");
    expect(said).toContain("precision bf16 brings nothing here: products stay float32");
    expect(out.products).toEqual([64.125, 64.125]);
  });
});

test.skipIf(backend.isUsingGpuDevice)(
  "bf16 on a CPU without AMX, and tf32 on any, are float32, bit for bit, which is said in one line",
  () => {
    const env = { ONEDNN_MAX_CPU_ISA: "AVX2" };
    const { out: float32 } = runSftStep("float32", env);
    for (const precision of ["bf16", "tf32"] as const) {
      const { out, said } = runSftStep(precision, env);
      expect(said).toContain(`precision ${precision} brings nothing here: products stay float32`);
      expect(said.trimEnd().split("\n")).toHaveLength(1);
      expect(out).toEqual(float32);
    }
  },
);

test("a process that has made products keeps their precision, float32 unless told otherwise", () => {
  const x = tf.fill([64, 64], 1 + 2 ** -12); // more bits than bf16 and TF32 have
  const ones = tf.onesLike(x);
  for (const product of [matMul, batchMatMul])
    expect(readAndDispose([product(x, ones)])[0]![0]).toBe(64 + 2 ** -6);
  expect(() => usePrecision("float32")).not.toThrow();
  expect(() => usePrecision("bf16")).toThrow(
    "expected precision float32, in which this process computes already",
  );
});
