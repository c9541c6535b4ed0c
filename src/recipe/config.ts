// What a recipe can be told: the data, the seeds, each stage's own file with what is different in it, sampling and evaluation.
import { dirname, isAbsolute, join } from "node:path";
import { z } from "zod";
import {
  type Config,
  count,
  countOrZero,
  type DeepReadonly,
  kvCacheDtype,
  loadConfig,
  path,
  positive,
  precision,
  type ReftConfig,
  type RerankConfig,
  type SftConfig,
  type Stage,
  sandbox,
  seed,
} from "../config.ts";
import { gather } from "../data/mistakes.ts";
import { firstOf, show, UserError } from "../errors.ts";
import { settingsByPath } from "../run/run.ts";
import {
  findMistakes,
  isWithin,
  type Mistake,
  mistakesError,
  type Override,
  type Rule,
  readSettings,
  valueAt,
} from "../settings.ts";

const stage = z.strictObject({
  config: path.describe("Absolute, or relative to the recipe's file."),
  set: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("Settings that differ from that file."),
});

const questionFile = z.enum(["train.jsonl", "answers.jsonl"]);

const common = {
  cot: z.enum(["python", "nl"]).describe("Chains of thought as programs, or in words."),
  seed: seed.describe("Of the dev split, or of what is generated."),
  dev: count.describe("Rows of the dev split."),
  timeoutSeconds: positive.describe("Processor time of one gold program."),
  workers: count.describe("Programs that run at once."),
};
const publicSets = z.enum(["svamp", "gsm8k", "mathqa", "mathqa-numeric"]);
const prepare = z.discriminatedUnion(
  "dataset",
  [
    z.strictObject({
      dataset: z.literal("generated").describe("Which data set."),
      ...common,
      train: count.describe("Problems with a program."),
      answerOnly: count.describe("Problems without one."),
      test: count.describe("Problems to test on."),
    }),
    z.strictObject({
      dataset: publicSets,
      ...common,
      from: path.describe("Folder with the set's files."),
      answerOnly: countOrZero.describe("Problems whose chain of thought is held back."),
      plain: z.boolean().describe("Questions in lower case, punctuation set apart."),
    }),
  ],
  { error: `expected "generated" or "${publicSets.options.join('" or "')}"` },
);

export const recipeSchema = z.strictObject({
  seeds: z
    .array(seed)
    .min(1)
    .describe("The whole chain of stages runs once per seed, on the same data."),
  precision: precision.describe("Of all stages, of samples and evaluation: they share a process."),
  data: z.strictObject({
    // exactly one of the two
    folder: path.optional().describe("As prepare-data made it."),
    prepare: prepare
      .optional()
      .describe("What prepare-data is told, to make it within the recipe's folder."),
    reft: questionFile.describe("What ReFT learns from."),
    rerank: questionFile.describe("What the rerankers learn to judge answers to."),
  }),
  stages: z.strictObject({
    warmup: stage,
    sft: stage.describe("Goes on from the warm-up."),
    reft: stage,
    rerankSft: stage.describe("Judges the answers of sft."),
    rerankReft: stage,
  }),
  // Answers of the warm-up model, which both rerankers learn from.
  samples: z.strictObject({
    perQuestion: count.describe("Answers to each question."),
    questions: count.nullable().describe("The first so many of data.rerank; null takes all."),
    devQuestions: count.nullable().describe("Of dev.jsonl."),
  }),
  // Of the warm-up, SFT and ReFT on test.jsonl.
  evaluation: z.strictObject({
    samples: count.describe("Answers per question, for votes and reranking."),
    questions: count.nullable().describe("The first so many of test.jsonl; null takes all."),
  }),
  // How models are asked, in samples and evaluation.
  answers: z.strictObject({
    maxNewTokens: count.describe("Longest answer, in tokens."),
    slots: count.describe("Answers generated side by side."),
    kvCacheDtype: kvCacheDtype.optional().meta({ default: "float32" }),
  }),
  sandbox,
});

export type Recipe = DeepReadonly<z.infer<typeof recipeSchema>>;
type StageName = keyof Recipe["stages"];
const stageNames: readonly StageName[] = ["warmup", "sft", "reft", "rerankSft", "rerankReft"];

/** Where the stages of one seed find each other. */
export interface Places {
  readonly seed: number;
  /** Folder with train.jsonl, dev.jsonl and test.jsonl. */
  readonly data: string;
  /** Has one folder per stage, under the stage's name. */
  readonly stages: string;
}

export interface StageConfigs {
  readonly warmup: SftConfig;
  readonly sft: SftConfig;
  readonly reft: ReftConfig;
  readonly rerankSft: RerankConfig;
  readonly rerankReft: RerankConfig;
}

/** The file of the warm-up model's answers to the training or dev questions. */
export function samplesFile({ stages }: Places, split: "trainSamples" | "devSamples"): string {
  return join(stages, split, "samples.jsonl");
}

/** What the recipe itself decides in the stages' settings, by path; undefined leaves a setting out. */
function filledIn({ precision, data: { reft } }: Recipe, places: Places) {
  const { seed, data, stages } = places;
  const everywhere = { seed, precision };
  const texts = { "data.train": join(data, "train.jsonl"), "data.dev": join(data, "dev.jsonl") };
  const samples = {
    "data.samples": samplesFile(places, "trainSamples"),
    "data.devSamples": samplesFile(places, "devSamples"),
  };
  const from = (name: StageName) => ({
    "model.init": join(stages, name),
    "model.scratch": undefined,
  });
  return {
    warmup: { ...everywhere, ...texts },
    sft: { ...everywhere, ...texts, ...from("warmup") },
    reft: { ...everywhere, ...texts, "data.train": join(data, reft), ...from("warmup") },
    rerankSft: { ...everywhere, ...samples, ...from("sft") },
    rerankReft: { ...everywhere, ...samples, ...from("reft") },
  } satisfies Readonly<Record<StageName, Readonly<Record<string, unknown>>>>;
}

const rules: readonly Rule<Recipe>[] = [
  {
    reads: ["data"],
    breach: ({ data: { folder, prepare } }) =>
      (folder === undefined) === (prepare === undefined)
        ? `expected exactly one of "folder" and "prepare", found ${folder === undefined ? "neither" : "both"}`
        : undefined,
  },
  {
    reads: ["data"],
    breach: ({ data: { prepare, reft, rerank } }) =>
      prepare?.answerOnly === 0 && [reft, rerank].includes("answers.jsonl")
        ? "expected prepare.answerOnly of at least 1, because answers.jsonl is read, found 0"
        : undefined,
  },
  {
    reads: ["seeds"],
    breach: ({ seeds }) =>
      new Set(seeds).size < seeds.length
        ? `expected different seeds, found ${seeds.join(", ")}`
        : undefined,
  },
  ...stageNames.map(
    (name): Rule<Recipe> => ({
      reads: [`stages.${name}.set`, "data", "data.reft"],
      breach: (recipe) => {
        const filled = Object.keys(filledIn(recipe, { seed: 0, data: "", stages: "" })[name]);
        const set = [...settingsByPath(recipe.stages[name].set ?? {}).keys()];
        const refused = set.filter((path) => filled.some((place) => isWithin(path, place)));
        return refused.length > 0
          ? `expected no ${refused.join(", ")}: the recipe itself fills that in`
          : undefined;
      },
    }),
  ),
];

/**
 * Reads a recipe: the file, then the overrides in their order.
 *
 * @returns the recipe, the stages' files found from the working directory
 * @throws UserError that lists all mistakes
 */
export function loadRecipe(file: string, overrides: readonly Override[] = []): Recipe {
  const settings = readSettings(file, overrides);
  const mistakes =
    ofOneStage(settings.values) ?? findMistakes(recipeSchema, rules, settings.values);
  if (mistakes.length > 0) throw mistakesError(settings, mistakes);
  const recipe = recipeSchema.parse(settings.values);
  for (const stage of Object.values(recipe.stages))
    if (!isAbsolute(stage.config)) stage.config = join(dirname(file), stage.config);
  return recipe;
}

/** One mistake where the file is for a stage alone, not one for each section that a recipe has. */
function ofOneStage(values: unknown): readonly Mistake[] | undefined {
  const found = valueAt(values, ["stage"]);
  if (typeof found !== "string" || valueAt(values, ["stages"]) !== undefined) return undefined;
  const text = `stage: expected none, found ${show(found)}: this file is for one stage alone`;
  return [{ path: ["stage"], text }];
}

/**
 * Reads the stages' settings for one seed: each stage's file, what the recipe sets differently, what it fills in.
 *
 * @throws UserError that lists the mistakes of all stages
 */
export function loadStages(recipe: Recipe, places: Places): StageConfigs {
  const filled = filledIn(recipe, places);
  const overrides = (name: StageName): Override[] => {
    const set = [...settingsByPath(recipe.stages[name].set ?? {})];
    return [
      ...set.map(([path, value]) => ({ path, value, source: `stages.${name}.set.${path}` })),
      ...Object.entries(filled[name]).map(([path, value]) => ({ path, value, source: "recipe" })),
    ];
  };
  const mistakes: string[] = [];
  const load = <S extends Stage>(stage: S, name: StageName) =>
    gather(mistakes, () => loadConfig(stage, recipe.stages[name].config, overrides(name)))!;
  const configs = {
    warmup: load("sft", "warmup"),
    sft: load("sft", "sft"),
    reft: load("reft", "reft"),
    rerankSft: load("rerank", "rerankSft"),
    rerankReft: load("rerank", "rerankReft"),
  };
  if (mistakes.length > 0) throw new UserError(firstOf([...new Set(mistakes)], "\n"));
  const { cot } = recipe.data.prepare ?? {};
  for (const name of ["warmup", "sft", "reft"] as const) {
    const { cotKind } = configs[name].data;
    if (cot && cotKind !== cot) {
      throw new UserError(
        `${recipe.stages[name].config}: "data.cotKind": expected ${cot}, as the recipe's data.prepare.cot, found ${cotKind}`,
      );
    }
  }
  return configs;
}

const places = /^(data\.(train|dev|test|samples|devSamples|prompt\.file)|model\.init)$/;

/** A stage's settings by path, without the places of what it reads and what it writes down besides: it comes out the same. */
export function settingsWithoutPlaces(config: Config): Record<string, unknown> {
  const settings = [...settingsByPath(config)];
  const matters = (path: string) => !places.test(path) && !path.startsWith("logging.");
  return Object.fromEntries(settings.filter(([path]) => matters(path)));
}
