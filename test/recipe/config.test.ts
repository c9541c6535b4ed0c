import { cpSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import {
  loadRecipe,
  loadStages,
  type Places,
  type Recipe,
  settingsWithoutPlaces,
} from "../../src/recipe/config.ts";
import { parseOverride } from "../../src/settings.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const tiny = "configs/tiny/recipe.yaml";
const places = { seed: 7, data: "all/data", stages: "all/seed-7" };

function set(...texts: string[]) {
  return texts.map(parseOverride);
}

describe("configs/", () => {
  const files = readdirSync("configs", { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith("recipe.yaml"))
    .map((file) => join("configs", file));

  test("holds recipes of the tiny model, of real data and of the paper", () => {
    expect(files.length).toBeGreaterThanOrEqual(3);
  });

  test.each(files)("%s and the stages' files that it names load", (file) => {
    expect(loadStages(loadRecipe(file), places).rerankReft.stage).toBe("rerank");
  });
});

describe("loadRecipe", () => {
  test("finds the stages' files beside the recipe", () => {
    const folder = temporaryFolder();
    cpSync("configs/tiny", folder, { recursive: true });
    const recipe = loadRecipe(join(folder, "recipe.yaml"));
    expect(recipe.stages.sft.config).toBe(join(folder, "sft.yaml"));
  });

  test("takes an absolute path of a stage's file as it is", () => {
    const file = join(process.cwd(), "configs", "tiny", "sft.yaml");
    const recipe = loadRecipe(tiny, set(`stages.sft.config=${file}`));
    expect(recipe.stages.sft.config).toBe(file);
    expect(loadStages(recipe, places).sft.stage).toBe("sft");
  });

  test("says in one line that a file is for one stage alone", async () => {
    expect(await userErrorOf(() => loadRecipe("configs/tiny/rerank.yaml"))).toBe(
      "1 mistake in the settings of this run:\n" +
        '  configs/tiny/rerank.yaml:5: stage: expected none, found "rerank": this file is for one stage alone',
    );
  });

  test("reports all mistakes, each with its place", async () => {
    const overrides = set("seeds=[1, 1]", "samples.perQuestion=0", "data.folder=data/x", "stage=a");
    const message = await userErrorOf(() => loadRecipe(tiny, overrides));
    expect(message).toContain("4 mistakes");
    expect(message).toContain("--set seeds=[1, 1]: seeds: expected different seeds, found 1, 1");
    expect(message).toContain("samples.perQuestion: expected at least 1, found 0");
    expect(message).toContain('expected exactly one of "folder" and "prepare", found both');
    expect(message).toContain("stage: unknown key");
  });

  test("names what ReFT learns from where it is missing", async () => {
    const without = { path: "data.reft", value: undefined, source: "" };
    const message = await userErrorOf(() => loadRecipe(tiny, [without]));
    expect(message).toContain("data.reft: missing, expected ");
  });

  test("refuses to read answers.jsonl where no chain of thought is held back", async () => {
    const svamp = join("configs", "svamp-tiny", "recipe.yaml");
    for (const reader of ["reft", "rerank"]) {
      const message = await userErrorOf(() =>
        loadRecipe(svamp, set(`data.${reader}=answers.jsonl`)),
      );
      expect(message).toContain("expected prepare.answerOnly of at least 1, because answers.jsonl");
    }
  });

  test.each([
    ["data.prepare.from=x", "data.prepare.from: unknown key"],
    ["data.prepare.dataset=svamp", "data.prepare.from: missing, expected a text"],
    ["data.prepare.dataset=hotels", 'expected "generated" or "svamp" or "gsm8k"'],
    ["data.prepare.answerOnly=0", "data.prepare.answerOnly: expected at least 1, found 0"],
    ["data.reft=test.jsonl", 'expected "train.jsonl" or "answers.jsonl", found "test.jsonl"'],
  ])("refuses %s", async (override, expected) => {
    const message = await userErrorOf(() => loadRecipe(tiny, set(override)));
    expect(message).toContain(expected);
  });

  test.each([
    ["warmup", "seed=3", "seed"],
    ["warmup", "precision=bf16", "precision"],
    ["warmup", "data.train=x", "data.train"],
    ["sft", "model.init=x", "model.init"],
    ["reft", "model={init: x}", "model.init"],
    ["rerankSft", "data.samples=x", "data.samples"],
  ])("refuses to set in %s what the recipe fills in: %s", async (stage, text, named) => {
    const overrides = set(`stages.${stage}.set.${text}`);
    const message = await userErrorOf(() => loadRecipe(tiny, overrides));
    expect(message).toContain(`expected no ${named}: the recipe itself fills that in`);
  });
});

describe("loadStages", () => {
  test("leaves a stage how it holds the weights of the model that it is given", () => {
    const adapter = { rank: 2, alpha: 4, targets: "all" };
    const overrides = ["sft", "reft", "rerankSft"].flatMap((name) =>
      set(
        `stages.${name}.set.model.weights=bf16`,
        `stages.${name}.set.adapter=${JSON.stringify(adapter)}`,
      ),
    );
    const { sft, reft, rerankSft } = loadStages(loadRecipe(tiny, overrides), places);
    expect(sft.model).toEqual({ init: "all/seed-7/warmup", weights: "bf16" });
    for (const stage of [sft, reft, rerankSft])
      expect(stage).toMatchObject({ adapter, model: { weights: "bf16" } });
  });

  test("lets every stage start from what the stage before it made, on the recipe's data, seed and precision", () => {
    const gap = "stages.reft.set.alarms.maxLogprobGap=0.05";
    const recipe = loadRecipe(tiny, set("precision=bf16", gap));
    const { warmup, sft, reft, rerankSft, rerankReft } = loadStages(recipe, places);
    for (const stage of [warmup, sft, reft, rerankSft, rerankReft])
      expect(stage).toMatchObject({ seed: 7, precision: "bf16" });
    expect(warmup.model.scratch).toBeDefined();
    expect(sft.model).toEqual({ init: "all/seed-7/warmup" });
    expect(sft.data.train).toBe("all/data/train.jsonl");
    expect(reft.model).toEqual({ init: "all/seed-7/warmup" });
    expect(reft.data).toMatchObject({
      train: "all/data/answers.jsonl",
      dev: "all/data/dev.jsonl",
    });
    expect(rerankReft.model).toEqual({ init: "all/seed-7/reft" });
    expect(rerankSft.data).toMatchObject({
      samples: "all/seed-7/trainSamples/samples.jsonl",
      devSamples: "all/seed-7/devSamples/samples.jsonl",
    });
  });

  test("puts what the recipe sets over the stage's file, in either way to write it", () => {
    const folder = temporaryFolder();
    cpSync("configs/tiny", folder, { recursive: true });
    const file = join(folder, "recipe.yaml");
    const written = loadRecipe(tiny);
    const sections = { training: { maxSteps: 3 }, "optimizer.learningRate": 1e-5 };
    const stages = Object.fromEntries(
      Object.keys(written.stages).map((name) => [name, { config: `${name}.yaml` }]),
    );
    const rerank = { config: "rerank.yaml" };
    writeFileSync(
      file,
      stringify({
        ...written,
        stages: {
          ...stages,
          reft: { config: "reft.yaml", set: sections },
          rerankSft: rerank,
          rerankReft: rerank,
        },
      }),
    );
    const { reft } = loadStages(loadRecipe(file, set("stages.reft.set.ppo.gamma=0.5")), places);
    expect(reft.training.maxSteps).toBe(3);
    expect(reft.optimizer.learningRate).toBe(1e-5);
    expect(reft.ppo?.gamma).toBe(0.5);
  });

  test("refuses a stage that asks in another way than the data are prepared for", async () => {
    const prepare =
      "data.prepare={dataset: gsm8k, cot: nl, from: x, seed: 1, dev: 1, answerOnly: 1, plain: false, timeoutSeconds: 1, workers: 1}";
    const recipe = loadRecipe(tiny, set(prepare));
    expect(await userErrorOf(() => loadStages(recipe, places))).toBe(
      'configs/tiny/warmup.yaml: "data.cotKind": expected nl, as the recipe\'s data.prepare.cot, found python',
    );
  });

  test("lists the mistakes of all stages", async () => {
    const wrong = set("stages.sft.set.optimizer.beta1=2", "stages.reft.set.ppo.gamma=2");
    const message = await userErrorOf(() => loadStages(loadRecipe(tiny, wrong), places));
    expect(message).toContain("stages.sft.set.optimizer.beta1: optimizer.beta1: expected");
    expect(message).toContain("stages.reft.set.ppo.gamma: ppo.gamma: expected at most 1, found 2");
  });

  test("names the setting of the recipe that a stage refuses", async () => {
    const recipe = loadRecipe(tiny, set("stages.reft.set.ppo.gamma=2"));
    const message = await userErrorOf(() => loadStages(recipe, places));
    expect(message).toContain("stages.reft.set.ppo.gamma: ppo.gamma: expected at most 1, found 2");
  });
});

test("a stage's settings do not depend on where the recipe's folder is, nor on what is written down besides", () => {
  const logs = { path: "stages.sft.set", value: { logging: { tensorboard: true } }, source: "" };
  const [plain, recipe] = [loadRecipe(tiny), loadRecipe(tiny, [logs])];
  expect(loadStages(recipe, places).sft.logging).toEqual({ tensorboard: true });
  const elsewhere = { ...places, data: "other/data", stages: "other/seed-7" };
  const settingsOf = (recipe: Recipe, at: Places) =>
    Object.values(loadStages(recipe, at)).map(settingsWithoutPlaces);
  const [here, there] = [settingsOf(plain, places), settingsOf(recipe, elsewhere)];
  expect(here).toEqual(there);
  expect(here![2]).toMatchObject({ "optimizer.learningRate": 2e-4, seed: 7 });
  expect(here!.flatMap((settings) => Object.values(settings))).not.toContain("all/data");
});
