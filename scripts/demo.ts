// `npm run demo`: warm-up by SFT, then ReFT and its control on generated problems with a tiny model from scratch; minutes on two
// cores, no network. Ends with a table and where to look next. The measured comparison, three seeds, is reproduce-generated.ts.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { compare, table } from "./comparison.ts";
import { readOptions, runScript } from "./script.ts";

const folder = join("runs", "demo");
const start = performance.now();
const { again } = readOptions("npm run demo --", {
  again: { type: "boolean", default: false, describe: "Start over" },
});
await runScript("demo", async () => {
  if (again) rmSync(folder, { recursive: true, force: true });
  const rows = await compare({
    seed: 1,
    folder,
    programs: 500,
    answers: 20_000,
    testQuestions: 500,
    reftSteps: 40,
    selfTraining: false,
  });
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  console.log(`
${table([rows])}

${minutes} minutes. SFT learned from 500 programs; ReFT from 20,000 questions with answers, no programs. One seed and few steps:
docs/results/from-scratch.md has the measured comparison, with a control that is hard to beat: SFT on the model's own right programs. Where to look next:
  ${join(folder, "reft", "samples")}        what the model wrote at each evaluation, with what came of it
  ${join(folder, "reft", "metrics.jsonl")}  every figure of every step; docs/metrics.md explains them
  ${join(folder, "reft", "config.yaml")}    every setting; your own run: npx reft train-reft --config configs/tiny/reft.yaml --init ${join(folder, "warmup")}
  npm run demo -- --again              starts over`);
});
