// A rank of two whose weights are not those of the other one: driftingRank.ts FOLDER, with REFT_RANK and REFT_HOSTS.
import { amongRanks } from "../../src/run/amongRanks.ts";
import { openRun } from "../../src/run/run.ts";
import { runSteps } from "../../src/run/steps.ts";
import { tinyConfig, untrained } from "./runs.ts";

const [folder] = process.argv.slice(2);
const plan = {
  ...{ label: "Test", totalSteps: 3, stepsPerEpoch: 3, measuresStart: false },
  ...{ measureEverySteps: 3, saveEverySteps: 1 },
  memory: { forecastMegabytes: 1, report: () => {} },
};
let taken = 0;
try {
  await amongRanks(async () => {
    using run = openRun(folder!, tinyConfig);
    const interrupts = { requested: async () => false, [Symbol.asyncDispose]: async () => {} };
    await runSteps(run, interrupts, plan, {
      trained: { ...untrained, fingerprint: () => (taken < 2 ? "same" : process.env.REFT_RANK!) },
      step: () => ({ "test/steps": ++taken }),
      measure: () => ({ figures: {}, isBest: true }),
      save: () => {},
      state: () => ({}),
      shown: () => ({}),
    });
  });
} catch (error) {
  process.stderr.write(`ended: ${error instanceof Error ? error.message : error}\n`);
  process.exit(1);
}
process.exit(0);
