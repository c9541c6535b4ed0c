// Tests that two runs of the same steps are equal bit for bit.
import { test } from "vitest";
import { backend } from "../../src/engine/tf.ts";

/** Skipped on a GPU: its kernels add in no fixed order, so two runs differ in rounding. */
export const testEqualRuns = test.skipIf(backend.isUsingGpuDevice);
