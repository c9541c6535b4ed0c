import { existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { main } from "../../src/cli.ts";
import { loadConfig, parseOverride } from "../../src/config.ts";
import { loadRecipe, loadStages } from "../../src/recipe/config.ts";
import type { Outcome } from "../../src/reward/outcome.ts";
import { loadRewardFile } from "../../src/reward/rewardFile.ts";
import { type InitArguments, initProject, projectTasks } from "../../src/tasks/initProject.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { writeTinyData, writeTinyModel } from "../support/tiny.ts";

const home = temporaryFolder();
const said = captureOutput();
const model = join(home, "model");
writeTinyModel(model, writeTinyData(join(home, "texts")));

const kinds = projectTasks.flatMap((task): Omit<InitArguments, "folder">[] =>
  task === "gsm8k" ? [{ task, model }] : [{ task }, { task, model }],
);

test.each(kinds)("$task, model $model: every file is a whole configuration", ({ task, model }) => {
  const folder = join(home, `${task}${model === undefined ? "" : "-pretrained"}`);
  initProject({ folder, task, model });
  const file = (name: string) => join(folder, `${name}.yaml`);
  for (const name of ["warmup", "sft", "reft", "rerank", "recipe"]) {
    const [, schema] = /^# yaml-language-server: \$schema=(.*)\n/.exec(
      readFileSync(file(name), "utf8"),
    )!;
    const kind = name === "warmup" ? "sft" : name;
    expect(resolve(folder, schema!)).toBe(resolve("configs", "schema", `${kind}.json`));
  }
  expect(loadConfig("sft", file("warmup")).model.init).toBe(model);
  expect(loadConfig("sft", file("sft")).model).toEqual({ init: "runs/warmup" });
  expect(loadConfig("reft", file("reft")).model.init).toBe("runs/warmup");
  expect(loadConfig("rerank", file("rerank")).data.samples).toBe("samples/train.jsonl");
  const recipe = loadRecipe(file("recipe"));
  loadStages(recipe, { seed: 1, data: "data", stages: "stages" });
  expect(recipe.data.folder ?? recipe.data.prepare?.dataset).toBe(task === "own" ? "data" : task);
});

test("the schemas have the name by which the project has the package", () => {
  const above = join(home, "application");
  mkdirSync(join(above, "node_modules"), { recursive: true });
  symlinkSync(resolve("."), join(above, "node_modules", "reft"));
  initProject({ folder: join(above, "projects", "mine"), task: "generated" });
  expect(readFileSync(join(above, "projects", "mine", "reft.yaml"), "utf8")).toContain(
    "$schema=../../node_modules/reft/configs/schema/reft.json\n",
  );
});

test("every setting says what it means", () => {
  const folder = join(home, "explained");
  initProject({ folder, task: "generated" });
  for (const name of ["warmup", "sft", "reft", "rerank", "recipe"]) {
    const text = readFileSync(join(folder, `${name}.yaml`), "utf8");
    const settings = text.split("\n").filter((line) => /^ *\w+: \S/.test(line));
    expect(settings.length).toBeGreaterThan(15);
    expect(settings.filter((line) => !/ # [A-Z].*\.$/.test(line))).toEqual([]);
    expect(parse(text)).toBeInstanceOf(Object);
  }
});

test("its reward tells right answers from wrong ones, and the README says how to take it", () => {
  const folder = join(home, "rewarded");
  initProject({ folder, task: "generated" });
  const { reward } = loadRewardFile(join(folder, "rewards", "mine.ts"));
  const scored = (outcome: Outcome) =>
    reward({ ...{ id: "a", question: "?", gold: 19, row: {}, text: "", tokens: [5, 2] }, outcome });
  const logs = { tokens: 2 };
  expect(scored({ kind: "answer", value: 19.0 })).toEqual({ score: 1, correct: true, logs });
  expect(scored({ kind: "answer", value: "$19.00" })).toEqual({ score: 1, correct: true, logs });
  expect(scored({ kind: "answer", value: 18 })).toEqual({ score: 0, correct: false, logs });
  const typed = /npx train-reft (.*) --output/.exec(
    readFileSync(join(folder, "README.md"), "utf8"),
  )![1]!;
  const overrides = typed.split("--set ").slice(1).map(parseOverride);
  expect(loadConfig("reft", join(folder, "reft.yaml"), overrides).reward).toEqual([
    expect.objectContaining({ file: "rewards/mine.ts" }),
  ]);
});

test("refuses a folder in use, gsm8k without a model, and what is no model", async () => {
  const refused = (args: Omit<InitArguments, "folder">, folder = join(home, "refused")) =>
    userErrorOf(async () => initProject({ folder, ...args }));
  expect(await refused({ task: "own" }, home)).toMatch(/expected a new or empty folder/);
  expect(await refused({ task: "gsm8k" })).toMatch(/^model: expected a pretrained model's folder/);
  expect(await refused({ task: "own", model: join(home, "none") })).toMatch(/found nothing there/);
  expect(existsSync(join(home, "refused"))).toBe(false);
});

test("in a project's folder commands find their files and runs, and say so; elsewhere they say what is missing", async () => {
  const before = process.cwd();
  const folder = join(home, "typed");
  expect(await main(["init", folder, "--task", "generated"])).toBe(0);
  process.chdir(folder);
  try {
    writeTinyData("data", 40, 4);
    const short = ["--set", "training.batchSize=20", "--set", "evaluation.questions=2"];
    expect(await main(["--epochs", "1", ...short], "train-sft"), said.stderr).toBe(0);
    expect(said.error).toContain("--config warmup.yaml");
    expect(existsSync(join("runs", "warmup", "config.yaml"))).toBe(true);
    expect(await main(["check-data", "--rows", "0"]), said.stderr).toBe(0);
    expect(said.log).toContain("data/train.jsonl");
    expect(await main(["export"]), said.stderr).toBe(0);
    expect(said.error).toContain("--checkpoint runs/warmup");
    expect(existsSync(join("exports", "warmup", "model.safetensors"))).toBe(true);
    process.chdir(home);
    expect(await main([], "train-sft")).toBe(1);
    expect(said.stderr).toContain("--config: expected a value, or warmup.yaml in this folder");
  } finally {
    process.chdir(before);
  }
});
