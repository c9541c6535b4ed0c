// What a full disk or a wrong --output does to the commands that write many files.
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { main } from "../../src/cli.ts";
import { takeLock } from "../../src/run/lock.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { fakeSandbox } from "../support/fakeSandbox.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { writeTinyData, writeTinyModel } from "../support/tiny.ts";

vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () => fakeSandbox(() => ({ kind: "answer", value: 1 })),
}));

const home = temporaryFolder();
const [model, data] = [join(home, "model"), join(home, "train.jsonl")];
writeTinyModel(model, writeTinyData(home, 4));

const said = captureOutput();
let folder = "";
beforeEach(() => {
  folder = temporaryFolder();
});

const asking = ["--model", model, "--data", data, "--samples", "2", "--max-new-tokens", "2"];
const run = ["run", "--config", "configs/tiny/recipe.yaml"];

async function expectOneLine(command: readonly string[], output: string): Promise<void> {
  expect(await main([...command, "--output", output]), said.stderr).toBe(1);
  expect(said.stderr).toMatch(new RegExp(`^reft ${command[0]}: .*\n$`, "m")); // after the progress
  expect(said.stderr).not.toContain("    at ");
}

test.each([
  ["run", run, "taken"],
  ["run", run, "taken/run"],
  ["evaluate", ["evaluate", ...asking], "taken"],
  ["sample", ["sample", ...asking], "taken/samples.jsonl"],
])("%s with --output in the place of a file says so", async (_, command, output) => {
  writeFileSync(join(folder, "taken"), "");
  await expectOneLine(command, join(folder, output));
  expect(said.stderr).toContain(`'${join(folder, output.replace("/samples.jsonl", ""))}'`);
  expect(said.stderr).toContain("a file stands where a folder is expected; give another path");
});

test("evaluate leaves a folder alone that another process writes into", async () => {
  const output = join(folder, "out");
  mkdirSync(output);
  const giveBack = takeLock(join(output, "run.lock"));
  await expectOneLine(["evaluate", ...asking], output);
  expect(said.stderr).toContain("run.lock: in use by process");
  expect(readdirSync(output)).toEqual(["run.lock"]);
  giveBack();
});

// Writing to this device fails as writing to a full disk does.
describe.skipIf(!existsSync("/dev/full"))("on a full disk", () => {
  test.each([
    ["run", run, "out", "out/.run.lock"],
    ["evaluate", ["evaluate", ...asking], "out", "out/.run.lock"],
    ["sample", ["sample", ...asking], "out/samples.jsonl", "out/.samples.jsonl.lock"],
  ])("%s says what to do, and leaves nothing half written", async (_, command, output, lock) => {
    mkdirSync(join(folder, "out"));
    symlinkSync("/dev/full", join(folder, `${lock}.${process.pid}.tmp`));
    await expectOneLine(command, join(folder, output));
    expect(said.stderr).toContain("ENOSPC");
    expect(said.stderr).toContain(`'${join(folder, lock)}.${process.pid}.tmp'`);
    expect(said.stderr).toContain("free some space and try again");
    expect(readdirSync(join(folder, "out"))).toEqual([]);
  });
});
