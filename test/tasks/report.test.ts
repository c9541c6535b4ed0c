import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { main } from "../../src/cli.ts";
import { writeReport } from "../../src/evaluate/report.ts";
import type { ReportData } from "../../src/report/data.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { makeRun } from "../support/reportRun.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const said = captureOutput();

function evaluation(folder: string, top1: readonly number[], question = "How many?"): string {
  const questions = top1.map((share, i) => ({ id: `q${i}`, question, shares: { top1: share } }));
  const counts = { questions: top1.length };
  writeReport(folder, { model: "m", data: "test.jsonl", ...counts }, questions, 1);
  return folder;
}

function dataOf(file: string): ReportData {
  const packed = /id="packed-data">([^<]*)</.exec(readFileSync(file, "utf8"))![1]!;
  return JSON.parse(gunzipSync(Buffer.from(packed, "base64")).toString());
}

test("several runs stand in one page, with their evaluations compared and their settings side by side", async () => {
  const home = temporaryFolder();
  const [first, second] = ["sft", "reft"].map((name) =>
    makeRun(join(home, name), { figures: [{}], settings: `seed: ${name.length}\n` }),
  );
  evaluation(join(first!, "test"), [0, 0, 1, 0, 0, 0]);
  evaluation(join(second!, "test"), [1, 1, 1, 1, 1, 0]);
  const other = evaluation(join(home, "other"), [1], "Another question?");
  const output = join(home, "new", "report.html");
  expect(await main(["report", first!, second!, other, "--output", output])).toBe(0);
  expect(said.log).toBe(`${output}: runs 2, evaluations 3; open it in a browser`);
  const { runs, settings, evaluations, comparisons } = dataOf(output);
  expect(runs.map(({ name }) => name)).toEqual(["sft", "reft"]);
  expect(settings.find(({ path }) => path === "seed")!.values).toEqual(["3", "4"]);
  expect(evaluations.map(({ folder }) => folder)).toEqual([
    ...[other, join(first!, "test"), join(second!, "test")],
  ]);
  expect(comparisons.map(({ a, b }) => [a, b])).toEqual([
    [join(first!, "test"), join(second!, "test")],
  ]);
  expect(comparisons[0]!.metrics.top1).toMatchObject({ test: "McNemar", difference: 4 / 6 });
});

test("a folder of runs gives them all, by a name that tells them apart", async () => {
  const home = temporaryFolder();
  for (const seed of ["seed-1", "seed-2"]) makeRun(join(home, seed, "reft"), { figures: [{}] });
  const output = join(home, "report.html");
  expect(await main(["report", home, join(home, "seed-1", "reft"), "--output", output])).toBe(0);
  const names = dataOf(output).runs.map(({ name }) => name);
  expect(names).toEqual([join(home, "seed-1", "reft"), join(home, "seed-2", "reft")]);
});

test("a run that has not begun is left out, with a sentence, and refused alone", async () => {
  const home = temporaryFolder();
  makeRun(join(home, "begun"), { figures: [{}] });
  const fresh = makeRun(join(home, "fresh"), { figures: [] });
  const output = join(home, "report.html");
  expect(await main(["report", home, "--output", output])).toBe(0);
  expect(said.log).toContain(`${fresh}: left out, because it has no figures yet.`);
  expect(dataOf(output).runs.map(({ name }) => name)).toEqual(["begun"]);
  expect(await main(["report", fresh, "--output", output])).toBe(1);
  expect(said.stderr).toContain("expected a line of figures per step, found none");
});

test("a folder without runs is refused, and nothing is written", async () => {
  const home = temporaryFolder();
  const output = join(home, "report.html");
  expect(await main(["report", home, "--output", output])).toBe(1);
  expect(said.stderr).toContain(
    `reft report: ${home}: expected a run's folder (with config.yaml and checkpoints/) or an evaluation's ` +
      "(with results.json and questions.jsonl), found neither, nor a folder with one; check the path",
  );
  expect(existsSync(output)).toBe(false);
});
