// The whole recipe from one file into one folder, from the data to the table.
import { join } from "node:path";
import type { Override } from "../config.ts";
import { jsonText, writeFileAtomically } from "../data/jsonl.ts";
import { readQuestions } from "../evaluate/report.ts";
import { summariseShares } from "../evaluate/summary.ts";
import { methodsTable, modelTable } from "../evaluate/tables.ts";
import { makeFolder } from "../folders.ts";
import { loadRecipe, loadStages, type Recipe } from "../recipe/config.ts";
import { describePlan, planStages, runStages, type Stage } from "../recipe/stages.ts";
import { takeLock } from "../run/lock.ts";
import { say } from "../terminal.ts";
import { checkPositions, dataStage, seedFolder, stagesOf } from "./recipeStages.ts";

/**
 * Runs what is not done yet of every stage for every seed, then writes results.md and results.json.
 *
 * @returns the table, as Markdown
 * @throws UserError for mistakes in the recipe or in a stage's file, before anything runs, and for what a stage throws;
 * InterruptedError after Ctrl-C
 */
export async function runRecipe(
  file: string,
  overrides: readonly Override[],
  folder: string,
): Promise<string> {
  const recipe = loadRecipe(file, overrides);
  const data = recipe.data.folder ?? join(folder, "data");
  const seeds = recipe.seeds.map((seed) => {
    const places = { seed, data, stages: join(folder, seedFolder(seed)) };
    const configs = loadStages(recipe, places);
    checkPositions(recipe, configs);
    return { places, configs };
  });
  makeFolder(folder);
  const unlock = takeLock(join(folder, "run.lock"));
  try {
    // The data first: what the other stages depend on is its content.
    if (recipe.data.prepare) await runPlan(folder, [dataStage(recipe.data.prepare)]);
    await runPlan(
      folder,
      seeds.flatMap(({ places, configs }) => stagesOf(recipe, places, configs)),
    );
    return writeResults(recipe, folder);
  } finally {
    unlock();
  }
}

async function runPlan(folder: string, stages: readonly Stage[]): Promise<void> {
  const planned = planStages(folder, stages);
  say(describePlan(planned));
  await runStages(folder, planned, say);
}

/** The rows of the table, each with the stage that measured it. */
const rows = [
  { model: "warm-up", stage: "testWarmup" },
  { model: "SFT", stage: "testSft" },
  { model: "SFT + its reranker", stage: "testSftReranked" },
  { model: "ReFT", stage: "testReft" },
  { model: "ReFT + its reranker", stage: "testReftReranked" },
] as const;

/**
 * Writes results.json (every metric of every model and seed) and results.md (the models side by side, then each by the number
 * of samples). Returns the former of the tables.
 */
function writeResults({ seeds }: Recipe, folder: string): string {
  const measured = rows.map(({ model, stage }) => ({
    model,
    evaluations: seeds.map((seed) => readQuestions(join(folder, seedFolder(seed), stage))),
  }));
  const models = measured.map(({ model, evaluations }) => ({
    model,
    seeds: evaluations.map((questions, i) => summariseShares(questions, seeds[i]!)),
  }));
  const questions = measured[0]!.evaluations[0]!.length.toLocaleString("en");
  const spread =
    seeds.length === 1
      ? "with 95 % intervals over the questions"
      : `mean ± standard error over the seeds ${seeds.join(", ")}`;
  const table = `${questions} test questions; in percent, ${spread}.\n\n${modelTable(models)}\n`;
  const byModel = models.map(({ model, seeds }) => `\n## ${model}\n\n${methodsTable(seeds)}\n`);
  const results = jsonText({ seeds, models });
  writeFileAtomically(join(folder, "results.json"), results);
  writeFileAtomically(join(folder, "results.md"), [table, ...byModel].join(""));
  return table;
}
