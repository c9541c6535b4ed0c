// Keys and values that are kept as bf16, by the copy of native/decode.cc for each instruction set.
import { expect, test } from "vitest";
import { backend } from "../../src/engine/tf.ts";
import { createGenerator } from "../../src/generate/generate.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { goldenPath } from "../support/golden.ts";
import { processorHas } from "../support/processor.ts";
import { runFile } from "../support/runFile.ts";
import { userErrorOf } from "../support/runs.ts";

interface Comparison {
  readonly name: string;
  readonly isRounded: boolean;
  readonly isSame: boolean;
  /** Ascending. */
  readonly toRounded: readonly number[];
  readonly toExact: readonly number[];
}

/** What test/support/bf16Cache.ts prints. */
function compare(precision: string, isa: string): Comparison[] {
  const env = { ONEDNN_MAX_CPU_ISA: isa, TF_NUM_INTRAOP_THREADS: "2" };
  const { stdout, stderr } = runFile("test/support/bf16Cache.ts", [precision], env);
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

const median = (sorted: readonly number[]) => sorted[Math.floor(sorted.length / 2)]!;

test.skipIf(backend.isUsingGpuDevice).each(["DEFAULT", "AVX2", "SSE41"])(
  "with instructions up to %s a cache of bf16 gives what rounded keys and values give",
  (isa) => {
    for (const { name, isRounded, isSame, toRounded, toExact } of compare("float32", isa)) {
      expect({ isRounded, isSame }, name).toEqual({ isRounded: true, isSame: true });
      // Where a number lies on the border between two of bf16, the last bit of a sum decides.
      expect(median(toRounded), name).toBeLessThan(1e-5);
      expect(toRounded.at(-1)!, name).toBeLessThan(median(toExact));
    }
  },
);

const hasAmx = processorHas("AMX");
test.runIf(hasAmx && !backend.isUsingGpuDevice)(
  "so it does where products are rounded (AMX)",
  () => {
    for (const { name, isRounded, isSame } of compare("bf16", "DEFAULT"))
      expect({ isRounded, isSame }, name).toEqual({ isRounded: true, isSame: true });
  },
);

test.runIf(backend.isUsingGpuDevice)("a GPU refuses it by name", async () => {
  const model = loadModel(goldenPath("models", "multi-head"));
  const options = { slots: 2, maxTokens: 20, temperature: 0, kvCacheDtype: "bf16" } as const;
  expect(await userErrorOf(() => createGenerator(model, options))).toMatch(
    /kvCacheDtype: expected float32, because .* are for CPUs alone/,
  );
  disposeModel(model);
});
