import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import {
  createClassifier,
  createClassifierScorer,
  disposeClassifier,
} from "../../src/model/classifier.ts";
import { loadModelFolder } from "../../src/models/modelFolder.ts";
import { classifyToFile, readProbabilities } from "../../src/rerank/classify.ts";
import { classifierSequences } from "../../src/rerank/input.ts";
import { readSampleGroups } from "../../src/reward/samples.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { writeTinyData, writeTinyModel, writeTinySamples } from "../support/tiny.ts";

const home = temporaryFolder();
const problems = writeTinyData(home, 40);
writeTinyModel(home, problems);
writeTinySamples(home, problems);
const { model, tokenizer } = loadModelFolder(home);
const classifier = createClassifier(model, 1);
afterAll(() => {
  disposeClassifier(classifier);
});

/** Three samples to each of 20 questions, the last one with the text of the first. */
const groups = readSampleGroups(join(home, "samples.jsonl")).map((group) =>
  group.with(2, { ...group[2]!, text: group[0]!.text, isDuplicate: true }),
);
const fileOf = (name: string) => join(home, `${name}.jsonl`);

function classify(
  name: string,
  onBlock: (done: number) => void = () => {},
  of = groups,
  classifierHash = "a",
) {
  return classifyToFile(fileOf(name), classifier, tokenizer, of, { classifierHash }, onBlock);
}

test("every sample has the probability that its text has alone; copies have the same", async () => {
  await classify("whole");
  const scorer = createClassifierScorer(classifier);
  const probabilities = readProbabilities(fileOf("whole"), groups);
  groups.forEach((group, g) => {
    group.forEach(({ question, text }, i) => {
      const [alone] = scorer.score(classifierSequences(tokenizer, question, [text]), 512);
      expect(probabilities[g]![i]).toBeCloseTo(alone!, 5);
    });
    expect(probabilities[g]![2]).toBe(probabilities[g]![0]);
    expect(probabilities[g]![1]).not.toBe(probabilities[g]![0]);
  });
  scorer.dispose();
  const [first] = readFileSync(fileOf("whole"), "utf8").split("\n");
  expect(JSON.parse(first!)).toEqual({
    ...{ id: groups[0]![0]!.id, sample: 0 },
    probability: probabilities[0]![0],
  });
});

test("a stop or a torn line changes nothing in the end", async () => {
  const done: number[] = [];
  const stop = classify("stopped", (questions) => {
    done.push(questions);
    if (questions === 16) throw new Error("stop");
  });
  await expect(stop).rejects.toThrow("stop");
  truncateSync(fileOf("stopped"), readFileSync(fileOf("stopped")).length - 9);
  await classify("stopped", (questions) => done.push(questions));
  expect(done).toEqual([0, 8, 16, 8, 16, 20]);
  expect(readFileSync(fileOf("stopped"), "utf8")).toBe(readFileSync(fileOf("whole"), "utf8"));
});

test("what is longer than the classifier's positions has the probability 0", async () => {
  const long = [groups[0]!.with(1, { ...groups[0]![1]!, text: "x = 1\n".repeat(256) })];
  await classify("long", () => {}, long);
  const [[first, second]] = readProbabilities(fileOf("long"), long) as [[number, number, number]];
  expect(first).toBeGreaterThan(0);
  expect(second).toBe(0);
});

test("probabilities of another classifier are replaced", async () => {
  const starts: number[] = [];
  const classifyBy = async (classifierHash: string) => {
    const done: number[] = [];
    await classify("tried", (questions) => done.push(questions), groups, classifierHash);
    starts.push(done[0]!);
  };
  for (const hash of ["a", "a", "b", "b"]) await classifyBy(hash);
  expect(starts).toEqual([0, 20, 0, 20]);
  expect(readFileSync(fileOf("tried"), "utf8")).toBe(readFileSync(fileOf("whole"), "utf8"));
});
