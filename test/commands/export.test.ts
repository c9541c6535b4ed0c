// `reft export` from the command line to the files, for a run that trained a little.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { main } from "../../src/cli.ts";
import { resolveModelFolder, saveCheckpoint } from "../../src/run/checkpoint.ts";
import { openRun } from "../../src/run/run.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { tinyConfig } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { writeTinyAdapter, writeTinyData, writeTinyModel } from "../support/tiny.ts";

const home = temporaryFolder();
const [run, output] = [join(home, "run"), join(home, "output")];

const said = captureOutput();
beforeEach(() => {
  rmSync(output, { recursive: true, force: true });
});

/** A run whose best checkpoint is that of step 1, its last that of step 2. */
beforeAll(async () => {
  const problems = writeTinyData(home);
  using opened = openRun(run, tinyConfig);
  for (const step of [1, 2]) {
    const writeFiles = (folder: string) => writeTinyModel(folder, problems, { padId: step - 1 });
    await saveCheckpoint(opened, { step, isBest: step === 1, state: {}, writeFiles });
  }
});

function exportOf(checkpoint: string, ...flags: string[]): Promise<number> {
  return main(["export", "--checkpoint", checkpoint, "--output", output, ...flags]);
}

function configJson() {
  return JSON.parse(readFileSync(join(output, "config.json"), "utf8"));
}

test.each([
  ["a run's best checkpoint", "", 0],
  ["one checkpoint", "checkpoints/step-000002", 1],
  ["one checkpoint, in short", "step-000002", 1],
])("exports %s", async (_, path, padId) => {
  expect(await exportOf(join(run, path)), said.stderr).toBe(0);
  expect(configJson()).toMatchObject({ pad_token_id: padId, dtype: "float32" });
  expect(said.log).toContain("weights as f32 in 1 file, read back and equal.");
  expect(said.log).toContain("logits differ by at most 0, mean KL 0 nats, same choice at 100.0 %");
});

test("rounds and shards", async () => {
  expect(await exportOf(run, "--dtype", "bf16", "--max-shard-gigabytes", "0.000004")).toBe(0);
  expect(configJson()).toMatchObject({ torch_dtype: "bfloat16", dtype: "bfloat16" });
  expect(existsSync(join(output, "model.safetensors.index.json"))).toBe(true);
  expect(said.log).toMatch(/weights as bf16 in 3 files.* differ by at most 0\.\d+, mean KL \d/);
});

test.each([
  [["--max-shard-gigabytes", "0"], "--max-shard-gigabytes: expected more than 0, found 0"],
  [
    ["--dtype", "f8"],
    'Invalid values:\n  Argument: dtype, Given: "f8", Choices: "f32", "bf16", "f16"',
  ],
  [["--value-head"], "--value-head expects a checkpoint of train-reft"],
])("refuses %j", async (flags, message) => {
  expect(await exportOf(run, ...flags)).toBe(1);
  expect(said.stderr).toContain(message);
  expect(existsSync(output)).toBe(false);
});

test("writes a GGUF file, and a Modelfile beside it", async () => {
  expect(await exportOf(run, "--gguf", "--dtype", "f16", "--modelfile"), said.stderr).toBe(0);
  expect(said.log).toMatch(
    /MB, 11 tensors as f16 in model\.gguf, read back and equal\. Rounding moves/,
  );
  expect(readFileSync(join(output, "Modelfile"), "utf8")).toContain("FROM ./model.gguf");
  expect(readFileSync(join(output, "model.gguf")).subarray(0, 4).toString()).toBe("GGUF");
});

test.each([
  [["--dtype", "f32"], /The adapter is merged into the weights$/],
  [
    ["--dtype", "bf16"],
    /merged into the weights; rounding to bf16 is an error of \d+\.\d% of what it changes: f32 keeps it/,
  ],
  [["--gguf", "--dtype", "f16"], /merged into the weights; rounding to f16 is an error of \d/],
])("an adapter, %j: says what merging does", async (flags, text) => {
  const adapter = join(home, "adapter");
  writeTinyAdapter(adapter, resolveModelFolder(run), 0.1);
  expect(await exportOf(adapter, ...flags), said.stderr).toBe(0);
  expect(said.log).toMatch(text);
});

test.each([
  [["--dtype", "q8_0"], "--dtype q8_0: only a GGUF file has it; add --gguf"],
  [["--modelfile"], "--modelfile: only a GGUF file has it; add --gguf"],
  [["--gguf", "--value-head"], "--gguf: a GGUF file is one file without a value head"],
])("refuses %j, and leaves nothing", async (flags, message) => {
  expect(await exportOf(run, ...flags)).toBe(1);
  expect(said.stderr).toContain(message);
  expect(existsSync(output)).toBe(false);
});

test.each(["model.gguf", "x.Q8_0.GGUF", "model.safetensors"])(
  "makes no folder that is called %s",
  async (name) => {
    const args = ["export", "--checkpoint", run, "--gguf", "--output", join(home, name)];
    expect(await main(args)).toBe(1);
    expect(said.stderr).toMatch(/--output: expected a folder, .*: leave \.\w+ out\n$/);
    expect(existsSync(join(home, name))).toBe(false);
  },
);
