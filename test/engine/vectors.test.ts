import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

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
