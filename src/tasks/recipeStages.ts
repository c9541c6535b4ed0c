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

/** The stages of one seed, in an order in which they can run. */
export function stagesOf(recipe: Recipe, places: Places, configs: StageConfigs): RecipeStage[] {
  const { precision, data, samples, evaluation, sandbox } = recipe;
  const asking = { seed: places.seed, precision, ...recipe.answers, sandbox };
  const at = (stage: string) => join(places.stages, stage);
  const inputs = (...files: string[]) =>
    hashInputs(Object.fromEntries(files.map((file) => [file, join(places.data, file)])));

  const rewards = {
    warmup: rewardOf(configs.warmup),
    sft: rewardOf(configs.sft),
    reft: rewardOf(configs.reft),
  };

  const training = <N extends keyof StageConfigs>(
    name: N,
    reads: readonly string[],
    files: RecipeStage["inputs"],
    train: (config: StageConfigs[N], folder: string) => Promise<number>,
  ): RecipeStage => ({
    ...{
      name,
      reads,
      inputs: { ...files, ...templateInput(configs[name]) },
      settings: settingsWithoutPlaces(configs[name]),
    },
    run: async (folder) => ({ devAccuracy: await train(configs[name], folder) }),
  });

  const sampling = (
    name: "trainSamples" | "devSamples",
    file: string,
    questions: number | null,
  ): RecipeStage => {
    const { setting, hashes } = rewards.warmup;
    const settings = { ...asking, ...setting, samples: samples.perQuestion, questions };
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
    return { name, settings, inputs: { ...inputs(file), ...hashes }, reads: ["warmup"], run };
  };

  /** @param reranked a stage that measured the model without its reranker, whose samples are measured again */
  const testing = (
    name: string,
    model: keyof typeof rewards,
    reranked?: { readonly reranker: string; readonly samplesOf: string },
  ): RecipeStage => {
    const { setting, hashes } = rewards[model];
    const settings = { ...asking, ...setting, ...evaluation };
    const { reranker, samplesOf } = reranked ?? {};
    const run = async (output: string) => {
      for (const file of ["samples.jsonl", "samples.manifest.json"])
        if (samplesOf)
          writeFileAtomically(join(output, file), readFileSync(join(at(samplesOf), file)));
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
    return { name, settings, inputs: { ...inputs("test.jsonl"), ...hashes }, reads, run };
  };

  const { init } = configs.warmup.model;
  const { test } = configs.reft.data; // with paperParity
  const base = init ? hashInputs({ model: resolveModelFolder(init) }) : {};
  const examples = inputs("train.jsonl", "dev.jsonl");
  const questions = { ...inputs(data.reft, "dev.jsonl"), ...(test && hashInputs({ test })) };
  const judged = ["trainSamples", "devSamples"];
  const all = [
    training("warmup", [], { ...base, ...examples, ...rewards.warmup.hashes }, trainSft),
    training("sft", ["warmup"], { ...examples, ...rewards.sft.hashes }, trainSft),
    training("reft", ["warmup"], { ...questions, ...rewards.reft.hashes }, trainReft),
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

/** The reward of a stage that trains a model, by which samples and evaluations judge that model's answers, too. */
function rewardOf({ reward }: StageConfigs["sft" | "reft"]) {
  const { hashes } = loadRewards(reward);
  return { setting: reward && { reward }, hashes };
}
