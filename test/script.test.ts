import { expect, test } from "vitest";
import { runFile } from "./support/runFile.ts";

test.each([
  ["--nope", "--rounds", "Unknown argument: nope"],
  ["--models=huge", "tiny, small, medium", "found huge"],
])("bench %s says what is wrong and what there is, without a stack", (mistake, ...texts) => {
  const { status, stderr } = runFile("scripts/bench/bench.ts", [mistake]);
  expect(status).toBe(1);
  for (const text of texts) expect(stderr).toContain(text);
  expect(stderr).not.toContain("\n    at ");
});
