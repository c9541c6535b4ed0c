// The measured comparison on generated problems, as in docs/results/from-scratch.md:
//   npx tsx scripts/reproduce-generated.ts
// A stopped run goes on with the same command. Results: <folder>/seed-N/comparison/ and the table on standard output.
import { join } from "node:path";
import { compare, type Row, table } from "./comparison.ts";
import { countFrom, readOptions, runScript } from "./script.ts";

const values = readOptions("npx tsx scripts/reproduce-generated.ts", {
  steps: { type: "string", default: "400", describe: "Of ReFT" },
  seeds: { type: "string", default: "1,2,3", describe: "One comparison each" },
  folder: {
    type: "string",
    default: join("runs", "generated"),
    describe: "Data, runs and results",
  },
});
await runScript("reproduce-generated", async () => {
  const comparisons: Row[][] = [];
  const reftSteps = countFrom("steps", values.steps);
  for (const seed of values.seeds.split(",").map((text) => countFrom("seeds", text))) {
    comparisons.push(
      await compare({
        seed,
        folder: join(values.folder, `seed-${seed}`),
        programs: 500,
        answers: 20_000,
        testQuestions: 1000,
        reftSteps,
        selfTraining: true,
      }),
    );
    console.log(`\nseeds so far: ${comparisons.length}\n${table(comparisons)}`);
  }
});
