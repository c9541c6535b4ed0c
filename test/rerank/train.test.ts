import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { main } from "../../src/cli.ts";
import type { RerankConfig } from "../../src/config.ts";
import { loadTokenizer } from "../../src/data/tokenizer.ts";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import {
  createClassifierScorer,
  disposeClassifier,
  loadClassifier,
} from "../../src/model/classifier.ts";
import { classifierSequences } from "../../src/rerank/input.ts";
import { trainRerank } from "../../src/rerank/train.ts";
import { readSampleGroups, type Sample } from "../../src/reward/samples.ts";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";
import { InterruptedError } from "../../src/run/interrupts.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { testEqualRuns } from "../support/equalRuns.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import {
  contentOf,
  interruptAfter,
  type MetricsLine,
  metricsOf,
  tinyRerank,
  tracedFunctionsOf,
  writeTinyData,
  writeTinyModel,
  writeTinySamples,
} from "../support/tiny.ts";

const home = temporaryFolder();
const said = captureOutput();
const folderOf = (name: string) => join(home, name);
const problems = writeTinyData(home);
writeTinyModel(folderOf("model"), problems);
writeTinySamples(home, problems);
const base = tinyRerank(home, folderOf("model"));
const { optimizer, training, data } = base;

/** Settings with other samples. */
function withSamples(name: string, edit: (sample: Sample, i: number) => Sample): RerankConfig {
  const samples = folderOf(`${name}.jsonl`);
  writeJsonl(samples, readSampleGroups(data.samples).flat().map(edit));
  return { ...base, data: { ...data, samples } };
}

describe("a run of 90 steps", () => {
  const long: RerankConfig = {
    ...base,
    data: { ...data, devSamples: data.samples },
    training: { ...training, epochs: 30, scheduleEpochs: 40 },
    evaluation: { everyEpochs: 10 },
  };
  const folder = folderOf("long");
  let lines: MetricsLine[] = [];
  let best = 0;
  beforeAll(async () => {
    best = await trainRerank(long, folder);
    lines = metricsOf(folder);
  });

  test("learns the samples by heart, and then ranks a right one first", () => {
    expect(lines.map((line) => line.step)).toEqual(Array.from({ length: 90 }, (_, i) => i + 1));
    expect(lines[89]!["rerank/loss"]).toBeLessThan(lines[0]!["rerank/loss"]! / 5);
    expect(lines[89]).toMatchObject({ "eval/classifierAccuracy": 1, "eval/rerankingAccuracy": 1 });
    expect(best).toBe(1);
  });

  test("has as many live tensors after every step", () => {
    expect(new Set(lines.map((line) => line["memory/numTensors"])).size).toBe(1);
  });

  test("has traced nearly all of its functions after half of the steps", () => {
    const traced = tracedFunctionsOf(folder);
    expect(traced.at(-1)! - traced[traced.length >> 1]!).toBeLessThan(10);
  });

  test("reports the balance of the labels", () => {
    const balances = lines.slice(0, 3).map((line) => line["rerank/correctFraction"]!);
    expect(balances.reduce((a, b) => a + b) / 3).toBeCloseTo(2 / 3, 12);
    expect(lines[89]!["eval/correctFraction"]).toBeCloseTo(2 / 3, 12);
    expect(lines[89]!["eval/majorityAccuracy"]).toBeCloseTo(2 / 3, 12);
  });

  test("writes what was predicted of each dev sample, and the reliability table of it", () => {
    const read = (kind: string) =>
      readFileSync(join(folder, kind, "step-000090.jsonl"), "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
    const predictions = read("samples");
    expect(predictions).toHaveLength(18);
    const brier = predictions.map(({ probability, correct }) => (probability - correct) ** 2);
    expect(brier.reduce((a, b) => a + b) / 18).toBeCloseTo(lines[89]!["eval/brierScore"]!, 12);
    const counts = read("calibration").map(({ count }) => count);
    expect(counts).toHaveLength(10);
    expect(counts.reduce((a, b) => a + b)).toBe(18);
  });

  test("leaves a classifier with its tokenizer that gives the predictions again", () => {
    const { folder: last } = loadCheckpoint(folder, "last")!;
    const tokenizer = loadTokenizer(last);
    const classifier = loadClassifier(last);
    const scorer = createClassifierScorer(classifier);
    const sequences = readSampleGroups(data.samples)
      .flat()
      .flatMap(({ question, text }) => classifierSequences(tokenizer, question, [text]));
    const path = join(folder, "samples", "step-000090.jsonl");
    const written = readFileSync(path, "utf8").trimEnd().split("\n");
    scorer.score(sequences, 512).forEach((probability, i) => {
      expect(probability).toBeCloseTo(JSON.parse(written[i]!).probability, 6);
    });
    scorer.dispose();
    disposeClassifier(classifier);
  });
});

describe("a run that goes on", () => {
  const full = folderOf("full");
  beforeAll(() => trainRerank(base, full));

  testEqualRuns("after Ctrl-C is, bit for bit, the run that was never stopped", async () => {
    const folder = folderOf("interrupted");
    interruptAfter(folder, 2);
    await expect(trainRerank(base, folder)).rejects.toThrow(InterruptedError);
    expect(loadCheckpoint(folder, "last")!.step).toBeLessThan(6);
    await trainRerank(base, folder);
    expect(contentOf(folder)).toEqual(contentOf(full));
  });

  testEqualRuns(
    "with more epochs than before is the run that had them from the start",
    async () => {
      const folder = folderOf("longer");
      await trainRerank({ ...base, training: { ...training, epochs: 1 } }, folder);
      await trainRerank(base, folder);
      expect(contentOf(folder)).toEqual(contentOf(full));
    },
  );

  test("refuses other samples than it began with", async () => {
    const path = folderOf("changing.jsonl");
    const config = { ...base, data: { ...data, samples: path } };
    const samples = readSampleGroups(data.samples).flat();
    writeJsonl(path, samples);
    await trainRerank({ ...config, training: { ...training, epochs: 1 } }, folderOf("changing"));
    writeJsonl(path, samples.slice(1));
    expect(await userErrorOf(() => trainRerank(config, folderOf("changing")))).toContain(
      "this run began with other contents of samples",
    );
  });
});

describe("the best checkpoint", () => {
  test("is that of the best rerank accuracy; of equals, that of the lowest dev loss", async () => {
    // Every dev question is answered right by all samples or by none: the rerank accuracy never changes.
    const dev = readSampleGroups(data.devSamples)
      .flat()
      .map((sample, i) => {
        const correct = Math.floor(i / 3) % 2 === 0;
        return { ...sample, correct };
      });
    writeJsonl(folderOf("even.jsonl"), dev);
    const config = {
      ...base,
      data: { ...data, devSamples: folderOf("even.jsonl") },
      training: { ...training, epochs: 4 },
    };
    expect(await trainRerank(config, folderOf("even"))).toBe(0.5);
    const measured = metricsOf(folderOf("even")).filter((line) => "eval/loss" in line);
    const lowest = measured.toSorted((a, b) => a["eval/loss"]! - b["eval/loss"]!)[0]!;
    expect(new Set(measured.map((line) => line["eval/rerankingAccuracy"]))).toEqual(new Set([0.5]));
    expect(loadCheckpoint(folderOf("even"), "best")!.step).toBe(lowest.step);
  });
});

describe("samples", () => {
  const oneEpoch = { ...training, epochs: 1 };

  test("that repeat a text, or that the sandbox could not run, are left out and counted", async () => {
    const samples = readSampleGroups(data.samples).flat();
    const failed = { kind: "infrastructure", message: "no Python" } as const;
    const config = withSamples("mixed", (sample, i) => {
      if (i === 1) return { ...sample, text: samples[0]!.text, isDuplicate: true };
      return i === 2 ? { ...sample, outcome: failed, correct: false } : sample;
    });
    await trainRerank({ ...config, training: oneEpoch }, folderOf("mixed"));
    expect(said.error).toContain(
      "16 samples, 62.5% right (left out: 1 duplicates, 1 that the sandbox could not run, 0 too long); dev: 18 samples",
    );
  });

  test("that are too long are left out and counted; on dev they are never chosen", async () => {
    const long = (sample: Sample) =>
      sample.sample === 0 ? { ...sample, text: "x ".repeat(300) } : sample;
    const config = withSamples("long", long);
    const devSamples = folderOf("longDev.jsonl");
    // Only the sample that is too long is right.
    const dev = readSampleGroups(data.devSamples)
      .flat()
      .map((sample) => ({
        ...long(sample),
        correct: sample.sample === 0,
      }));
    writeJsonl(devSamples, dev);
    const data2 = { ...config.data, devSamples };
    const best = await trainRerank({ ...config, data: data2, training: oneEpoch }, folderOf("cut"));
    expect(said.error).toContain("12 samples, 66.7% right (left out: 0 duplicates");
    expect(said.error).toContain("6 too long); dev: 12 samples");
    expect(best).toBe(0);
    expect(metricsOf(folderOf("cut")).at(-1)).toMatchObject({ "eval/upperBound": 1 });
  });
});

test("a loss that is not finite stops the run; the last checkpoint is a classifier", async () => {
  const folder = folderOf("exploding");
  const config: RerankConfig = {
    ...base,
    optimizer: { ...optimizer, learningRate: 1e30, schedule: "constant", warmupFraction: 0 },
    checkpoint: { everySteps: 1 },
    alarms: { maxSkippedSteps: 0 },
  };
  expect(await userErrorOf(() => trainRerank(config, folder))).toMatch(
    /^step 2: (loss|gradNorm) is (NaN|Infinity), expected finite numbers \(alarms.* Lower optimizer.learningRate/,
  );
  disposeClassifier(loadClassifier(loadCheckpoint(folder, "last")!.folder));
  const atEnd = { ...config, training: { ...training, epochs: 1, batchSize: 18 } };
  expect(await userErrorOf(() => trainRerank(atEnd, folderOf("atEnd")))).toMatch(
    /^step 1: eval\/loss is NaN, expected .* Lower optimizer.learningRate/,
  );
});

describe("train-rerank", () => {
  /** Exit code of `train-rerank` under its own name. */
  const run = async (name: string, config: RerankConfig, ...flags: string[]) => {
    const file = join(home, `${name}.yaml`);
    writeFileSync(file, stringify(config));
    const args = ["--config", file, "--output", folderOf(`cli-${name}`), ...flags];
    return main(args, "train-rerank");
  };
  const refusalOf = async (name: string, config: RerankConfig, ...flags: string[]) => {
    expect(await run(name, config, ...flags)).toBe(1);
    return said.stderr;
  };

  test("takes samples and model from flags, in place of the file's", async () => {
    const elsewhere = {
      ...base,
      model: { init: "nowhere" },
      data: { ...data, samples: "nowhere", devSamples: "nowhere" },
    };
    const flags = ["--init", folderOf("model"), "--samples", data.samples];
    const dev = ["--dev-samples", data.devSamples];
    expect(await run("flags", elsewhere, ...flags, ...dev, "--epochs", "1")).toBe(0);
    expect(metricsOf(folderOf("cli-flags"))).toHaveLength(3);
  });

  test.each([
    ["right", true, "all right: sample answers to harder questions\n"],
    ["wrong", false, "all wrong: sample more answers, to easier questions"],
  ])("refuses samples that are all %s", async (name, correct, advice) => {
    const config = withSamples(name, (sample) => ({ ...sample, correct }));
    const message = await refusalOf(name, config);
    expect(message).toContain(
      `train-rerank: ${config.data.samples}: expected right and wrong samples to tell apart, found 18 that are`,
    );
    expect(message).toContain(advice);
  });

  test("refuses samples of which none is short enough", async () => {
    const config = { ...base, data: { ...data, maxTokens: 20 } };
    expect(await refusalOf("short", config)).toBe(
      `train-rerank: ${data.samples}: expected samples that the sandbox could run, with at most 20 tokens of question and ` +
        "answer, found none: 18 are longer, 0 could not be run; raise data.maxTokens\n",
    );
  });

  test("refuses dev samples that are none", async () => {
    writeFileSync(folderOf("empty.jsonl"), "");
    const message = await refusalOf("empty", base, "--dev-samples", folderOf("empty.jsonl"));
    expect(message).toContain(`${folderOf("empty.jsonl")}: expected one JSON value per line`);
  });

  test("refuses answers that the model has no positions for", async () => {
    expect(await refusalOf("positions", { ...base, data: { ...data, maxTokens: 500 } })).toContain(
      "the settings allow 500 tokens of prompt and answer, but the model has 256 positions; lower data.maxTokens",
    );
  });

  test("refuses a classifier to start from", async () => {
    expect(await refusalOf("classifier", base, "--init", folderOf("full"))).toContain(
      'expected "LlamaForCausalLM"',
    );
  });
});
