// Which stages a recipe runs, on what, and which again: with stages that only write down what they were given.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { beforeEach, expect, test, vi } from "vitest";
import { UserError } from "../../src/errors.ts";
import { parseOverride } from "../../src/settings.ts";
import { planRecipe, runRecipe } from "../../src/tasks/runRecipe.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const fake = vi.hoisted(() => {
  const calls: { stage: string; given: unknown }[] = [];
  const record = (folder: string, given: unknown) =>
    calls.push({ stage: folder.split("/").at(-1)!, given });
  const train = async (config: unknown, folder: string) => {
    record(folder, config);
    return 0.5;
  };
  return { calls, record, train, sampled: [] as string[] };
});

vi.mock("../../src/sft/train.ts", () => ({ trainSft: fake.train }));
vi.mock("../../src/ppo/train.ts", () => ({ trainReft: fake.train }));
vi.mock("../../src/rerank/train.ts", () => ({ trainRerank: fake.train }));
vi.mock("../../src/tasks/prepareData.ts", () => ({
  prepareData: async ({ output, seed }: { output: string; seed: number }) => {
    fake.record(output, undefined);
    for (const name of ["train", "dev", "test", "answers"])
      writeFileSync(join(output, `${name}.jsonl`), name === "test" ? name : `${name} ${seed}`);
    return "";
  },
}));
vi.mock("../../src/tasks/sample.ts", () => ({
  sample: async (given: { output: string }) => {
    fake.record(dirname(given.output), given);
    writeFileSync(given.output, "");
    return { questions: 1, samples: 1, correct: 1, duplicates: 0, solved: 1 };
  },
}));
vi.mock("../../src/tasks/evaluate.ts", () => ({
  evaluate: async (given: { output: string; seed: number; reranker?: string }) => {
    fake.record(given.output, given);
    const samples = join(given.output, "samples.jsonl");
    if (!existsSync(samples)) {
      fake.sampled.push(basename(given.output));
      writeFileSync(samples, basename(given.output));
      writeFileSync(join(given.output, "samples.manifest.json"), "{}");
    }
    const share = given.seed / 4;
    const shares = { top1: given.seed === 1 ? 0 : 1, "voting@2": share, "pass@2": share };
    const judged = given.reranker ? { ...shares, "reranking@2": share } : shares;
    const line = { id: "a", question: "?", shares: judged };
    writeFileSync(join(given.output, "questions.jsonl"), `${JSON.stringify(line)}\n`);
    return {};
  },
}));

vi.spyOn(console, "error").mockImplementation(() => {});
beforeEach(() => {
  fake.calls.length = 0;
  fake.sampled.length = 0;
});

/** One call of the command. Returns the names of the stages that ran, in their order. */
async function run(folder: string, ...set: string[]): Promise<string[]> {
  fake.calls.length = 0;
  await runRecipe("configs/tiny/recipe.yaml", ["seeds=[1]", ...set].map(parseOverride), folder);
  return fake.calls.map(({ stage }) => stage);
}

const all = [
  ...["data", "warmup", "sft", "reft", "trainSamples", "devSamples", "rerankSft", "rerankReft"],
  ...["testWarmup", "testSft", "testSftReranked", "testReft", "testReftReranked"],
];

test("lists every stage that allows longer texts than the model has positions, before anything runs", async () => {
  const folder = join(temporaryFolder(), "never");
  const problem = await userErrorOf(() =>
    run(
      folder,
      ...["stages.reft.set.data.maxPromptTokens=600", "stages.rerankSft.set.data.maxTokens=700"],
      ...["reft", "rerankSft"].map((name) => `stages.${name}.set.training.microBatchTokens=4096`),
    ),
  );
  expect(problem).toMatch(
    /positions of the warm-up's model, found\n.*reft.*\n.*rerankSft.*700.*\nLower/,
  );
  expect(existsSync(folder)).toBe(false);
});

test("runs every stage once, each on what the others made", async () => {
  const folder = temporaryFolder();
  expect(await run(folder)).toEqual(all);
  const given = (stage: string) => fake.calls.find((call) => call.stage === stage)!.given;
  const stages = join(folder, "seed-1");
  expect(given("sft")).toMatchObject({
    model: { init: join(stages, "warmup") },
    data: { train: join(folder, "data", "train.jsonl") },
  });
  expect(given("trainSamples")).toMatchObject({
    model: join(stages, "warmup"),
    data: join(folder, "data", "answers.jsonl"),
    samples: 8,
    questions: 1000,
    seed: 1,
  });
  expect(given("rerankReft")).toMatchObject({
    model: { init: join(stages, "reft") },
    data: { devSamples: join(stages, "devSamples", "samples.jsonl") },
  });
  expect(given("testReftReranked")).toMatchObject({
    model: join(stages, "reft"),
    reranker: join(stages, "rerankReft"),
    data: join(folder, "data", "test.jsonl"),
    samples: 100,
  });
  expect(given("testReft")).not.toHaveProperty("reranker");
  expect(given("testReft")).not.toHaveProperty("kvCacheDtype");
  expect(await run(folder)).toEqual([]);
});

test("asks with a cache of bf16 where the recipe says so", async () => {
  await run(temporaryFolder(), "answers.kvCacheDtype=bf16");
  const asked = fake.calls.filter(({ stage }) => /^test|Samples$/.test(stage));
  expect(asked.map(({ given }) => given)).toEqual(
    Array(7).fill(expect.objectContaining({ kvCacheDtype: "bf16" })),
  );
});

test("a reranker judges the samples that its model was measured with", async () => {
  const folder = temporaryFolder();
  await run(folder);
  expect(fake.sampled).toEqual(["testWarmup", "testSft", "testReft"]);
  const path = join(folder, "seed-1", "testReftReranked", "samples.jsonl");
  expect(readFileSync(path, "utf8")).toBe("testReft");
});

test.each([
  [
    "stages.reft.set.optimizer.learningRate=1e-5",
    ["reft", "rerankReft", "testReft", "testReftReranked"],
  ],
  ["stages.rerankSft.set.training.epochs=2", ["rerankSft", "testSftReranked"]],
  [
    "samples.questions=10",
    ["trainSamples", "rerankSft", "rerankReft", "testSftReranked", "testReftReranked"],
  ],
  ["evaluation.samples=10", all.filter((stage) => stage.startsWith("test"))],
  ["data.prepare.seed=2", all],
  ["data.prepare.timeoutSeconds=4", ["data"]],
  ["data.reft=train.jsonl", ["reft", "rerankReft", "testReft", "testReftReranked"]],
])("after %s only what depends on it runs again", async (change, expected) => {
  const folder = temporaryFolder();
  await run(folder);
  expect(await run(folder, change)).toEqual(expected);
});

test("asks once before anything moves, with all that moves then, and leaves it where it is when that throws", async () => {
  const folder = temporaryFolder();
  await run(folder);
  fake.calls.length = 0;
  const asked: string[][] = [];
  const again = (isAgreed: boolean, ...set: string[]) =>
    runRecipe("configs/tiny/recipe.yaml", ["seeds=[1]", ...set].map(parseOverride), folder, {
      beforeReplacing: async (names) => {
        asked.push([...names]);
        if (!isAgreed) throw new UserError("no");
      },
    });
  await expect(again(false, "data.prepare.seed=2")).rejects.toThrow("no");
  await expect(again(false, "samples.questions=10")).rejects.toThrow("no");
  expect(existsSync(join(folder, "replaced"))).toBe(false);
  expect(fake.calls).toEqual([]);
  await again(true);
  await again(true, "data.prepare.seed=2"); // all others follow, and are not asked for again
  const dependent = [
    "trainSamples",
    "rerankSft",
    "rerankReft",
    "testSftReranked",
    "testReftReranked",
  ];
  expect(asked).toEqual([["data"], dependent.map((stage) => `seed-1/${stage}`), ["data"]]);
});

test("plans without doing anything", async () => {
  const folder = temporaryFolder();
  const plan = (...set: string[]) =>
    planRecipe("configs/tiny/recipe.yaml", ["seeds=[1]", ...set].map(parseOverride), folder);
  expect(plan()).toMatch(/^ {2}to do {4}data\n {2}then /);
  await run(folder);
  fake.calls.length = 0;
  expect(plan().match(/^ {2}done /gm)).toHaveLength(all.length);
  expect(plan("data.prepare.seed=2")).toMatch(
    /^ {2}anew {5}data {2}seed: was 1, is now 2\n {2}then /,
  );
  expect(plan("stages.rerankSft.set.training.epochs=2")).toMatch(
    /done {5}seed-1\/reft .*\n(.*\n)*.*anew {5}seed-1\/rerankSft +training.epochs: was \d, is now 2\n/,
  );
  expect(fake.calls).toEqual([]);
  expect(existsSync(join(folder, "replaced"))).toBe(false);
});

test("each seed has stages of its own on the same data, and the table has mean and standard error", async () => {
  const folder = temporaryFolder();
  await run(folder);
  expect(await run(folder, "seeds=[1, 3]")).toEqual(all.slice(1));
  const [head, , , sft, sftReranked] = readFileSync(join(folder, "results.md"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  expect(head).toContain("Rerank@2");
  const column = head!.indexOf("Voting@2");
  expect(sft![column]).toBe("50.0 ± 25.0"); // 25 and 75 %
  expect(sft![head!.indexOf("Rerank@2")]).toBe("");
  expect(sftReranked![head!.indexOf("Rerank@2")]).toBe("50.0 ± 25.0");
  expect(readFileSync(join(folder, "results.md"), "utf8")).toMatch(
    /## SFT \+ its reranker\n\n.*k = 2 .*\n.*\n\| Voting@k +\| 50\.0 ± 25\.0 .*\n\| Rerank@k +\| 50\.0 ± 25\.0/,
  );
  const results = JSON.parse(readFileSync(join(folder, "results.json"), "utf8"));
  expect(results.seeds).toEqual([1, 3]);
  expect(results.models[4]).toMatchObject({
    model: "ReFT + its reranker",
    seeds: [{}, { "reranking@2": { accuracy: 0.75 } }],
  });
});

test("a first model that is not there is named before anything runs", async () => {
  const folder = temporaryFolder();
  const recipe = "configs/gsm8k-codellama-7b/recipe.yaml";
  const message = await userErrorOf(() => runRecipe(recipe, [], folder));
  expect(message).toContain("models/CodeLlama-7b-hf");
  expect(fake.calls).toEqual([]);
});

test("data that is prepared already is read where it lies", async () => {
  const folder = temporaryFolder();
  const data = join(folder, "prepared");
  mkdirSync(data);
  for (const name of ["train", "dev", "test", "answers"])
    writeFileSync(join(data, `${name}.jsonl`), name);
  const set = [`data={folder: ${data}, reft: train.jsonl, rerank: train.jsonl}`];
  expect(await run(join(folder, "out"), ...set)).toEqual(all.slice(1));
  writeFileSync(join(data, "test.jsonl"), "changed");
  expect(await run(join(folder, "out"), ...set)).toEqual(
    all.filter((stage) => stage.startsWith("test")),
  );
});
