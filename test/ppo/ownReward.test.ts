// Training with rewards of a user's own, from a model from scratch to reinforced steps.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test, vi } from "vitest";
import { main } from "../../src/cli.ts";
import type { ReftConfig, SftConfig } from "../../src/config.ts";
import { readExamples } from "../../src/data/examples.ts";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import { trainReft } from "../../src/ppo/train.ts";
import { readSampleGroups } from "../../src/reward/samples.ts";
import type { RewardSettings } from "../../src/rewardConfig.ts";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";
import { trainSft } from "../../src/sft/train.ts";
import { ask } from "../../src/tasks/ask.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { metricsOf, tinyReft, tinySft, writeTinyData } from "../support/tiny.ts";

vi.spyOn(console, "error").mockImplementation(() => {});
vi.spyOn(process.stderr, "write").mockImplementation(() => true);

const home = temporaryFolder();
const data = join(home, "data");
const at = (name: string) => join(home, name);
const fileReward = (name: string): RewardSettings => [{ use: "file", file: at(name) }];

/** Rewards letters that a column of the row asks for; says how many there were. */
const letters = `
import { defineReward } from "reft";
const count = (text: string, letter: unknown): number => text.split(String(letter)).length - 1;
export default defineReward(async ({ text, row, tokens }) => {
  const letters = count(text, row.letter);
  return { score: letters / tokens.length, correct: letters > 3, vote: letters, logs: { letters } };
});`;

const python = `
def score(answer, row):
    letters = answer.count(row["letter"])
    return {"score": letters, "correct": letters > 3, "vote": letters, "logs": {"letters": letters}}
`;

const sft = (reward: RewardSettings): SftConfig => {
  const config = tinySft(data);
  return { ...config, reward, training: { ...config.training, epochs: 1 } };
};
const reft = (reward: RewardSettings, maxSteps: number): ReftConfig => {
  const config = tinyReft(data, at("warmup"));
  const ppo = { ...config.ppo, partialReward: 0 };
  return { ...config, reward, ppo, training: { ...config.training, maxSteps } };
};

beforeAll(async () => {
  writeTinyData(data);
  for (const split of ["train", "dev"]) {
    const path = join(data, `${split}.jsonl`);
    writeJsonl(
      path,
      readExamples(path).map((row) => ({ ...row, letter: "e" })),
    );
  }
  writeFileSync(at("letters.ts"), letters);
  await trainSft(sft(fileReward("letters.ts")), at("warmup"));
});

test("the reward of SFT measures its dev answers, figures included", () => {
  const figures = metricsOf(at("warmup")).at(-1)!;
  expect(figures).toHaveProperty("eval/reward/letters");
  expect(figures).toHaveProperty("eval/reward/letters.ts");
  const line = readFileSync(join(at("warmup"), "samples", "step-000003.jsonl"), "utf8").split(
    "\n",
  )[0]!;
  const { text, vote } = JSON.parse(line);
  expect(vote).toBe(String(text.split("e").length - 1));
});

test("ReFT learns from a reward in TypeScript, and does not go on with another content of its file", async () => {
  const reward: RewardSettings = [
    ...fileReward("letters.ts"),
    { use: "length", maxTokens: 8, weight: 0.5 },
  ];
  const logging = { rollouts: { everySteps: 1, questions: 3 } };
  await trainReft({ ...reft(reward, 1), logging }, at("typescript"));
  const [, step] = metricsOf(at("typescript"));
  const sum = step!["reward/letters.ts"]! + 0.5 * step!["reward/length"]!;
  expect(step!["reward/score"]).toBeCloseTo(sum, 12);
  expect(step!["reward/letters"]).toBeGreaterThanOrEqual(0);
  const path = join(at("typescript"), "rollouts", "step-000001.jsonl");
  const kept = readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(kept.map(({ id }) => id)).toEqual([0, 2, 4].flatMap((i) => [kept[i]!.id, kept[i]!.id]));
  expect(new Set(kept.map(({ id }) => id)).size).toBe(3);
  for (const { text, score, logs } of kept) {
    expect(logs.letters).toBe(text.split("e").length - 1);
    expect(score).toBeCloseTo(logs["letters.ts"] + 0.5 * logs.length, 12);
  }
  await trainReft(reft(reward, 2), at("typescript"));
  expect(readdirSync(join(at("typescript"), "rollouts"))).toEqual(["step-000001.jsonl"]);
  expect(metricsOf(at("typescript"))).toHaveLength(3);
  writeFileSync(at("letters.ts"), `${letters} // changed`);
  await expect(trainReft(reft(reward, 3), at("typescript"))).rejects.toThrow(
    /began with other contents of reward .*letters\.ts: give it the same files again/,
  );
  const lighter: RewardSettings = [reward[0]!, { use: "length", maxTokens: 8, weight: 0.1 }];
  await expect(trainReft(reft(lighter, 3), at("typescript"))).rejects.toThrow(
    /reward\.1\.weight: was 0\.5, is now 0\.1/,
  );
});

test("ReFT learns from a reward in Python", async () => {
  writeFileSync(at("letters.py"), python);
  await trainReft(reft(fileReward("letters.py"), 1), at("python"));
  const [, step] = metricsOf(at("python"));
  expect(step!["reward/score"]).toBe(step!["reward/letters"]);
  expect(step!["eval/reward/letters"]).toBeGreaterThanOrEqual(0);
});

test("a function of the caller's is a reward, too", async () => {
  const { reward: _, ...config } = reft([], 1);
  await trainReft(config, at("function"), { reward: ({ tokens }) => tokens.length / 8 });
  const [, step] = metricsOf(at("function"));
  expect(step!["reward/score"]).toBeCloseTo(step!["response/lengthTokens"]! / 8, 12);
  await expect(
    trainReft(reft(fileReward("letters.ts"), 1), at("both"), { reward: () => 1 }),
  ).rejects.toThrow("reward: expected none in the settings");
});

test("a reward that throws stops the run with the row's id; the checkpoint before it is whole", async () => {
  const throwing = `export default ({ id, tokens }) => {
  if (id.includes("train") && tokens.length <= 8) throw new Error("no word list for " + id);
  return 0;
};`;
  writeFileSync(at("throwing.mjs"), throwing);
  const failure = trainReft(reft(fileReward("throwing.mjs"), 1), at("throwing"));
  await expect(failure).rejects.toThrow(
    /the reward .*throwing\.mjs failed on row "(.*train.*)": no word list for \1 \(.*throwing\.mjs:2:\d+\)\. What was written before is intact/,
  );
  expect(loadCheckpoint(at("throwing"), "last")).toMatchObject({ step: 0 });
  expect(metricsOf(at("throwing"))).toHaveLength(1);
});

test("reft evaluate takes a reward: its figures stand in the results, its votes in the samples", async () => {
  writeFileSync(at("letters.ts"), letters);
  const output = at("evaluated");
  const command = (reward: string) => [
    ...["evaluate", "--model", at("warmup"), "--data", join(data, "dev.jsonl")],
    ...["--samples", "3", "--max-new-tokens", "8", "--workers", "1", "--memory-megabytes", "256"],
    ...["--output", output, "--reward", reward],
  ];
  const print = vi.spyOn(console, "log").mockImplementation(() => {});
  const asked = `[{use: file, file: ${at("letters.ts")}}, {use: overlong, maxTokens: 8, bufferTokens: 4}]`;
  expect(await main(command(asked))).toBe(0);
  const results = JSON.parse(readFileSync(join(output, "results.json"), "utf8"));
  expect(results["reward/letters"]).toBeGreaterThanOrEqual(0);
  expect(results["reward/overlong"]).toBeLessThanOrEqual(0);
  const samples = readSampleGroups(join(output, "samples.jsonl")).flat();
  for (const { text, vote } of samples) expect(vote).toBe(String(text.split("e").length - 1));
  const said = vi.mocked(process.stderr.write);
  expect(await main(command(at("letters.ts")))).toBe(1);
  expect(String(said.mock.lastCall![0])).toMatch(/results\.json: expected results of the reward /);
  rmSync(join(output, "results.json"));
  expect(await main(command(at("letters.ts")))).toBe(1);
  expect(String(said.mock.lastCall![0])).toMatch(
    /samples\.jsonl: was made with other settings or inputs:\n.*reward/,
  );
  expect(await main(command("written"))).toBe(1);
  expect(String(said.mock.lastCall![0])).toContain(
    '"written": expected a written form as data.cotKind, found "python"',
  );
  expect(await main(command("nothing"))).toBe(1);
  expect(String(said.mock.lastCall![0])).toContain('--reward: expected "program", "written"');
  print.mockRestore();
});

test("texts that are learned by heart come out right, and are asked for as they were learned", async () => {
  const texts = at("texts");
  const rows = ["red", "blue", "cold", "warm"].map((word, i) => {
    const answer = `${word} is number ${i}`;
    return { id: `t${i}`, question: word, cot: answer, answer };
  });
  for (const split of ["train", "dev"]) writeJsonl(join(texts, `${split}.jsonl`), rows);
  const config = tinySft(texts);
  const run = at("byHeart");
  const best = await trainSft(
    {
      ...config,
      data: { ...config.data, cotKind: "text", programPrefix: "none" },
      training: { ...config.training, epochs: 80, scheduleEpochs: 80 },
      evaluation: { ...config.evaluation, everyEpochs: 80, maxNewTokens: 30 },
    },
    run,
  );
  expect(best).toBe(1);
  expect(await ask({ model: run, question: "cold" })).toEqual({
    text: "cold is number 2",
    outcome: { kind: "answer", value: "cold is number 2" },
  });
});
