// `reft sample` with a tiny model that has learned nothing and a sandbox that runs nothing.
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { main } from "../../src/cli.ts";
import { readExamples } from "../../src/data/examples.ts";
import { extractProgram } from "../../src/reward/extract.ts";
import type { Outcome } from "../../src/reward/outcome.ts";
import { readSampleGroups } from "../../src/reward/samples.ts";
import { Rng } from "../../src/rng.ts";
import { takeLock } from "../../src/run/lock.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { fakeSandbox, shareOf } from "../support/fakeSandbox.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { writeTinyData, writeTinyModel } from "../support/tiny.ts";

/** A quarter of the programs is right for a gold answer of 0, 1, 2 or 3. */
const guess = (program: string): Outcome => ({
  kind: "answer",
  value: Math.floor(4 * shareOf(program)),
});
let outcomeOf = guess;
vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () => fakeSandbox((program) => outcomeOf(program)),
}));

const home = temporaryFolder();
const [model, data] = [join(home, "model"), join(home, "train.jsonl")];
writeTinyModel(model, writeTinyData(home, 12));

const said = captureOutput();
beforeEach(() => {
  outcomeOf = guess;
});

const outputOf = (name: string) => join(home, `${name}.jsonl`);
const textOf = (name: string) => readFileSync(outputOf(name), "utf8");

/** 5 samples of 12 questions in blocks of 4 questions. */
function sample(name: string, ...flags: string[]): Promise<number> {
  const usual = ["--samples", "5", "--max-new-tokens", "6", "--slots", "2", "--seed", "1"];
  const given = ["--model", model, "--data", data, "--output", outputOf(name)];
  return main([
    "sample",
    ...given,
    ...usual.filter((_, i) => !flags.includes(usual[i - (i % 2)]!)),
    ...flags,
  ]);
}

test("reft sample writes all samples of a question together, judged and counted", async () => {
  expect(await sample("whole"), said.stderr).toBe(0);
  const groups = readSampleGroups(outputOf("whole"));
  const samples = groups.flat();
  const examples = readExamples(data);
  expect(groups.map(([first]) => first!.id)).toEqual(examples.map(({ id }) => id));
  groups.forEach((group, i) => {
    const { id, question, answer } = examples[i]!;
    expect(group.map((line) => line.sample)).toEqual([0, 1, 2, 3, 4]);
    for (const line of group) {
      expect(line).toMatchObject({ id, question, answer });
      expect(line.text).toMatch(/^def solution\(\):/);
      expect(line.outcome).toEqual(guess(extractProgram(line.text)));
      expect(line.correct).toBe(line.outcome.kind === "answer" && line.outcome.value === answer);
      expect(line.score).toBe(line.correct ? 1 : 0);
    }
    expect(new Set(group.map(({ text }) => text)).size).toBeGreaterThan(1);
  });
  const correct = samples.filter((line) => line.correct).length;
  expect(said.log).toContain(
    `12 questions, 60 samples: ${correct} (${(correct / 0.6).toFixed(1)}%) correct`,
  );
});

test("a sample is marked as a duplicate when one before it, of the same question, has its text", async () => {
  expect(await sample("short", "--max-new-tokens", "1", "--samples", "60"), said.stderr).toBe(0);
  const groups = readSampleGroups(outputOf("short"));
  let duplicates = 0;
  for (const group of groups) {
    const texts = group.map(({ text }) => text);
    expect(group.map((line) => line.isDuplicate)).toEqual(
      texts.map((text, i) => texts.indexOf(text) < i),
    );
    duplicates += group.length - new Set(texts).size;
  }
  expect(duplicates).toBeGreaterThan(10);
  expect(said.log).toContain(`${duplicates} (${(duplicates / 7.2).toFixed(1)}%) duplicates`);
});

test("the samples depend on the seed, the question's id and their number, not on the slots", async () => {
  await sample("whole");
  const named = vi.spyOn(Rng, "named");
  expect(await sample("wide", "--slots", "7")).toBe(0);
  expect(textOf("wide")).toBe(textOf("whole"));
  expect(named).toHaveBeenCalledWith(1, `${readExamples(data)[11]!.id} sample 4`);
  expect(await sample("other", "--seed", "2")).toBe(0);
  expect(textOf("other")).not.toBe(textOf("whole"));
});

describe("a sampling that was stopped goes on, and the file becomes the same byte by byte:", () => {
  test("after Ctrl-C", async () => {
    await sample("whole");
    outcomeOf = (program) => {
      process.kill(process.pid, "SIGINT");
      outcomeOf = guess;
      return guess(program);
    };
    expect(await sample("interrupted")).toBe(1);
    expect(said.stderr).toContain(
      "stopped after 4 of 12 questions; the same command goes on from there",
    );
    expect(readSampleGroups(outputOf("interrupted")).flat()).toHaveLength(20);
    expect(await sample("interrupted"), said.stderr).toBe(0);
    expect(textOf("interrupted")).toBe(textOf("whole"));
  });

  test.each([
    ["with a torn last line", (path: string) => truncateSync(path, textOf("whole").length - 40)],
    ["with a torn block", (path: string) => appendFileSync(path, '{"id":"generated-train')],
  ])("%s", async (name, tear) => {
    await sample("whole");
    expect(await sample(name)).toBe(0);
    tear(outputOf(name));
    const judged = vi.fn(guess);
    outcomeOf = judged;
    expect(await sample(name), said.stderr).toBe(0);
    expect(judged.mock.calls.length).toBeLessThanOrEqual(20);
    expect(textOf(name)).toBe(textOf("whole"));
  });

  test("when all is there, nothing is done again", async () => {
    await sample("whole");
    outcomeOf = () => expect.fail("nothing is left to run");
    said.log = "";
    expect(await sample("whole"), said.stderr).toBe(0);
    expect(said.log).toContain("12 questions, 60 samples");
  });
});

test("a file that another process writes is left to it", async () => {
  const giveBack = takeLock(`${outputOf("shared")}.lock`);
  expect(await sample("shared")).toBe(1);
  expect(said.stderr).toContain(`shared.jsonl.lock: in use by process ${process.pid}`);
  expect(existsSync(outputOf("shared"))).toBe(false);
  giveBack();
  expect(await sample("shared"), said.stderr).toBe(0);
  expect(readdirSync(home).filter((name) => name.endsWith(".lock"))).toEqual([]);
});

test("samples of another kind never get into one file", async () => {
  await sample("whole");
  const before = textOf("whole");
  expect(await sample("whole", "--seed", "2")).toBe(1);
  expect(said.stderr).toContain("seed: was 1, is now 2");
  expect(await sample("whole", "--kv-cache-dtype", "bf16")).toBe(1);
  expect(said.stderr).toContain("--kv-cache-dtype: was not set, is now bf16");
  expect(textOf("whole")).toBe(before);
});

test("a sandbox that fails often stops the sampling, and its block is not written", async () => {
  let programs = 0;
  outcomeOf = (program) =>
    ++programs > 20 ? { kind: "infrastructure", message: "down" } : guess(program);
  expect(await sample("failing")).toBe(1);
  expect(said.stderr).toMatch(/sampling: the sandbox could not run \d+ of 20 programs \(down\)/);
  expect(readSampleGroups(outputOf("failing")).flat()).toHaveLength(20);
  outcomeOf = guess;
  expect(await sample("failing")).toBe(0);
  await sample("whole");
  expect(textOf("failing")).toBe(textOf("whole"));
});

test("answers in natural language are read, not run", async () => {
  outcomeOf = () => expect.fail("nothing to run");
  expect(await sample("nl", "--cot", "nl", "--program-prefix", "none"), said.stderr).toBe(0);
  for (const { outcome } of readSampleGroups(outputOf("nl")).flat())
    expect(outcome.kind).toBe("no-answer");
});

test("a model without reft.json is asked for programs, or as it is told to, and that is said", async () => {
  rmSync(join(model, "reft.json"));
  const notice = (flags: string) =>
    `${model} has no reft.json to say how to ask: with cotKind ${flags}`;
  expect(await sample("plain"), said.stderr).toBe(0);
  expect(said.error).toContain(notice("python, programPrefix docstring"));
  expect(await sample("told", "--program-prefix", "def"), said.stderr).toBe(0);
  expect(said.error).toContain(notice("python, programPrefix def"));
  expect(await sample("written", "--cot", "nl"), said.stderr).toBe(0);
  expect(said.error).toContain(notice("nl, programPrefix none"));
});

test.each(["samples", "questions", "max-new-tokens", "slots"])("refuses --%s 0", async (flag) => {
  expect(await sample("none", `--${flag}`, "0")).toBe(1);
  expect(said.stderr).toBe(
    `reft sample: --${flag}: expected a whole number of at least 1, found 0\n`,
  );
});
