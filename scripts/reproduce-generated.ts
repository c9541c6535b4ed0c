// The measured comparison on generated problems, as in the README:
//   npx tsx scripts/reproduce-generated.ts [--steps 400] [--seeds 1,2,3] [--folder runs/generated]
// A stopped run goes on with the same command. Results: <folder>/seed-N/comparison.json and the table on standard output.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compare, type Row, runScript, table } from "./comparison.ts";

const { values } = parseArgs({
  options: {
    steps: { type: "string", default: "400" },
    seeds: { type: "string", default: "1,2,3" },
    folder: { type: "string", default: join("runs", "generated") },
  },
});
await runScript("reproduce-generated", async () => {
  const comparisons: Row[][] = [];
  for (const seed of values.seeds.split(",").map(Number)) {
    comparisons.push(
      await compare({
        seed,
        folder: join(values.folder, `seed-${seed}`),
        programs: 500,
        answers: 20_000,
        testQuestions: 1000,
        reftSteps: Number(values.steps),
        selfTraining: true,
      }),
    );
    console.log(`\nseeds so far: ${comparisons.length}\n${table(comparisons)}`);
  }
});
