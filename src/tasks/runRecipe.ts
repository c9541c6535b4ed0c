// The whole recipe from one file into one folder, from the data to the table.
import { join } from "node:path";
import type { Override } from "../config.ts";
import { readQuestions } from "../evaluate/report.ts";
import { summariseShares } from "../evaluate/summary.ts";
import { methodsTable, modelTable } from "../evaluate/tables.ts";
import { makeFolder } from "../folders.ts";
import { jsonText, writeFileAtomically } from "../formats/jsonl.ts";
import { loadRecipe, loadStages, type Recipe } from "../recipe/config.ts";
import { describePlan, planStages, type RecipeStage, runStages } from "../recipe/stages.ts";
import { takeLock } from "../run/lock.ts";
import { say } from "../terminal.ts";
import { checkPositions, dataStage, seedFolder, stagesOf } from "./recipeStages.ts";

export interface RunRecipeOptions {
  /**
   * Asked once, before the first finished stages are moved away to be made anew; may throw. It is told their names; those that read
   * from what they make may follow.
   */
  readonly beforeReplacing?: (names: readonly string[]) => Promise<void>;
}

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
  { beforeReplacing }: RunRecipeOptions = {},
): Promise<string> {
  const { recipe, seedStages } = readRecipe(file, overrides, folder);
  let isAsked = false;
  const runPlan = async (stages: readonly RecipeStage[]) => {
    const planned = planStages(folder, stages);
    say(describePlan(planned));
    const replaced = planned.filter(({ changes }) => changes.length > 0);
    if (replaced.length > 0 && !isAsked) {
      await beforeReplacing?.(replaced.map(({ stage }) => stage.name));
      isAsked = true;
    }
    await runStages(folder, planned, say);
  };
  makeFolder(folder);
  const unlock = takeLock(join(folder, "run.lock"));
  try {
    // The data first: what the other stages depend on is its content.
    if (recipe.data.prepare) await runPlan([dataStage(recipe.data.prepare)]);
    await runPlan(seedStages());
    return writeResults(recipe, folder);
  } finally {
    unlock();
  }
}

/** Says of every stage what runRecipe would do, and why. Changes nothing. @throws UserError as runRecipe */
export function planRecipe(file: string, overrides: readonly Override[], folder: string): string {
  const { recipe, seedStages } = readRecipe(file, overrides, folder);
  const { prepare } = recipe.data;
  const data = prepare ? planStages(folder, [dataStage(prepare)]) : [];
  if (data.every(({ state }) => state === "done"))
    return describePlan([...data, ...planStages(folder, seedStages())]);
  return `${describePlan(data)}\n  then     the stages that read the data; what is done of them stays where their files come out the same`;
}

/** A recipe with all that it names, checked. */
function readRecipe(file: string, overrides: readonly Override[], folder: string) {
  const recipe = loadRecipe(file, overrides);
  const data = recipe.data.folder ?? join(folder, "data");
  const seeds = recipe.seeds.map((seed) => {
    const places = { seed, data, stages: join(folder, seedFolder(seed)) };
    const configs = loadStages(recipe, places);
    checkPositions(recipe, configs);
    return { places, configs };
  });
  /** Reads the data, which has to be there. */
  const seedStages = () =>
    seeds.flatMap(({ places, configs }) => stagesOf(recipe, places, configs));
  return { recipe, seedStages };
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
