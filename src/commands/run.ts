// `reft run`: the whole recipe from one file into one folder, from the data to the table.
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import type { CommandModule } from "yargs";
import { type Override, parseOverride } from "../config.ts";
import { jsonText, writeFileAtomically } from "../data/jsonl.ts";
import { readQuestions } from "../evaluate/report.ts";
import { summariseShares } from "../evaluate/summary.ts";
import { methodsTable, modelTable } from "../evaluate/tables.ts";
import { makeFolder } from "../folders.ts";
import { trainReft } from "../ppo/train.ts";
import {
  loadRecipe,
  loadStages,
  type Places,
  type Recipe,
  type StageConfigs,
  samplesFile,
  settingsWithoutPlaces,
} from "../recipe/config.ts";
import { describePlan, planStages, runStages, type Stage } from "../recipe/stages.ts";
import { trainRerank } from "../rerank/train.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { hashInputs } from "../run/inputs.ts";
import { takeLock } from "../run/lock.ts";
import { defaultRunFolder } from "../run/run.ts";
import { trainSft } from "../sft/train.ts";
import { print, say } from "../terminal.ts";
import { evaluate } from "./evaluate.ts";
import { prepareData } from "./prepareData.ts";
import { sample } from "./sample.ts";

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
    if (configs.warmup.model.init) resolveModelFolder(configs.warmup.model.init); // or it throws
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

function seedFolder(seed: number): string {
  return `seed-${seed}`;
}

function dataStage(prepare: NonNullable<Recipe["data"]["prepare"]>): Stage {
  const run = async (output: string) => {
    say(await prepareData({ ...prepare, output }));
    return {};
  };
  return { name: "data", settings: prepare, inputs: {}, reads: [], run };
}

/** The stages of one seed, in an order in which they can run. */
function stagesOf(recipe: Recipe, places: Places, configs: StageConfigs): Stage[] {
  const { precision, data, samples, evaluation, sandbox } = recipe;
  const asking = { seed: places.seed, precision, ...recipe.answers, sandbox };
  const at = (stage: string) => join(places.stages, stage);
  const inputs = (...files: string[]) =>
    hashInputs(Object.fromEntries(files.map((file) => [file, join(places.data, file)])));

  const training = <N extends keyof StageConfigs>(
    name: N,
    reads: readonly string[],
    files: Stage["inputs"],
    train: (config: StageConfigs[N], folder: string) => Promise<number>,
  ): Stage => ({
    ...{ name, reads, inputs: files, settings: settingsWithoutPlaces(configs[name]) },
    run: async (folder) => ({ devAccuracy: await train(configs[name], folder) }),
  });

  const sampling = (
    name: "trainSamples" | "devSamples",
    file: string,
    questions: number | null,
  ): Stage => {
    const settings = { ...asking, samples: samples.perQuestion, questions };
    const run = async () => {
      const summary = await sample({
        ...settings,
        questions: questions ?? undefined,
        model: at("warmup"),
        data: join(places.data, file),
        output: samplesFile(places, name),
      });
      return { ...summary };
    };
    return { name, settings, inputs: inputs(file), reads: ["warmup"], run };
  };

  /** @param reranked a stage that measured the model without its reranker, whose samples are measured again */
  const testing = (
    name: string,
    model: string,
    reranked?: { readonly reranker: string; readonly samplesOf: string },
  ): Stage => {
    const settings = { ...asking, ...evaluation };
    const { reranker, samplesOf } = reranked ?? {};
    const run = async (output: string) => {
      for (const file of ["samples.jsonl", "samples.manifest.json"])
        if (samplesOf) copyFileSync(join(at(samplesOf), file), join(output, file));
      const { accuracy } = await evaluate({
        ...settings,
        questions: evaluation.questions ?? undefined,
        model: at(model),
        data: join(places.data, "test.jsonl"),
        output,
        ...(reranker && { reranker: at(reranker) }),
      });
      return { top1: accuracy };
    };
    const reads = [model, ...Object.values(reranked ?? {})];
    return { name, settings, inputs: inputs("test.jsonl"), reads, run };
  };

  const { init } = configs.warmup.model;
  const { test } = configs.reft.data; // with paperParity
  const base = init ? hashInputs({ model: resolveModelFolder(init) }) : {};
  const examples = inputs("train.jsonl", "dev.jsonl");
  const questions = { ...inputs(data.reft, "dev.jsonl"), ...(test && hashInputs({ test })) };
  const judged = ["trainSamples", "devSamples"];
  const all = [
    training("warmup", [], { ...base, ...examples }, trainSft),
    training("sft", ["warmup"], examples, trainSft),
    training("reft", ["warmup"], questions, trainReft),
    sampling("trainSamples", data.rerank, samples.questions),
    sampling("devSamples", "dev.jsonl", samples.devQuestions),
    training("rerankSft", ["sft", ...judged], {}, trainRerank),
    training("rerankReft", ["reft", ...judged], {}, trainRerank),
    testing("testWarmup", "warmup"),
    testing("testSft", "sft"),
    testing("testSftReranked", "sft", { reranker: "rerankSft", samplesOf: "testSft" }),
    testing("testReft", "reft"),
    testing("testReftReranked", "reft", { reranker: "rerankReft", samplesOf: "testReft" }),
  ];
  const inSeed = (name: string) => `${seedFolder(places.seed)}/${name}`;
  return all.map((stage) => ({
    ...stage,
    name: inSeed(stage.name),
    reads: stage.reads.map(inSeed),
  }));
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

interface Arguments {
  readonly config: string;
  readonly set?: readonly string[] | undefined;
  readonly output?: string | undefined;
}

export const runCommand: CommandModule<object, Arguments> = {
  command: "run",
  describe: "The whole recipe, from the data to the table of all models",
  builder: (yargs) =>
    yargs.options({
      config: { type: "string", demandOption: true, describe: "YAML file of the recipe" },
      set: {
        type: "string",
        array: true,
        nargs: 1,
        describe: "Override a setting: stages.reft.set.training.maxSteps=20 (repeatable)",
      },
      output: {
        type: "string",
        describe:
          "Folder for everything; the same command goes on, and makes anew what has changed [default: runs/<experiment>-recipe]",
      },
    }),
  handler: async ({ config, set = [], output }) => {
    const folder = output ?? defaultRunFolder(config);
    const table = await runRecipe(config, set.map(parseOverride), folder);
    print(
      `\n${table}\nin ${join(folder, "results.md")}, with tables by the number of samples; every metric in results.json`,
    );
  },
};
