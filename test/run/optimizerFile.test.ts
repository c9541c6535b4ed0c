import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AdamW } from "../../src/engine/optimizer.ts";
import { Variable } from "../../src/engine/variable.ts";
import { loadOptimizer, saveOptimizer } from "../../src/run/optimizerFile.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const options = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 };
const optimizerOf = (shape: readonly number[]) =>
  new AdamW([{ variables: [new Variable("w", shape)] }], options);

test("the state of another model's optimizer is refused", async () => {
  const folder = temporaryFolder();
  saveOptimizer(optimizerOf([2, 3]), folder);
  const loading = () => loadOptimizer(optimizerOf([4]), folder);
  expect(await userErrorOf(loading)).toContain(
    "expected the shape [4], found [2,3]; it belongs to",
  );
  writeFileSync(join(folder, "optimizer.json"), '{"steps":[1,1]}');
  expect(await userErrorOf(loading)).toContain('"steps": expected 1 numbers, found 2; it belongs');
});
