// Every example in a short form: its data, one epoch of its warm-up, two steps of ReFT with its reward, an evaluation.
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { main } from "../src/cli.ts";
import { captureOutput } from "./support/captureOutput.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";

const said = captureOutput();
const examples = readdirSync("examples").filter((name) => !name.includes("."));
/** Folders that an example's commands make beside its files. */
const made = ["data", "runs", "results"];
const setting = (...settings: string[]) => settings.flatMap((text) => ["--set", text]);

test.each(examples)("examples/%s", async (name) => {
  const folder = join(temporaryFolder(), name);
  const filter = (path: string) => !made.includes(basename(path));
  cpSync(join("examples", name), folder, { recursive: true, filter });
  const before = process.cwd();
  process.chdir(folder);
  try {
    expect(spawnSync(process.execPath, ["make-data.mjs"]).status).toBe(0);
    const short = setting("evaluation.questions=8", "evaluation.slots=8");
    expect(await main(["--epochs", "1", ...short], "train-sft"), said.stderr).toBe(0);
    const rollout = ["rollout.questionsPerStep=4", "rollout.slots=8", "ppo.miniBatchSize=16"];
    const steps = [...setting("training.maxSteps=2", ...rollout), ...short];
    expect(await main(steps, "train-reft"), said.stderr).toBe(0);
    const text = readFileSync(join("runs", "reft", "metrics.jsonl"), "utf8");
    const scores = text.match(/"reward\/score":[\d.]+/g);
    expect(scores).toHaveLength(2);
    const own = readdirSync(".").filter((file) => file.startsWith("reward."));
    const reward = own.flatMap((file) => ["--reward", file]);
    const evaluate = ["evaluate", "--questions", "8", "--max-new-tokens", "32", ...reward];
    expect(await main(evaluate), said.stderr).toBe(0);
  } finally {
    process.chdir(before);
  }
});
