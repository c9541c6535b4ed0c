import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Precision } from "../../src/config.ts";
import { batchMatMul, matMul, usePrecision } from "../../src/engine/products.ts";
import { backend, take, tf } from "../../src/engine/tf.ts";

interface SftStep {
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly number[]>>;
  readonly products: readonly number[];
}

/** What test/support/sftStep.ts prints, and what it says on stderr. */
function sftStep(
  precision: Precision,
  env: NodeJS.ProcessEnv = {},
): { out: SftStep; said: string } {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", "tsx", "test/support/sftStep.ts", precision],
    { encoding: "utf8", env: { ...process.env, ...env }, maxBuffer: 1e8 },
  );
  return { out: JSON.parse(stdout), said: stderr };
}

/** ‖a − b‖ / ‖b‖ */
function relativeDistance(a: readonly number[], b: readonly number[]): number {
  const norm = (values: readonly number[]) => Math.hypot(...values);
  return norm(a.map((x, i) => x - b[i]!)) / norm(b);
}

describe("bf16", () => {
  const hasAmx = /\bamx_bf16\b/.test(readFileSync("/proc/cpuinfo", "utf8"));

  test.runIf(hasAmx)("rounds products, forward and backward, and nothing is said", () => {
    const { out: exact } = sftStep("float32");
    const { out: rounded, said } = sftStep("bf16");
    expect(said).toBe("");
    // bf16 has 8 bits: a factor is off by 2^-9 at most, a gradient passes a few products.
    expect(Math.abs(rounded.loss / exact.loss - 1)).toBeLessThan(2 ** -9);
    for (const [name, gradient] of Object.entries(exact.gradients))
      expect(relativeDistance(rounded.gradients[name]!, gradient), name).toBeLessThan(2 ** -5);
    expect([exact.products, rounded.products]).toEqual([
      [64.125, 64.125],
      [64, 64],
    ]);
  });
});

test.skipIf(backend.isUsingGpuDevice)(
  "bf16 on a CPU without AMX, and tf32 on any, are float32, bit for bit, which is said in one line",
  () => {
    const env = { ONEDNN_MAX_CPU_ISA: "AVX2" };
    const { out: float32 } = sftStep("float32", env);
    for (const precision of ["bf16", "tf32"] as const) {
      const { out, said } = sftStep(precision, env);
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
    expect(take([product(x, ones)])[0]![0]).toBe(64 + 2 ** -6);
  expect(() => usePrecision("float32")).not.toThrow();
  expect(() => usePrecision("bf16")).toThrow("this process computes in float32 already");
});
