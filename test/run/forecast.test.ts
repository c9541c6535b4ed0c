// Forecasts of memory, held against what runs have had.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { tf, usesNativeOps } from "../../src/engine/tf.ts";
import { plainLlama } from "../../src/model/families.ts";
import { becomeRank } from "../../src/ranks.ts";
import { type Forecast, forecastOf, togetherOf, type Workload } from "../../src/run/forecast.ts";
import { peakMegabytes, watchMemory } from "../../src/run/memoryWatch.ts";
import { describeFit, describeForecast } from "../../src/tasks/forecastPage.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { runFile } from "../support/runFile.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { tinySft, writeTinyData } from "../support/tiny.ts";

vi.mock("../../src/run/machineMemory.ts", async (original) => ({
  ...(await original<object>()),
  machineMemory: () => ({ total: 8e9, free: 6e9, where: "container" }),
}));

const said = captureOutput();
const home = temporaryFolder();
writeTinyData(home, 24);

/** Shapes of a model that is made anew, and the batches that it learns. */
const shapes = {
  tiny: [{ vocabSize: 1024, dim: 128, layers: 3, heads: 4, kvHeads: 4, ffnDim: 352 }, 4096],
  // 17 M weights, whose gradients and moments are most of it
  larger: [{ vocabSize: 4000, dim: 512, layers: 4, heads: 8, kvHeads: 8, ffnDim: 1408 }, 512],
} as const;

test.skipIf(!usesNativeOps).each(Object.entries(shapes))(
  "the peak of a run is what the forecast said: %s",
  (name, [shape, microBatchTokens]) => {
    const usual = tinySft(home);
    const isTiny = name === "tiny";
    const config = {
      ...usual,
      model: {
        scratch: {
          ...usual.model.scratch,
          ...shape,
          tieEmbeddings: isTiny,
        },
      },
      training: { ...usual.training, batchSize: 24, microBatchTokens },
      evaluation: { ...usual.evaluation, slots: isTiny ? 128 : 8 },
    };
    const file = join(home, `${name}.yaml`);
    writeFileSync(file, stringify(config));
    const { stdout, stderr } = runFile("test/support/peakOfTrial.ts", [file, join(home, name)]);
    expect(stdout, stderr).not.toBe("");
    const { forecast, peak } = JSON.parse(stdout);
    expect(peak / forecast).toBeGreaterThan(0.88);
    expect(peak / forecast).toBeLessThan(1.12);
  },
);

const workload: Workload = {
  config: {
    ...plainLlama,
    ...{ vocabSize: 32_016, dim: 4096, layers: 32, heads: 32, kvHeads: 32, headDim: 128 },
    ...{ ffnDim: 11_008, normEpsilon: 1e-5, ropeTheta: 1e6, ropeScaling: null, eosIds: [2] },
    ...{ tieEmbeddings: false, maxPositions: 16_384, initializerStd: 0.02 },
  },
  ...{ heldAs: "bf16", adapter: { rank: 16, alpha: 32, targets: ["q_proj"] } },
  ...{ reference: "none", headCount: 0, classes: 32_016, guests: 1 },
  training: {
    batches: [{ rows: 1, rowLength: 256, predictions: 128 }],
    ...{ recompute: true, logitsCopies: 2, shardOptimizer: false },
  },
  scored: [],
  generators: [{ slots: 2, capacity: 384 }],
};
const partOf = ({ parts }: Forecast, name: string) =>
  Math.round(parts.find((part) => part.name.startsWith(name))!.bytes / 1e6);

describe("a forecast", () => {
  test("has the sizes that follow from the shape alone", () => {
    const forecast = forecastOf(workload);
    expect(forecast.parameters).toBe(6_738_546_688);
    expect(forecast.trained).toBe(32 * 16 * 2 * 4096);
    expect(partOf(forecast, "weights")).toBe(13_478); // as the files are
    expect(partOf(forecast, "moments")).toBe(34);
    // With the gradients stands what the update takes for a moment, 8 bytes a weight.
    const full = forecastOf({ ...workload, heldAs: "float32", adapter: undefined });
    expect(["weights", "gradients", "moments"].map((name) => partOf(full, name))).toEqual([
      26_954, 80_863, 53_908,
    ]);
    expect(partOf(forecast, "keys and values")).toBe(805); // 1.05 MB per token
    expect(forecast.bytes).toBe(forecast.parts.reduce((sum, { bytes }) => sum + bytes, 0));
  });

  test("grows with what takes memory, and only with that", () => {
    const bytesOf = (changes: Partial<Workload>) => forecastOf({ ...workload, ...changes }).bytes;
    const { training } = workload;
    const batches = [{ rows: 1, rowLength: 1024, predictions: 512 }];
    const now = bytesOf({});
    expect(bytesOf({ heldAs: "float32" })).toBeGreaterThan(now + 12e9);
    expect(bytesOf({ reference: "weights" })).toBeGreaterThan(now + 26e9);
    expect(bytesOf({ training: { ...training!, batches } })).toBeGreaterThan(now + 0.4e9);
    const kept = bytesOf({ training: { ...training!, recompute: false } });
    expect(kept).toBeGreaterThan(now + 1e9);
    expect(bytesOf({ generators: [{ slots: 1, capacity: 384 }] })).toBeLessThan(now - 0.3e9);
    const rounded = { slots: 2, capacity: 384, kvCacheDtype: "bf16" } as const;
    expect(bytesOf({ generators: [rounded] })).toBe(now - 32 * 2 * 384 * 4096 * 4); // half of the cache
    expect(bytesOf({ guests: 8 })).toBe(now);
  });
});

test("a forecast among ranks is that of each, and the machine has to hold all that it has", () => {
  const { training } = workload;
  const alone = forecastOf(workload);
  becomeRank({ rank: 1, hosts: ["[fd00::1]:7000", "[fd00::1]:7001", "b:7000"] }, (own) => [own]);
  const { processes, ...among } = forecastOf(workload);
  const shared = forecastOf({ ...workload, training: { ...training!, shardOptimizer: true } });
  becomeRank({ rank: 0, hosts: [""] }, (own) => [own]);
  expect(processes).toBe(2);
  expect(togetherOf(shared)).toBe(2 * (shared.bytes + shared.guests));
  expect(partOf(among as Forecast, "exchange")).toBeGreaterThan(45);
  expect(among.bytes).toBeGreaterThan(alone.bytes);
  expect([alone, shared].map((forecast) => partOf(forecast, "moments"))).toEqual([34, 11]);
  expect(describeForecast("SFT", shared, [])[1]).toBe(
    "memory at the most, in 10^6 bytes, of each of 2 ranks:",
  );
});

describe("what the machine has", () => {
  const forecast = forecastOf(workload);

  test("is said before a run that takes more, which runs all the same", () => {
    watchMemory(forecast);
    expect(said.error).toMatch(
      /^warning: this run will take about 1[678]\.\d GB of memory, but the container has 8\.0 GB/,
    );
  });

  test("is said by --dry-run with what takes less", () => {
    const machine = { total: 8e9, free: 6e9, where: "container" } as const;
    const saving = { text: "rollout.slots 128 -> 32", bytes: 1.2e9 };
    expect(describeFit(forecast, machine, [saving]).join("\n")).toMatch(
      /^DOES NOT FIT: 1[678]\.\d GB are wanted, the container has 8\.0 GB, of which 6\.0 GB are free now\nwhat would take less:\n {2}rollout\.slots 128 -> 32 saves 1\.2 GB$/,
    );
    const fits = { ...machine, total: 64e9, free: 32e9 };
    expect(describeFit(forecast, fits, [saving])).toEqual([
      "fits: the container has 64.0 GB, of which 32.0 GB are free now",
    ]);
  });

  test.runIf(process.platform === "linux")("a peak is that since the run began", () => {
    tf.tidy(() => void tf.ones([1e8]).sum().dataSync()); // given back at once
    const before = peakMegabytes();
    watchMemory(forecast);
    expect(peakMegabytes()).toBeLessThan(before - 300);
  });

  test("a peak that was not foreseen is said, unless the process did other things before", () => {
    const usage = process.resourceUsage();
    const peaks = [300e6, 0.99 * forecast.bytes];
    const maxRSS = () => peaks.shift()! / 1024;
    const spy = vi
      .spyOn(process, "resourceUsage")
      .mockImplementation(() => ({ ...usage, maxRSS: maxRSS() }));
    watchMemory(forecast).report();
    expect(said.error).not.toContain("memory:");
    peaks.push(300e6, 1.2 * forecast.bytes);
    watchMemory(forecast).report();
    expect(said.error).toMatch(/memory: \d+ MB at the most, more than the forecast of \d+ MB/);
    said.error = "";
    peaks.push(3e9, 1.2 * forecast.bytes);
    watchMemory(forecast).report();
    expect(said.error).not.toContain("memory:");
    spy.mockRestore();
  });
});
