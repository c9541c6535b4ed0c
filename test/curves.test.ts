// What scripts/curves.ts makes of the records of runs.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { roundTicks } from "../src/evaluate/svg.ts";
import { runFile } from "./support/runFile.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";

const curves = (...args: string[]) => runFile("scripts/curves.ts", args);

/** A run's folder with settings and one line per step. */
function run(name: string, settings: string, steps: readonly object[]): string {
  const folder = join(temporaryFolder(), name);
  mkdirSync(folder);
  writeFileSync(join(folder, "config.yaml"), settings);
  const lines = steps.map((values, step) => `${JSON.stringify({ step, ...values })}\n`);
  writeFileSync(join(folder, "metrics.jsonl"), lines.join(""));
  return folder;
}

test("samples and minutes are counted up to each measured step, and every run gets a line in both panels", () => {
  const sft = run("sft", "stage: sft\ntraining: { batchSize: 16 }\n", [
    { "time/stepSeconds": 60 },
    { "time/stepSeconds": 90, "eval/accuracy": 0.5 },
  ]);
  const rollout = "rollout: { questionsPerStep: 8, samplesPerQuestion: 4 }";
  const reft = run("reft", `stage: reft\n${rollout}\n`, [
    { "eval/accuracy": 0.5 },
    { "time/stepSeconds": 60, "time/rolloutSeconds": 30 },
    { "time/stepSeconds": 60, "time/rolloutSeconds": 36, "eval/accuracy": 0.625 },
  ]);
  const picture = join(temporaryFolder(), "curves.svg");
  const { stdout, stderr } = curves("--runs", `${sft},${reft}`, "--picture", picture);
  expect(stderr).toBe("");
  expect(stdout.split("\n").slice(2, -1)).toEqual([
    "| sft  | 1    | 16      | 2.5     | 0.0              | 50.0   |",
    "| reft | 0    | 0       | 0.0     | 0.0              | 50.0   |",
    "| reft | 2    | 64      | 2.0     | 1.1              | 62.5   |",
  ]);
  const svg = readFileSync(picture, "utf8");
  expect(svg.match(/<polyline/g)).toHaveLength(4);
  expect(svg).toMatch(/rotate\(-90\)"><text[^>]*>accuracy on dev, %</);
  // 64 samples on a scale of 0 to 80 over 290 units, 62.5 % on one of 50 to 65 over 230
  expect(svg).toContain('points="0,230 232,38.3"');
});

test("ticks are round, enclose both ends, and there are two to seven of them", () => {
  expect(roundTicks(70.5, 76.4)).toEqual([70, 72, 74, 76, 78]); // at a distance of 1 they would be eight
  expect(roundTicks(0, 64)).toEqual([0, 20, 40, 60, 80]);
  expect(roundTicks(0.1, 0.4)).toEqual([0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4]);
  expect(roundTicks(0.1, 0.4, 1)).toEqual([0, 1]);
  expect(roundTicks(5, 5)).toEqual([5, 6]);
});

test("a reranker's run is refused by name", () => {
  const folder = run("rerank", "stage: rerank\n", []);
  const { status, stderr } = curves("--runs", folder);
  expect(status).toBe(1);
  expect(stderr).toBe(
    `curves: ${join(folder, "config.yaml")}: expected the settings of train-sft or train-reft\n`,
  );
});
