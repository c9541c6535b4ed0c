// A tiny run from the first command to the last, with the real sandbox: train-sft, train-reft, evaluate.
import { cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { main } from "../../src/cli.ts";
import type { Config } from "../../src/config.ts";
import { readExamples } from "../../src/data/examples.ts";
import { samplingPrompt } from "../../src/data/prompt.ts";
import { loadTokenizer, saveTokenizer } from "../../src/data/tokenizer.ts";
import { wilsonInterval } from "../../src/evaluate/intervals.ts";
import { readQuestions } from "../../src/evaluate/report.ts";
import { createClassifier, disposeClassifier, saveClassifier } from "../../src/model/classifier.ts";
import { loadModel } from "../../src/model/model.ts";
import { loadModelFolder, readAnswerFormat } from "../../src/models/modelFolder.ts";
import { readProbabilities } from "../../src/rerank/classify.ts";
import type { Outcome } from "../../src/reward/outcome.ts";
import { readSampleGroups } from "../../src/reward/samples.ts";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { metricsOf, tinyReft, tinySft, writeTinyAdapter, writeTinyData } from "../support/tiny.ts";

interface AnswerLine {
  readonly id: string;
  readonly answer: number;
  readonly text: string;
  readonly outcome: Outcome;
  readonly correct: boolean;
  readonly isTruncated: boolean;
}

const home = temporaryFolder();
const [warmup, reft] = [join(home, "warmup"), join(home, "reft")];
const data = join(home, "all.jsonl");

const said = captureOutput();

async function train(command: string, config: Config, ...flags: string[]): Promise<void> {
  const file = join(home, `${command}.yaml`);
  writeFileSync(file, stringify(config));
  expect(await main([command, "--config", file, ...flags]), said.stderr).toBe(0);
}

async function evaluate(...flags: string[]): Promise<number> {
  const folder = join(home, "evaluated");
  rmSync(folder, { recursive: true, force: true });
  return main(["evaluate", "--data", data, "--output", folder, "--workers", "1", ...flags]);
}

function results() {
  const folder = join(home, "evaluated");
  const lines = readFileSync(join(folder, "answers.jsonl"), "utf8").trimEnd().split("\n");
  return {
    summary: JSON.parse(readFileSync(join(folder, "results.json"), "utf8")),
    answers: lines.map((line) => JSON.parse(line) as AnswerLine),
  };
}

beforeAll(async () => {
  // Four problems that are learned by heart, three that are new, and a known one with another answer.
  writeTinyData(home, 4, 3);
  const [known, fresh] = ["train", "dev"].map((s) =>
    readFileSync(join(home, `${s}.jsonl`), "utf8"),
  );
  const [first] = known!.split("\n");
  const changed = { ...JSON.parse(first!), id: "generated-changed-0", answer: 1e6 };
  writeFileSync(data, `${known}${fresh}${JSON.stringify(changed)}\n`);
  writeFileSync(join(home, "dev.jsonl"), known!);
  const sft = tinySft(home);
  const evaluation = { ...sft.evaluation, everyEpochs: 20, maxNewTokens: 60 };
  const training = { ...sft.training, epochs: 60, scheduleEpochs: 60 };
  await train("train-sft", { ...sft, training, evaluation }, "--output", warmup);
});

describe("train-sft, then train-reft, then evaluate", () => {
  test("the warm-up learns its problems by heart, which dev accuracy by running programs shows", () => {
    expect(metricsOf(warmup).at(-1)!["eval/accuracy"]).toBe(1);
  });

  test("ReFT starts from the run with --init, rewarded for programs that are right", async () => {
    const config = tinyReft(home, "elsewhere");
    const rollout = { ...config.rollout, questionsPerStep: 4, maxNewTokens: 60 };
    const evaluation = { ...config.evaluation, maxNewTokens: 60 };
    const training = { ...config.training, epochs: 2 };
    const flags = ["--init", warmup, "--output", reft];
    await train("train-reft", { ...config, rollout, evaluation, training }, ...flags);
    const lines = metricsOf(reft);
    expect(lines.map(({ step }) => step)).toEqual([0, 1, 2]);
    expect(lines[0]!["eval/accuracy"]).toBe(1);
    for (const line of lines.slice(1)) {
      expect(line["reward/correctFraction"]).toBeGreaterThan(0.5);
      expect(line["rollout/infrastructureFailures"]).toBe(0);
    }
  });

  test("evaluate writes every answer with its outcome, and their share with Wilson's interval", async () => {
    const flags = ["--max-new-tokens", "60", "--kv-cache-dtype", "bf16"];
    expect(await evaluate("--model", warmup, ...flags), said.stderr).toBe(0);
    const { summary, answers } = results();
    const ids = readFileSync(data, "utf8").match(/generated-\w+-\d/g);
    expect(answers.map(({ id }) => id)).toEqual(ids);
    for (const { answer, outcome, correct, text } of answers) {
      expect(correct).toBe(outcome.kind === "answer" && outcome.value === answer);
      expect(text.startsWith("def solution():\n")).toBe(true);
    }
    const correct = answers.filter((answer) => answer.correct).length;
    expect(correct).toBeGreaterThanOrEqual(4);
    expect(answers[7]).toMatchObject({ outcome: { kind: "answer" }, correct: false });
    expect(summary).toMatchObject({
      data,
      kvCacheDtype: "bf16",
      questions: 8,
      correct,
      metrics: { top1: { accuracy: correct / 8, confidence95: wilsonInterval(correct, 8) } },
      extractedFraction: answers.filter(({ outcome }) => outcome.kind === "answer").length / 8,
      truncatedFraction: answers.filter((answer) => answer.isTruncated).length / 8,
      infrastructureFailures: 0,
    });
    expect(summary.model).toContain(join("warmup", "checkpoints"));
    expect(said.log).toContain(`(${correct} of 8; 95 % interval `);
  });

  test("evaluate --samples votes among sampled answers, which a second call finds in the folder", async () => {
    const folder = join(home, "voted");
    const read = (name: string) => readFileSync(join(folder, name), "utf8");
    const flags = ["--model", warmup, "--max-new-tokens", "60", "--samples", "7", "--seed", "3"];
    const again = ["evaluate", "--data", data, "--output", folder, "--workers", "1", ...flags];
    expect(await main(again), said.stderr).toBe(0);
    const groups = readSampleGroups(join(folder, "samples.jsonl"));
    const questions = readQuestions(folder);
    expect(groups.map((group) => group.length)).toEqual(new Array(8).fill(7));
    expect(questions.map(({ id }) => id)).toEqual(groups.map(([first]) => first!.id));
    questions.forEach(({ shares }, i) => {
      const right = groups[i]!.filter(({ correct }) => correct).length;
      expect(shares["pass@7"]).toBe(Number(right > 0));
      expect(shares["pass@1"]).toBeCloseTo(right / 7, 12);
      if (right > 3) expect(shares["voting@7"]).toBe(1); // a majority; the other votes may be split
      if (right === 0) expect(shares["voting@7"]).toBe(0);
    });
    const { metrics, samples, seed } = JSON.parse(read("results.json"));
    expect([samples, seed]).toEqual([7, 3]);
    expect(Object.keys(metrics)).toEqual([
      "top1",
      ...["voting", "pass"].flatMap((method) => [1, 2, 5, 7].map((k) => `${method}@${k}`)),
    ]);
    expect(metrics["pass@7"].accuracy).toBeGreaterThan(metrics["pass@1"].accuracy);
    const tableLines = read("results.md").match(/^\|.*\|$/gm)!;
    expect(tableLines.length).toBe(4);
    for (const line of tableLines) expect(said.log).toContain(line);
    expect(read("accuracy.svg")).toContain("<svg");

    const [samplesBefore, resultsBefore] = [read("samples.jsonl"), read("results.json")];
    const sampledAt = statSync(join(folder, "samples.jsonl")).mtimeMs;
    expect(await main(again), said.stderr).toBe(0);
    expect(statSync(join(folder, "samples.jsonl")).mtimeMs).toBe(sampledAt);
    expect([read("samples.jsonl"), read("results.json")]).toEqual([samplesBefore, resultsBefore]);

    const saidBefore = said.stderr.length;
    expect(await main(again.with(-1, "4"))).toBe(1);
    expect(said.stderr.slice(saidBefore)).not.toMatch(/^evaluate/m);
    expect(said.stderr).toContain(
      "samples.jsonl: was made with other settings or inputs:\n  seed: was 3, is now 4\n",
    );
    expect(read("samples.jsonl")).toBe(samplesBefore);

    for (const other of [again.with(8, reft), again.with(2, join(home, "dev.jsonl"))])
      expect(await main(other.slice(0, -4))).toBe(1);
    expect(said.stderr).toMatch(/results\.json: expected results of the model .*reft.*warmup/);
    expect(said.stderr).toMatch(/results of the data .*dev\.jsonl, found those of .*all\.jsonl/);
    expect(await main([...again.slice(0, -4), "--reward", "exact"])).toBe(1);
    expect(said.stderr).toMatch(
      /expected results of the reward \[.*"exact".*, found those of the usual reward; give another output/,
    );
    const fewer = again.slice(0, -4);
    expect(await main([...again, "--questions", "3"])).toBe(1);
    expect(said.stderr).toContain("expected results with questions 3, found those with 8; give");
    expect(await main(fewer)).toBe(1);
    expect(said.stderr).toContain("expected results with samples none, found those with 7; give");
    expect(await main([...fewer, "--cot", "text"])).toBe(1);
    expect(said.stderr).toContain("expected results with cot text, found those with python; give");
    expect(read("results.json")).toBe(resultsBefore);
  });

  test("evaluate --reranker takes the sample that the classifier likes best, among samples that are there", async () => {
    const [folder, reranker] = [join(home, "voted"), join(home, "reranker")];
    const { model, tokenizer } = loadModelFolder(loadCheckpoint(warmup, "best")!.folder);
    const classifier = createClassifier(model, 1);
    saveClassifier(classifier, reranker);
    saveTokenizer(tokenizer, reranker);
    disposeClassifier(classifier);
    const before = readFileSync(join(folder, "samples.jsonl"), "utf8");
    const flags = ["--model", warmup, "--max-new-tokens", "60", "--samples", "7", "--seed", "3"];
    const all = ["evaluate", "--data", data, "--output", folder, "--workers", "1", ...flags];
    expect(await main([...all, "--reranker", reranker]), said.stderr).toBe(0);
    expect(readFileSync(join(folder, "samples.jsonl"), "utf8")).toBe(before);
    const groups = readSampleGroups(join(folder, "samples.jsonl"));
    const probabilities = readProbabilities(join(folder, "probabilities.jsonl"), groups);
    readQuestions(folder).forEach(({ shares }, i) => {
      const answered = groups[i]!.map((sample, j) => ({ sample, p: probabilities[i]![j]! }))
        .filter(({ sample }) => sample.outcome.kind === "answer")
        .toSorted((a, b) => b.p - a.p);
      expect(shares["reranking@7"]).toBe(Number(answered[0]?.sample.correct ?? false));
      expect(shares).toHaveProperty("weightedVoting@7");
    });
    expect(said.log).toContain("| Rerank@k");
    const { metrics, reranker: used } = JSON.parse(
      readFileSync(join(folder, "results.json"), "utf8"),
    );
    expect(used).toBe(reranker);
    expect(metrics["reranking@7"].accuracy).toBeLessThanOrEqual(metrics["pass@7"].accuracy);
  });

  test("evaluate --reranker takes a classifier's adapter, whose tokenizer is its base model's", async () => {
    const [adapted, reranker] = [join(home, "adapted"), join(home, "adaptedReranker")];
    writeTinyAdapter(adapted, loadCheckpoint(warmup, "best")!.folder, 0.1);
    const classifier = createClassifier(loadModel(adapted), 1);
    saveClassifier(classifier, reranker);
    disposeClassifier(classifier);
    const flags = ["--max-new-tokens", "60", "--samples", "2", "--reranker", reranker];
    expect(await evaluate("--model", adapted, ...flags), said.stderr).toBe(0);
    expect(results().summary.metrics).toHaveProperty("reranking@2");
  });

  test("evaluate says how many samples the sandbox could not run", async () => {
    const folder = join(home, "voted");
    const path = join(folder, "samples.jsonl");
    const lines = readFileSync(path, "utf8").split("\n");
    const outcome = { kind: "infrastructure", message: "down" };
    lines[3] = JSON.stringify({ ...JSON.parse(lines[3]!), outcome, correct: false });
    writeFileSync(path, lines.join("\n"));
    const flags = ["--model", warmup, "--max-new-tokens", "60", "--samples", "7", "--seed", "3"];
    expect(await main(["evaluate", "--data", data, "--output", folder, ...flags])).toBe(0);
    expect(said.error).toContain("the sandbox could not run 1 of 56 programs");
    const details = JSON.parse(readFileSync(join(folder, "results.json"), "utf8"));
    expect(details.sampleInfrastructureFailures).toBe(1);
  });

  test("evaluate refuses a reranker whose tokenizer does not fit it, before any answer", async () => {
    const reranker = join(home, "unfit");
    cpSync(join(home, "reranker"), reranker, { recursive: true });
    const config = JSON.parse(readFileSync(join(reranker, "config.json"), "utf8"));
    writeFileSync(join(reranker, "config.json"), JSON.stringify({ ...config, vocab_size: 9 }));
    const flags = ["--model", warmup, "--samples", "7", "--reranker", reranker];
    expect(await evaluate(...flags)).toBe(1);
    expect(said.stderr).toContain("they do not belong together");
    expect(existsSync(join(home, "evaluated"))).toBe(false);
  });

  test.each([
    [["--reranker", warmup, "--samples", "7"], /LlamaForSequenceClassification/],
    [["--reranker", warmup], /--reranker: chooses among sampled answers: give samples, too\n$/],
  ])("evaluate refuses %j, and writes nothing", async (flags, message) => {
    expect(await evaluate("--model", warmup, ...flags)).toBe(1);
    expect(said.stderr).toMatch(message);
    expect(existsSync(join(home, "evaluated"))).toBe(false);
  });

  /** Prompt tokens of a line of the data, beginning of the program included. */
  function promptTokens(line: number): number {
    const folder = loadCheckpoint(warmup, "best")!.folder;
    const { question } = readExamples(data)[line]!;
    const { sampling } = readAnswerFormat(folder)!;
    return samplingPrompt(loadTokenizer(folder), { question }, sampling).tokens.length;
  }

  test("evaluate --questions takes the first so many", async () => {
    const flags = ["--model", reft, "--questions", "4", "--max-new-tokens", "60"];
    expect(await evaluate(...flags), said.stderr).toBe(0);
    expect(results().summary.questions).toBe(4);
    expect(results().answers.every(({ id }) => id.startsWith("generated-train"))).toBe(true);
  });

  test("evaluate lets answers take the positions that the longest prompt leaves, if fewer than 256", async () => {
    expect(await evaluate("--model", warmup, "--questions", "1"), said.stderr).toBe(0);
    expect(results().summary.maxNewTokens).toBe(256 - promptTokens(0));
  });

  test("evaluate refuses questions that the model has no positions for, and writes nothing", async () => {
    const [tokens, room] = [promptTokens(0), 256 - promptTokens(0)];
    const flags = ["--model", warmup, "--questions", "1", "--max-new-tokens"];
    expect(await evaluate(...flags, `${room + 1}`)).toBe(1);
    expect(said.stderr).toBe(
      `reft evaluate: ${data}: question "generated-train-0" has ${tokens} prompt tokens, which of the model's 256 ` +
        `positions leave ${room} for the answer, expected at least ${room + 1}; lower --max-new-tokens\n`,
    );
    expect(existsSync(join(home, "evaluated"))).toBe(false);
    expect(await evaluate(...flags, `${room}`), said.stderr).toBe(0);
  });

  test("evaluate names a question that leaves no position for an answer", async () => {
    const question = "How many apples are in the boxes? ".repeat(40);
    const long = join(home, "long.jsonl");
    writeFileSync(long, `${JSON.stringify({ id: "long", question, answer: 1 })}\n`);
    expect(await main(["evaluate", "--model", warmup, "--data", long, "--output", home])).toBe(1);
    expect(said.stderr).toMatch(
      /positions leave 0 for the answer, .* 1; shorten it or leave it out\n$/,
    );
  });

  test.each(["questions", "max-new-tokens", "slots", "samples"])(
    "evaluate refuses --%s 0",
    async (flag) => {
      expect(await evaluate("--model", warmup, `--${flag}`, "0")).toBe(1);
      expect(said.stderr).toBe(
        `reft evaluate: --${flag}: expected a whole number of at least 1, found 0\n`,
      );
    },
  );
});
