// What the first steps after a start cost: the benchmark's work for medium, cut to one sequence, so that little is left
// but tracing and compiling.
//   npx tsx scripts/bench/firstStep.ts
import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { markdownTable } from "../../src/evaluate/tables.ts";
import { readOptions, runScript } from "../script.ts";
import { modelFolder, startOurs, writeJob } from "./common.ts";
import { drawBatches, jobOf, type Work, works } from "./workloads.ts";

const model = "medium";
const names = ["sft-full", "rollout-full", "reft", "rerank"];
const steps = 4;

/** Seconds of each step, and how many functions were traced in all. */
async function measure(work: Work, threads: number): Promise<string[]> {
  const sequence = drawBatches(work, model)[0]![0]!;
  const settings = { model: modelFolder(model), threads, precision: "float32" } as const;
  const jobPath = writeJob(jobOf(work, [[sequence]], settings));
  const side = startOurs(jobPath, threads);
  try {
    const seconds = [];
    for (let step = 0; step < steps; step++)
      seconds.push((await side.ask({ do: "step" })).seconds!);
    const { traces } = await side.ask({ do: "usage" });
    return [work.name, seconds.map((one) => one.toFixed(1)).join(", "), `${traces}`];
  } finally {
    await side.close();
    rmSync(jobPath);
  }
}

readOptions("npx tsx scripts/bench/firstStep.ts", {});
await runScript("firstStep", async () => {
  const rows = [];
  for (const work of works.filter(({ name }) => names.includes(name)))
    rows.push(await measure(work, availableParallelism()));
  console.log(markdownTable([["work", `seconds of the first ${steps} steps`, "traced"], ...rows]));
});
