// The stages of a recipe: what each is made with, what it reads, and how it is run.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { UserError } from "../errors.ts";
import { writeFileAtomically } from "../formats/jsonl.ts";
import { checkHoldsModel } from "../model/model.ts";
import { trainReft } from "../ppo/train.ts";
import {
  type Places,
  type Recipe,
  type StageConfigs,
  samplesFile,
  settingsWithoutPlaces,
} from "../recipe/config.ts";
import type { RecipeStage } from "../recipe/stages.ts";
import { trainRerank } from "../rerank/train.ts";
import { loadRewards } from "../reward/openReward.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { hashInputs, type InputHashes } from "../run/inputs.ts";
import { trainSft } from "../sft/train.ts";
import { say } from "../terminal.ts";
import { evaluate } from "./evaluate.ts";
import { prepareData } from "./prepareData.ts";
import { sample } from "./sample.ts";

export function seedFolder(seed: number): string {
  return `seed-${seed}`;
}

export function dataStage(prepare: NonNullable<Recipe["data"]["prepare"]>): RecipeStage {
  const run = async (output: string) => {
    say(await prepareData({ ...prepare, output }));
    return {};
  };
  return { name: "data", settings: prepare, inputs: {}, reads: [], run };
}

/**
 * Looks at the positions of the warm-up's model, which all stages have, before any of them runs.
 *
 * @throws UserError for a model that cannot be read, or that lists all stages whose texts may be longer
 */
export function checkPositions({ stages }: Recipe, configs: StageConfigs): void {
  const { init, scratch } = configs.warmup.model;
  const { maxPositions } = scratch ?? checkHoldsModel(resolveModelFolder(init!));
  const { warmup, sft, reft, rerankSft, rerankReft } = configs;
  const taught = ({ data, evaluation }: StageConfigs["sft"]) =>
    data.maxPromptTokens + Math.max(data.maxCompletionTokens, evaluation.maxNewTokens);
  const answers = Math.max(reft.rollout.maxNewTokens, reft.evaluation.maxNewTokens);
  const longest = {
    warmup: taught(warmup),
    sft: taught(sft),
    reft: reft.data.maxPromptTokens + answers,
    rerankSft: rerankSft.data.maxTokens,
    rerankReft: rerankReft.data.maxTokens,
  };
  const mistakes = (["warmup", "sft", "reft", "rerankSft", "rerankReft"] as const)
    .filter((name) => longest[name] > maxPositions)
    .map((name) => `  ${stages[name].config}: stages.${name}: up to ${longest[name]} tokens`);
  if (mistakes.length === 0) return;
  throw new UserError(
    `expected prompts with their answers within the ${maxPositions} positions of the warm-up's model, found\n` +
      `${mistakes.join("\n")}\nLower maxPromptTokens, maxCompletionTokens, maxNewTokens or maxTokens there.`,
  );
}

/** The template file of a stage that has one. */
function templateInput({ data }: Config): InputHashes {
  const prompt = "prompt" in data ? data.prompt : undefined;
  return typeof prompt === "object" && "file" in prompt ? hashInputs({ prompt: prompt.file }) : {};
}

/** One seed of a recipe: what its stages are made of. */
interface Seed {
  readonly recipe: Recipe;
  readonly places: Places;
  readonly configs: StageConfigs;
  readonly rewards: Readonly<Record<"warmup" | "sft" | "reft", ReturnType<typeof rewardOf>>>;
}

/** The stages of one seed, in an order in which they can run. */
export function stagesOf(recipe: Recipe, places: Places, configs: StageConfigs): RecipeStage[] {
  const { data, samples } = recipe;
  const rewards = {
    warmup: rewardOf(configs.warmup),
    sft: rewardOf(configs.sft),
    reft: rewardOf(configs.reft),
  };
  const seed = { recipe, places, configs, rewards };
  const inputs = (...files: string[]) => inputsOf(places, files);
  const { init } = configs.warmup.model;
  const { test } = configs.reft.data; // with paperParity
  const base = init ? hashInputs({ model: resolveModelFolder(init) }) : {};
  const examples = inputs("train.jsonl", "dev.jsonl");
  const questions = { ...inputs(data.reft, "dev.jsonl"), ...(test && hashInputs({ test })) };
  const judged = ["trainSamples", "devSamples"];
  const all = [
    training(seed, "warmup", [], { ...base, ...examples, ...rewards.warmup.hashes }, trainSft),
    training(seed, "sft", ["warmup"], { ...examples, ...rewards.sft.hashes }, trainSft),
    training(seed, "reft", ["warmup"], { ...questions, ...rewards.reft.hashes }, trainReft),
    sampling(seed, "trainSamples", data.rerank, samples.questions),
    sampling(seed, "devSamples", "dev.jsonl", samples.devQuestions),
    training(seed, "rerankSft", ["sft", ...judged], {}, trainRerank),
    training(seed, "rerankReft", ["reft", ...judged], {}, trainRerank),
    testing(seed, "testWarmup", "warmup"),
    testing(seed, "testSft", "sft"),
    testing(seed, "testSftReranked", "sft", { reranker: "rerankSft", samplesOf: "testSft" }),
    testing(seed, "testReft", "reft"),
    testing(seed, "testReftReranked", "reft", { reranker: "rerankReft", samplesOf: "testReft" }),
  ];
  const inSeed = (name: string) => `${seedFolder(places.seed)}/${name}`;
  return all.map((stage) => ({
    ...stage,
    name: inSeed(stage.name),
    reads: stage.reads.map(inSeed),
  }));
}

/** Data files by content. */
function inputsOf(places: Places, files: readonly string[]): InputHashes {
  return hashInputs(Object.fromEntries(files.map((file) => [file, join(places.data, file)])));
}

/** The folder of a stage. */
function folderOf({ places }: Seed, stage: string): string {
  return join(places.stages, stage);
}

function training<N extends keyof StageConfigs>(
  { configs }: Seed,
  name: N,
  reads: readonly string[],
  files: RecipeStage["inputs"],
  train: (config: StageConfigs[N], folder: string) => Promise<number>,
): RecipeStage {
  return {
    ...{ name, reads },
    inputs: { ...files, ...templateInput(configs[name]) },
    settings: settingsWithoutPlaces(configs[name]),
    run: async (folder) => ({ devAccuracy: await train(configs[name], folder) }),
  };
}

/** How answers are asked for, in samples and tests. */
function askingOf({ recipe, places }: Seed) {
  const { precision, answers, sandbox } = recipe;
  return { seed: places.seed, precision, ...answers, sandbox };
}

function sampling(
  seed: Seed,
  name: "trainSamples" | "devSamples",
  file: string,
  questions: number | null,
): RecipeStage {
  const { places, recipe, rewards } = seed;
  const { setting, hashes } = rewards.warmup;
  const samples = recipe.samples.perQuestion;
  const settings = { ...askingOf(seed), ...setting, samples, questions };
  const run = async () => {
    const summary = await sample({
      ...settings,
      questions: questions ?? undefined,
      model: folderOf(seed, "warmup"),
      data: join(places.data, file),
      output: samplesFile(places, name),
    });
    return { ...summary };
  };
  const inputs = { ...inputsOf(places, [file]), ...hashes };
  return { name, settings, inputs, reads: ["warmup"], run };
}

/** @param reranked a stage that measured the model without its reranker, whose samples are measured again */
function testing(
  seed: Seed,
  name: string,
  model: keyof Seed["rewards"],
  reranked?: { readonly reranker: string; readonly samplesOf: string },
): RecipeStage {
  const { places, recipe, rewards } = seed;
  const { evaluation } = recipe;
  const { setting, hashes } = rewards[model];
  const settings = { ...askingOf(seed), ...setting, ...evaluation };
  const { reranker, samplesOf } = reranked ?? {};
  const run = async (output: string) => {
    for (const file of ["samples.jsonl", "samples.manifest.json"])
      if (samplesOf)
        writeFileAtomically(
          join(output, file),
          readFileSync(join(folderOf(seed, samplesOf), file)),
        );
    const { accuracy } = await evaluate({
      ...settings,
      questions: evaluation.questions ?? undefined,
      model: folderOf(seed, model),
      data: join(places.data, "test.jsonl"),
      output,
      ...(reranker && { reranker: folderOf(seed, reranker) }),
    });
    return { top1: accuracy };
  };
  const inputs = { ...inputsOf(places, ["test.jsonl"]), ...hashes };
  return { name, settings, inputs, reads: [model, ...Object.values(reranked ?? {})], run };
}

/** The reward of a stage that trains a model, by which samples and evaluations judge that model's answers, too. */
function rewardOf({ reward }: StageConfigs["sft" | "reft"]) {
  const { hashes } = loadRewards(reward);
  return { setting: reward && { reward }, hashes };
}
