import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { backend } from "../../src/engine/tf.ts";
import { largestDifference } from "../support/golden.ts";
import { processorHas } from "../support/processor.ts";
import { runFile } from "../support/runFile.ts";

const binding = fileURLToPath(new URL("../../.engine/tfjs_binding.node", import.meta.url));

// GCC 12 computes with a vector that is larger than a register in memory, 16 bytes at a time through general registers. Results are
// right then and five times as slow, so nothing else would notice it. objdump comes with g++.
test.runIf(process.arch === "x64")("kernels keep their vectors in registers", () => {
  const { stdout, error } = spawnSync("objdump", ["-d", "--no-show-raw-insn", binding], {
    encoding: "utf8",
    maxBuffer: 1e9,
  });
  if (error) throw error;
  const count = (instructions: RegExp) => stdout.match(instructions)?.length ?? 0;
  const computed = count(/\tv?(?:fn?m(?:add|sub)\w*ps|mulps)\b/g);
  const moved = count(/\tv?(?:pinsrq|movq +%r\w+,%xmm)/g);
  expect(computed).toBeGreaterThan(1000);
  expect(moved / computed).toBeLessThan(0.15);
});

// Other tests hold the copies against each other by oneDNN's limit, and would hold one against itself if ours did not heed it. Copies
// of 8 and of 16 floats add in the same order, so they cannot be told apart by their results.
test.runIf(processorHas("AVX2") && !backend.isUsingGpuDevice)(
  "a processor with AVX2 takes another copy of the kernels than one without",
  () => {
    const [best, plain] = ["DEFAULT", "SSE41"].map((isa): number[] => {
      const env = { ONEDNN_MAX_CPU_ISA: isa };
      const { stdout, stderr } = runFile("test/support/ownAttention.ts", [], env);
      expect(stderr).toBe("");
      return JSON.parse(stdout);
    });
    expect(largestDifference(best!, plain!)).toBeLessThan(1e-5);
    expect(best).not.toEqual(plain);
  },
);
