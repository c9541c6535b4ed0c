import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

test.each([
  ["--nope", "--rounds", "Unknown argument: nope"],
  ["--models=huge", "tiny, small, medium", "found huge"],
])("bench %s says what is wrong and what there is, without a stack", (mistake, ...texts) => {
  const args = ["--import", "tsx", "scripts/bench/bench.ts", mistake];
  const { status, stderr } = spawnSync("node", args, { encoding: "utf8" });
  expect(status).toBe(1);
  for (const text of texts) expect(stderr).toContain(text);
  expect(stderr).not.toContain("\n    at ");
});
