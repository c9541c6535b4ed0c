// One rank of scripts/bench/ranks.ts: updates the weights of a model with gradients of zeros, and prints the seconds of an update.
import { AdamW } from "../../src/engine/optimizer.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { createModel } from "../../src/model/model.ts";
import { isLeader } from "../../src/ranks.ts";
import { Rng } from "../../src/rng.ts";
import { amongRanks } from "../../src/run/amongRanks.ts";
import { runScript } from "../script.ts";
import { median } from "./report.ts";

/** The first one traces. */
const rounds = 6;

const [folder = ""] = process.argv.slice(2);

await runScript("exchange", () =>
  amongRanks(async () => {
    const { parameters } = createModel(readModelConfig(folder), Rng.named(1, "weights"));
    const options = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 };
    const adamW = new AdamW([{ variables: [...parameters.values()] }], options);
    const seconds = Array.from({ length: rounds }, () => {
      const startedAt = performance.now();
      adamW.update([1e-5]);
      return (performance.now() - startedAt) / 1000;
    });
    if (isLeader()) console.log(median(seconds.slice(1)));
  }),
);
