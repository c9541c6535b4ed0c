// What is said of a training before it runs, held against the training itself.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { main } from "../../src/cli.ts";
import { type Config, parseConfig } from "../../src/config.ts";
import * as batch from "../../src/model/batch.ts";
import { forecastRerank, readRerankStart } from "../../src/rerank/start.ts";
import { trainRerank } from "../../src/rerank/train.ts";
import type { Forecast } from "../../src/run/forecast.ts";
import { forecastSft, readSftStart } from "../../src/sft/start.ts";
import { trainSft } from "../../src/sft/train.ts";
import { askingDefaults } from "../../src/tasks/asking.ts";
import { fitTraining, largestThat } from "../../src/tasks/plan.ts";
import { fitAsking } from "../../src/tasks/planAsking.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { fakeSandbox, shareOf } from "../support/fakeSandbox.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import {
  tinyReft,
  tinyRerank,
  tinySft,
  writeTinyData,
  writeTinyModel,
  writeTinySamples,
} from "../support/tiny.ts";

vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () =>
    fakeSandbox((program) => ({ kind: "answer", value: Math.round(shareOf(program)) })),
}));
// That sandbox finds every gold program wrong.
vi.mock("../../src/evaluate/checkGold.ts", () => ({ checkGold: async () => {} }));
vi.mock("../../src/model/batch.ts", async (original) => {
  const real = await original<typeof batch>();
  return {
    ...real,
    packSequences: vi.fn(real.packSequences),
    packClasses: vi.fn(real.packClasses),
  };
});

const home = temporaryFolder();
const said = captureOutput();
const model = join(home, "model");
const problems = writeTinyData(home, 40);
writeTinyModel(model, problems);
writeTinySamples(home, problems);

/** Sizes of all batches that were packed since the last call: tokens and predictions. */
function packed(pack: typeof batch.packSequences): Set<string> {
  const { results } = vi.mocked(pack).mock;
  const sizes = results.map(({ value }) => `${value.tokens.length} ${value.targets.length}`);
  vi.mocked(pack).mockClear();
  return new Set(sizes);
}

beforeEach(() => vi.clearAllMocks());

describe("a forecast packs the batches of the run itself", () => {
  test("SFT", async () => {
    const training = { ...tinySft(home).training, epochs: 1, batchSize: 7, microBatchTokens: 300 };
    const config = { ...tinySft(home), training };
    forecastSft(config, readSftStart(config, undefined));
    const foreseen = packed(batch.packSequences);
    await trainSft(config, join(home, "sft"));
    expect(foreseen.size).toBeGreaterThan(1);
    expect(packed(batch.packSequences)).toEqual(foreseen);
  });

  test("Rerank", async () => {
    const config = {
      ...tinyRerank(home, model),
      training: { ...tinyRerank(home, model).training, epochs: 1 },
    };
    forecastRerank(config, readRerankStart(config));
    const foreseen = packed(batch.packClasses);
    await trainRerank(config, join(home, "rerank"));
    expect(packed(batch.packClasses)).toEqual(foreseen);
  });
});

describe("--memory-gib", () => {
  const configs: Config[] = [
    tinySft(home),
    tinyReft(home, model) as Config,
    tinyRerank(home, model),
  ];
  const gibibytes = ({ bytes, guests }: Forecast) => (bytes + guests) / 2 ** 30;

  test.each(configs)("chooses batches and slots that fit: $stage", (config) => {
    const least = Number(/at least ([\d.]+)/.exec(refusalOf(config))![1]);
    const { chosen, forecast } = fitTraining(config, least + 0.06);
    expect(gibibytes(forecast)).toBeLessThanOrEqual(least + 0.06);
    const more = fitTraining(config, 64).chosen;
    chosen.forEach(({ path, value }, i) => {
      expect(more[i]!.path).toBe(path);
      expect(more[i]!.value).toBeGreaterThanOrEqual(value);
    });
    expect(chosen.map(({ path }) => path)).toContain("training.microBatchTokens");
    expect(fitTraining(config, least + 0.06)).toEqual({ chosen, forecast });
  });

  function refusalOf(config: Config): string {
    try {
      fitTraining(config, 0.1);
    } catch (error) {
      return (error as Error).message;
    }
    return expect.fail("expected an error");
  }

  test("chooses the largest of a model whose batches weigh something beside the process", () => {
    const sft = tinySft(home);
    const shape = { dim: 512, heads: 8, kvHeads: 8, ffnDim: 1408 };
    const settings = {
      ...sft,
      model: { scratch: { ...sft.model.scratch, ...shape } },
      training: { ...sft.training, batchSize: 24 },
    };
    const config = parseConfig("sft", stringify(settings));
    const most = fitTraining(config, 64);
    const limit = gibibytes(most.forecast) - 0.001;
    const { chosen, forecast } = fitTraining(config, limit);
    expect(gibibytes(forecast)).toBeLessThanOrEqual(limit);
    const growth = chosen.map(({ value }, i) => most.chosen[i]!.value / value);
    expect(growth).toEqual([4, 1]); // with 2,048 tokens, too, the batch is one piece
  });

  test("chooses the most slots that fit for questions, too", () => {
    const data = join(home, "dev.jsonl");
    const args = { ...askingDefaults, model, data, samples: 2 };
    const most = fitAsking(args, 64);
    const half = fitAsking(args, gibibytes(most.forecast) - 0.001);
    expect([most.slots, half.slots]).toEqual([128, 64]);
    expect(() => fitAsking(args, 0.1)).toThrow(
      /^memoryGib: expected at least [\d.]+, .* found 0\.1/,
    );
  });

  test("a number is doubled while it fits", () => {
    const largest = (limit: number) => largestThat(3, 100, (n) => n <= limit);
    expect([2, 5, 6, 20, 96, 1000].map(largest)).toEqual([3, 3, 6, 12, 96, 96]);
  });

  test("goes on with the same command, and writes what it chose into the run's settings", async () => {
    const [file, folder] = [join(home, "sft.yaml"), join(home, "fitted")];
    writeFileSync(
      file,
      stringify({ ...tinySft(home), training: { ...tinySft(home).training, epochs: 1 } }),
    );
    const command = ["train-sft", "--config", file, "--output", folder, "--memory-gib", "1.5"];
    expect(await main(command), said.stderr).toBe(0);
    const written = parseConfig("sft", readFileSync(join(folder, "config.yaml"), "utf8"));
    expect(written.training.microBatchTokens).not.toBe(tinySft(home).training.microBatchTokens);
    expect(said.error).toContain(`training.microBatchTokens ${written.training.microBatchTokens}`);
    // As if another version had chosen: the run goes on as it began.
    const settings = readFileSync(join(folder, "config.yaml"), "utf8");
    const other = settings.replace(/microBatchTokens: \d+/, "microBatchTokens: 960");
    writeFileSync(join(folder, "config.yaml"), other);
    expect(await main([...command, "--set", "training.epochs=2"]), said.stderr).toBe(0);
    expect(said.error).toContain("training.microBatchTokens 960");
    const last = JSON.parse(readFileSync(join(folder, "checkpoints/last.json"), "utf8"));
    expect(last.step).toBe(20);
  });
});

describe("--dry-run", () => {
  const all = () => readdirSync(home, { recursive: true, encoding: "utf8" }).toSorted();
  const trials = temporaryFolder(); // It is of its own, because other test files try trainings at the same time.
  beforeEach(() => void vi.stubEnv("TMPDIR", trials));
  afterEach(() => void vi.unstubAllEnvs());

  test.each([
    ["train-sft", () => tinySft(home)],
    ["train-reft", () => tinyReft(home, model)],
    ["train-rerank", () => tinyRerank(home, model)],
  ])("%s says what it takes, tries two steps and leaves no file", async (command, config) => {
    const file = join(home, `${command}.yaml`);
    writeFileSync(file, stringify(config()));
    const before = all();
    const output = join(home, `${command}-output`);
    mkdirSync(join(trials, "reft-trial-99999999-killed/checkpoints"), { recursive: true }); // no process has this number
    expect(
      await main([command, "--config", file, "--output", output, "--dry-run"]),
      said.stderr,
    ).toBe(0);
    expect(said.log).toMatch(/\n {2}weights \(float32\) +\d+\n/);
    expect(said.log).toMatch(/\n {2}together +\d+\n/);
    expect(said.log).toMatch(/\nsteps: \d+ \(/);
    expect(said.log).toMatch(/\ntried: [\d.]+ s, [\d.]+ s /);
    expect(all()).toEqual(before);
    expect(existsSync(output)).toBe(false);
    expect(readdirSync(trials)).toEqual([]);
  });

  test("says what it takes, and fails as the training would, where a step shows that it cannot run", async () => {
    const [file, reward] = [join(home, "failing.yaml"), join(home, "failing.ts")]; // which is not there
    writeFileSync(file, stringify({ ...tinySft(home), reward: [reward] }));
    const flags = ["--config", file, "--output", join(home, "failing"), "--dry-run"];
    expect(await main(["train-sft", ...flags])).toBe(1);
    expect(said.log).toMatch(/\n {2}together +\d+\n/);
    expect(said.log).toMatch(/\nno step could be tried$/);
    expect(said.stderr).toMatch(
      /^reft train-sft: reward: expected .*failing\.ts, found nothing there/m,
    );
  });

  test("takes no fork, whose steps it would not count", async () => {
    const command = ["train-sft", "--config", "any.yaml", "--output", "o", "--fork", "r@1"];
    expect(await main([...command, "--dry-run"])).toBe(1);
    expect(said.stderr).toContain("--dry-run: expected no --fork");
  });

  test.each([
    ["evaluate", [], "4 answers to 4 questions"],
    ["sample", ["--samples", "3"], "12 answers to 4 questions"],
  ])("reft %s says what it takes and leaves no file", async (command, flags, answers) => {
    const before = all();
    const output = join(home, `${command}-output`);
    const given = ["--model", model, "--data", join(home, "dev.jsonl"), "--output", output];
    expect(await main([command, ...given, ...flags, "--dry-run"]), said.stderr).toBe(0);
    expect(said.log).toContain(answers);
    expect(all()).toEqual(before);
  });

  test("reft run says what each stage takes", async () => {
    const before = all();
    const flags = ["--config", "configs/tiny/recipe.yaml", "--output", join(home, "recipe")];
    expect(await main(["run", ...flags, "--dry-run"]), said.stderr).toBe(0);
    for (const stage of ["warmup", "reft", "rerankReft"])
      expect(said.log).toMatch(new RegExp(`\\n {2}${stage} +[\\d.]+ GB`));
    expect(all()).toEqual(before);
  });

  test("reft run foresees half the cache where it is held as bf16", async () => {
    const flags = ["--config", "configs/tiny/recipe.yaml", "--output", join(home, "recipe")];
    const asking = async (cache: string) => {
      said.log = "";
      const set = ["--set", "answers.slots=2048", "--set", `answers.kvCacheDtype=${cache}`];
      expect(await main(["run", ...flags, ...set, "--dry-run"]), said.stderr).toBe(0);
      return Number(/\n {2}samples and tests +([\d.]+) GB/.exec(said.log)![1]);
    };
    const process = 0.48; // There is little beside it and the cache.
    expect((await asking("float32")) - process).toBeCloseTo(
      2 * ((await asking("bf16")) - process),
      1,
    );
  });
});
