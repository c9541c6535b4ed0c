// A recipe before it runs: what each of its stages will take. Most of what they read is not made yet, so texts count with the length
// that the settings allow.
import { join } from "node:path";
import type { Override } from "../config.ts";
import { capacityOf } from "../generate/generate.ts";
import { adapterOf } from "../model/adapter.ts";
import type { Sequence } from "../model/batch.ts";
import { describeModel } from "../model/model.ts";
import { forecastReft, referenceOf } from "../ppo/start.ts";
import { loadRecipe, loadStages, type Recipe, type StageConfigs } from "../recipe/config.ts";
import { forecastRerank } from "../rerank/start.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { type Forecast, forecastOf } from "../run/forecast.ts";
import { machineMemory } from "../run/machineMemory.ts";
import { forecastSft, scratchShape } from "../sft/start.ts";
import { describeFit, gigabytes } from "./forecastPage.ts";
import { checkPositions, seedFolder } from "./recipeStages.ts";

/** Says what a recipe's stages will take; changes nothing. @returns the page to print */
export function describeRecipe(
  file: string,
  overrides: readonly Override[],
  folder: string,
): string {
  const recipe = loadRecipe(file, overrides);
  const seed = recipe.seeds[0]!;
  const configs = loadStages(recipe, {
    seed,
    data: recipe.data.folder ?? join(folder, "data"),
    stages: join(folder, seedFolder(seed)),
  });
  checkPositions(recipe, configs);
  const stages = forecastStages(recipe, configs);
  const most = stages.reduce((a, b) =>
    b[1].bytes + b[1].guests > a[1].bytes + a[1].guests ? b : a,
  );
  const width = Math.max(...stages.map(([name]) => name.length));
  return [
    "memory at the most of each stage, with texts as long as its settings allow:",
    ...stages.map(([name, { bytes, guests }]) => {
      const beside = guests > 0 ? `, ${gigabytes(guests)} for the sandbox's guests` : "";
      return `  ${name.padEnd(width)}  ${gigabytes(bytes)}${beside}`;
    }),
    ...describeFit(most[1], machineMemory(), []),
    "one stage's own file with --dry-run says more: train-sft, train-reft, train-rerank",
  ].join("\n");
}

/** What each stage will take, by its name. */
function forecastStages(
  recipe: Recipe,
  configs: StageConfigs,
): readonly (readonly [string, Forecast])[] {
  const { warmup, sft, reft, rerankSft, rerankReft } = configs;
  const { init, scratch } = warmup.model;
  const described = init === undefined ? undefined : describeModel(resolveModelFolder(init));
  const model = described?.config ?? scratchShape(scratch!);
  const ofSft = (config: typeof sft) => {
    const { maxPromptTokens, maxCompletionTokens } = config.data;
    const sequences = longest(config.training.batchSize, maxPromptTokens, maxCompletionTokens);
    return forecastSft(config, { model, sequences });
  };
  const ofRerank = (config: typeof rerankSft) => {
    const half = Math.floor(config.data.maxTokens / 2);
    const sequences = longest(config.training.batchSize, half, config.data.maxTokens - half);
    return forecastRerank(config, { model, train: { sequences }, dev: { sequences } });
  };
  const { slots, maxNewTokens, kvCacheDtype } = recipe.answers;
  const capacity = capacityOf(reft.data.maxPromptTokens + maxNewTokens);
  const asking = forecastOf({
    config: model,
    heldAs: sft.adapter && described?.isBf16 ? "bf16" : "float32",
    adapter: sft.adapter && adapterOf(sft.adapter),
    ...{ reference: "none", headCount: 0, classes: model.vocabSize, scored: [] },
    generators: [{ slots, capacity, kvCacheDtype }],
    guests: reft.data.cotKind === "python" ? recipe.sandbox.workers : 0,
  });
  return [
    ["warmup", ofSft(warmup)],
    ["sft", ofSft(sft)],
    [
      "reft",
      forecastReft(reft, {
        model,
        reference: referenceOf(reft, warmup.adapter !== undefined),
        questions: longest(reft.rollout.questionsPerStep, reft.data.maxPromptTokens, 1).map(
          ({ prompt }) => ({ prompt: { tokens: prompt } }),
        ),
      }),
    ],
    ["rerankSft", ofRerank(rerankSft)],
    ["rerankReft", ofRerank(rerankReft)],
    ["samples and tests", asking],
  ];
}

/** Texts as long as they may be. */
function longest(count: number, promptTokens: number, responseTokens: number): Sequence[] {
  const zeros = (length: number) => new Array<number>(length).fill(0);
  return Array.from({ length: count }, () => ({
    prompt: zeros(promptTokens), // an array of its own, since no question is asked twice
    response: zeros(responseTokens),
  }));
}
