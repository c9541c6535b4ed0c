import { expect, test } from "vitest";
import { backend } from "../../src/engine/tf.ts";
import { largestDifference } from "../support/golden.ts";
import { processorHas } from "../support/processor.ts";
import { runFile } from "../support/runFile.ts";

interface Comparison {
  readonly name: string;
  readonly temperature: number;
  /** Sequences that are not the same, and those of them that do not begin to differ by one token's number. */
  readonly apart: number;
  readonly others: number;
  readonly difference: number;
  readonly isSameAsBf16: boolean;
  readonly first: readonly number[];
}

const compared = new Map<string, Comparison[]>();

/** What test/support/decodeSteps.ts prints; the same is asked for twice. */
function compareOps(precision: string, isa: string): Comparison[] {
  const key = `${precision} ${isa}`;
  const known = compared.get(key) ?? runComparison(precision, isa);
  compared.set(key, known);
  return known;
}

function runComparison(precision: string, isa: string): Comparison[] {
  const env = { ONEDNN_MAX_CPU_ISA: isa, TF_NUM_INTRAOP_THREADS: "3" };
  const { stdout, stderr } = runFile("test/support/decodeSteps.ts", [precision], env);
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

// Our own op against TensorFlow's ops, which GPUs use and which are tested against transformers. There is a copy of it for each: 16
// floats at once, 8, and whatever the compiler does without.
test.skipIf(backend.isUsingGpuDevice).each(["DEFAULT", "AVX2", "SSE41"])(
  "with instructions up to %s the own op samples what TensorFlow's ops sample",
  (isa) => {
    for (const result of compareOps("float32", isa)) {
      const { name, temperature, apart, others, difference } = result;
      const label = `${name} at ${temperature}`;
      expect(result.isSameAsBf16, label).toBe(true);
      expect(apart, label).toBeLessThanOrEqual(temperature > 0 ? 1 : 0); // of 33
      expect(others, label).toBe(0);
      expect(difference, label).toBeLessThan(2e-5);
    }
  },
);

const hasAmx = processorHas("AMX");
test.runIf(hasAmx && !backend.isUsingGpuDevice)("bf16 rounds what goes into products (AMX)", () => {
  const rounded = compareOps("bf16", "DEFAULT");
  for (const { name, isSameAsBf16 } of rounded) expect(isSameAsBf16, name).toBe(true);
  compareOps("float32", "DEFAULT").forEach(({ name, temperature, first }, i) => {
    if (temperature > 0) return; // a uniform number can fall on another token
    const difference = largestDifference(first, rounded[i]!.first);
    expect(difference, name).toBeLessThan(0.1);
    expect(difference, name).toBeGreaterThan(1e-3);
  });
});
