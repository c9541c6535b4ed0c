// The whole recipe for real, in small: every stage on what the ones before it wrote.
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import { parseOverride } from "../../src/settings.ts";
import { runRecipe } from "../../src/tasks/runRecipe.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

vi.spyOn(console, "error").mockImplementation(() => {});

test("ends with a table in which votes and rerankers have their figures", async () => {
  const folder = temporaryFolder();
  const data = join(folder, "data");
  // A model that always answers 5, asked for 5 and for 6: it is right half of the time.
  const question = (id: number) => ({
    id: `${id}`,
    question: `Ann has ${2 + id} pens. How many?`,
    cot: "def solution():\n    return 5",
    answer: 5 + (id % 2),
  });
  const questions = Array.from({ length: 8 }, (_, id) => question(id));
  for (const name of ["train", "answers", "dev", "test"])
    writeJsonl(join(data, `${name}.jsonl`), questions);

  const settings = [
    "seeds=[1]",
    `data={folder: ${data}, reft: answers.jsonl, rerank: answers.jsonl}`,
    "samples={perQuestion: 4, questions: 8, devQuestions: 4}",
    "evaluation={samples: 4, questions: 8}",
    "answers={maxNewTokens: 12, slots: 8}",
    "sandbox.workers=1",
    "stages.warmup.set={model: {scratch: {vocabSize: 280, dim: 32, heads: 2, kvHeads: 2, layers: 1, ffnDim: 48}}, optimizer: {learningRate: 1e-2}, training: {epochs: 150, scheduleEpochs: 150, batchSize: 8}, evaluation: {everyEpochs: 150}}",
    "stages.sft.set.training={epochs: 1, scheduleEpochs: 1}",
    "stages.reft.set={rollout: {questionsPerStep: 4, samplesPerQuestion: 2}, ppo: {miniBatchSize: 8}, training: {maxSteps: 1}}",
    "stages.rerankSft.set.training={epochs: 1, scheduleEpochs: 1}",
    "stages.rerankReft.set.training={epochs: 1, scheduleEpochs: 1}",
  ];
  const output = join(folder, "run");
  const table = await runRecipe("configs/tiny/recipe.yaml", settings.map(parseOverride), output);
  const rows = table.split("\n").filter((line) => line.startsWith("|"));
  const shares = rows.slice(2).map((row) => row.match(/\b50\.0/g)?.length);
  // Top-1, vote and pass@4 of every model; choice and weighted vote of the two with a reranker.
  expect(shares).toEqual([3, 3, 5, 3, 5]);
}, 600_000);
