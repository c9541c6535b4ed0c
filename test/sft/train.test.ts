import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { parse, stringify } from "yaml";
import { main } from "../../src/cli.ts";
import type { SftConfig } from "../../src/config.ts";
import type { Example } from "../../src/data/examples.ts";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import { disposeModel } from "../../src/model/model.ts";
import { loadModelFolder } from "../../src/models/modelFolder.ts";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";
import { InterruptedError } from "../../src/run/interrupts.ts";
import { trainSft } from "../../src/sft/train.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { testEqualRuns } from "../support/equalRuns.ts";
import { fakeJudge, shareOf } from "../support/fakeSandbox.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import {
  contentOf,
  interruptAfter,
  type MetricsLine,
  metricsOf,
  tinySft,
  tracedFunctionsOf,
  writeTinyData,
  writeTinyModel,
} from "../support/tiny.ts";

/** Decides which answers are right: the same text is always, unless a test wants it otherwise. */
const byText = (text: string) => shareOf(text) < 0.6;
let isCorrect = byText;
vi.mock("../../src/reward/judge.ts", () => ({
  createJudge: () => fakeJudge((text) => isCorrect(text)),
}));
vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () => ({ close: async () => {} }),
}));

/** The rows of each check of gold chains of thought; that judge would find them wrong. */
const checked: (readonly Example[])[] = [];
vi.mock("../../src/evaluate/checkGold.ts", () => ({
  checkGold: async (_: string, rows: readonly Example[]) => checked.push(rows),
}));

const home = temporaryFolder();
const said = captureOutput();
const problems = writeTinyData(home);
const base = tinySft(home);

const { training, optimizer } = base;
const folderOf = (name: string) => join(home, name);

describe("a run of 201 steps", () => {
  const long: SftConfig = {
    ...base,
    training: { ...training, epochs: 67, scheduleEpochs: 67 },
    evaluation: { ...base.evaluation, everyEpochs: 10 },
  };
  let lines: MetricsLine[] = [];
  const accuracies = [0.25, 0.75, 0.5, 0.75, 0, 0.75, 0.5]; // of 4 dev questions each
  let best = 0;
  beforeAll(async () => {
    let asked = 0;
    isCorrect = () => {
      const [measurement, question] = [Math.floor(asked / 4), asked % 4];
      asked++;
      return question / 4 < accuracies[measurement]!;
    };
    best = await trainSft(long, folderOf("long"));
    isCorrect = byText;
    lines = metricsOf(folderOf("long"));
  });

  test("has one line of metrics per step, and a loss that falls to a fifth", () => {
    expect(lines.map((line) => line.step)).toEqual(Array.from({ length: 201 }, (_, i) => i + 1));
    expect(lines[200]!["sft/loss"]).toBeLessThan(lines[0]!["sft/loss"]! / 5);
  });

  test("has as many live tensors after every step", () => {
    expect(new Set(lines.map((line) => line["memory/numTensors"])).size).toBe(1);
  });

  test("has traced nearly all of its functions after half of the steps", () => {
    const traced = tracedFunctionsOf(folderOf("long"));
    expect(traced.at(-1)! - traced[traced.length >> 1]!).toBeLessThan(10);
  });

  test("keeps the first checkpoint of the best accuracy, and the last one", () => {
    const measured = lines.filter((line) => "eval/accuracy" in line);
    expect(measured.map((line) => line.step)).toEqual([30, 60, 90, 120, 150, 180, 201]);
    expect(measured.map((line) => line["eval/accuracy"])).toEqual(accuracies);
    expect(best).toBe(0.75);
    expect(loadCheckpoint(folderOf("long"), "best")!.step).toBe(60);
    expect(loadCheckpoint(folderOf("long"), "last")!.step).toBe(201);
  });
});

test("a second epoch over examples of one length traces nothing that the first did not", async () => {
  const train = join(home, "one-length.jsonl");
  writeJsonl(
    train,
    problems.map(({ id }) => ({ ...problems[0], id })),
  );
  const folder = folderOf("one-length");
  await trainSft({ ...base, data: { ...base.data, train } }, folder);
  const second = tracedFunctionsOf(folder).slice(3); // the first one's measurement included
  expect(second).toHaveLength(3);
  expect(new Set(second).size).toBe(1);
});

describe("a run that goes on", () => {
  const linear: SftConfig = {
    ...base,
    optimizer: { ...optimizer, learningRate: 0.018, schedule: "linear", warmupFraction: 0.25 },
    training: { ...training, scheduleEpochs: 4 },
  };
  const full = folderOf("full");
  beforeAll(() => trainSft(linear, full));

  testEqualRuns("after Ctrl-C is, bit for bit, the run that was never stopped", async () => {
    const folder = folderOf("interrupted");
    interruptAfter(folder, 2);
    await expect(trainSft(linear, folder)).rejects.toThrow(InterruptedError);
    expect(loadCheckpoint(folder, "last")!.step).toBeLessThan(6);
    await trainSft(linear, folder);
    expect(contentOf(folder)).toEqual(contentOf(full));
  });

  testEqualRuns(
    "with more epochs than before is the run that had them from the start",
    async () => {
      const folder = folderOf("longer");
      await trainSft({ ...linear, training: { ...linear.training, epochs: 1 } }, folder);
      await trainSft(linear, folder);
      expect(contentOf(folder)).toEqual(contentOf(full));
    },
  );

  test("has its gold chains of thought checked once, at the start", async () => {
    const folder = folderOf("checked");
    const [begun, longer] = [1, 2].map((epochs) => ({ ...training, epochs }));
    checked.length = 0;
    await trainSft({ ...base, training: begun! }, folder);
    expect(checked).toEqual([problems]);
    await trainSft({ ...base, training: longer! }, folder);
    expect(checked).toHaveLength(1);
  });

  test("follows the schedule of scheduleEpochs, however many epochs are run", () => {
    // 3 steps per epoch, so the horizon is 12 updates, 3 of them warm-up: 0, 1/3, 2/3, 1, 8/9, 7/9.
    const rates = [0, 0.006, 0.012, 0.018, 0.016, 0.014];
    metricsOf(full).forEach((line, i) => {
      expect(line["sft/learningRate"]).toBeCloseTo(rates[i]!, 12);
    });
  });
});

test("a loss that is not finite stops the run; the last checkpoint is a model", async () => {
  const folder = folderOf("exploding");
  const config: SftConfig = {
    ...base,
    optimizer: { ...optimizer, learningRate: 1e30 },
    checkpoint: { everySteps: 1 },
    alarms: { maxSkippedSteps: 0 },
  };
  expect(await userErrorOf(() => trainSft(config, folder))).toMatch(
    /^step 2: (loss|gradNorm) is (NaN|Infinity), expected .* Lower optimizer.learningRate/,
  );
  const last = loadCheckpoint(folder, "last")!;
  expect(last.step).toBe(1);
  disposeModel(loadModelFolder(last.folder).model);
});

describe("train-sft", () => {
  writeTinyModel(folderOf("model"), problems);

  /** Exit code and standard error of `reft train-sft`, with the settings `config` and further flags. */
  const run = async (name: string, config: SftConfig, ...flags: string[]) => {
    const file = join(home, `${name}.yaml`);
    writeFileSync(file, stringify(config));
    return main(["train-sft", "--config", file, "--output", folderOf(`cli-${name}`), ...flags]);
  };

  test("starts from --init in place of the file's model from scratch", async () => {
    const flags = ["--init", folderOf("model"), "--epochs", "1"];
    expect(await run("init", { ...base, checkpoint: { everySteps: 1 } }, ...flags)).toBe(0);
    // the model that it starts from is measured, too
    expect(metricsOf(folderOf("cli-init")).map(({ step }) => step)).toEqual([0, 1, 2, 3]);
    const { model } = parse(readFileSync(join(folderOf("cli-init"), "config.yaml"), "utf8"));
    expect(model).toEqual({ init: folderOf("model") });
  });

  test("refuses a model whose vocabulary is smaller than its tokenizer's", async () => {
    writeTinyModel(folderOf("small"), problems, { vocabSize: 300 });
    expect(await run("vocabulary", { ...base, model: { init: folderOf("small") } })).toBe(1);
    expect(said.stderr).toBe(
      `reft train-sft: ${folderOf("small")}: the tokenizer has 400 tokens, but the model's vocabulary is 300: ` +
        "they do not belong together; take both from one model\n",
    );
  });

  test("refuses a ready tokenizer that is larger than the vocabulary of the model from scratch", async () => {
    const scratch = { ...base.model.scratch!, vocabSize: 300, tokenizer: folderOf("model") };
    expect(await run("tokenizer", { ...base, model: { scratch } })).toBe(1);
    expect(said.stderr).toBe(
      "reft train-sft: model.scratch.vocabSize: expected at least 400, the size of the tokenizer in " +
        `${folderOf("model")}, found 300; raise it\n`,
    );
  });

  test("refuses dev questions of which none is short enough", async () => {
    const data = { ...base.data, maxPromptTokens: 40, maxCompletionTokens: 200 };
    writeFileSync(
      join(home, "brief.jsonl"),
      '{"id":"a","question":"2?","cot":"def solution():\\n    return 2","answer":2}\n',
    );
    expect(await run("dev", { ...base, data: { ...data, train: join(home, "brief.jsonl") } })).toBe(
      1,
    );
    expect(said.stderr).toBe(
      'reft train-sft: none of the 4 questions, of which "generated-dev-0" is the first, has a prompt of at most ' +
        "40 tokens; raise data.maxPromptTokens\n",
    );
  });

  test("refuses prompts that the model has no positions for", async () => {
    writeTinyModel(folderOf("short"), problems, { maxPositions: 200 });
    expect(await run("positions", { ...base, model: { init: folderOf("short") } })).toBe(1);
    expect(said.stderr).toBe(
      "reft train-sft: data.maxPromptTokens allows 140 prompt tokens, which of the model's 200 positions leave 60 for " +
        "the answer, expected at least 100; lower data.maxPromptTokens, data.maxCompletionTokens or evaluation.maxNewTokens\n",
    );
  });

  test.each([
    ["an empty data set", "", ": expected one JSON value per line, found an empty file\n"],
    ["a line that is cut off", '{"id":"a"\n', ':1: expected JSON, found {"id":"a" ('],
    [
      "a line without a question",
      '{"id":"a","cot":"x","answer":1}\n',
      ':1: "question" is missing, expected a text\n',
    ],
  ])("names the file, and the line, of %s", async (name, text, message) => {
    const train = join(home, `${name}.jsonl`);
    writeFileSync(train, text);
    expect(await run(name, { ...base, data: { ...base.data, train } })).toBe(1);
    expect(said.stderr).toContain(`reft train-sft: ${train}${message}`);
    expect(said.stderr.trimEnd()).not.toContain("\n");
  });
});
