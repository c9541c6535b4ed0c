import { defineConfig } from "vitest/config";
import { each, whole } from "./vitest.config.ts";

// The tests that need no set-up, only npm's packages, and a few seconds of processor time: npm run test:unit.
// Real data is left out, because reading all of it takes longer than all the rest.
process.env.REFT_DATA = "none";

export default defineConfig({
  test: {
    ...whole,
    ...each,
    include: [
      "test/{config,progress,rng,settingsSchema}.test.ts",
      "test/data/**/*.test.ts",
      "test/evaluate/*.test.ts",
      "test/formats/*.test.ts",
      "test/generate/slots.test.ts",
      "test/model/{config,configKeys,finite}.test.ts",
      "test/models/{ggufTokenizer,tokenizerToGguf}.test.ts",
      "test/ppo/{advantages,alarms,collapse,dynamicSampling,rewards,summary}.test.ts",
      "test/recipe/config.test.ts",
      "test/report/{completions,figures,page,read,serve,signs,thin}.test.ts",
      "test/rerank/{calibration,input}.test.ts",
      "test/reward/*.test.ts",
      "test/run/{inputs,machine,resume}.test.ts",
    ],
    exclude: [
      "test/data/tokenizer/differential.test.ts", // 12 s of processor time
      "test/reward/extractLong.test.ts", // 10 s of processor time
      "test/reward/programs.test.ts", // starts the sandbox
    ],
  },
});
