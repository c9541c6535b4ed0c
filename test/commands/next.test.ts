import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nextCommands } from "../../src/commands/next.ts";
import type { Config } from "../../src/config.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const home = temporaryFolder();
const at = (...names: string[]) => join(home, ...names);
for (const folder of ["alone", "both", join("data", "other"), join("run", "checkpoints")])
  mkdirSync(at(folder), { recursive: true });
for (const file of ["both/reft.yaml", "data/test.jsonl"]) writeFileSync(at(file), "");

const config = (given: object, init?: string) =>
  ({ stage: "sft", model: { init }, data: { dev: at("data", "dev.jsonl") }, ...given }) as Config;

test("after a warm-up comes ReFT, where its settings are", () => {
  const reft = `npx train-reft --config ${at("both", "reft.yaml")} --init runs/a`;
  const evaluate = `npx reft evaluate --model runs/a --data ${at("data", "test.jsonl")}`;
  const after = (folder: string, init?: string) =>
    nextCommands(at(folder, "warmup.yaml"), "runs/a", config({}, init));
  expect(after("both")).toEqual([reft]);
  expect(after("both", "models/smollm2")).toEqual([reft]);
  expect(after("both", at("run"))).toEqual([evaluate]); // it has gone on from a warm-up
  expect(after("alone")).toEqual([evaluate]);
  const data = { dev: at("data", "dev.jsonl"), prompt: { file: "p.jinja" } };
  expect(nextCommands(at("both", "warmup.yaml"), "runs/a", config({ data }))).toEqual([
    `${reft} --set 'data.prompt={"file":"p.jinja"}'`,
  ]);
});

test("after ReFT come measuring, with its reward, and the export", () => {
  const told = { stage: "reft", reward: "rewards/mine.ts" };
  expect(nextCommands("reft.yaml", "my runs/a", config(told))).toEqual([
    `npx reft evaluate --model 'my runs/a' --data ${at("data", "test.jsonl")} --reward rewards/mine.ts`,
    "npx reft export --checkpoint 'my runs/a' --output exports/a",
  ]);
  const mixed = {
    stage: "reft",
    data: { dev: at("data", "other", "dev.jsonl") },
    reward: ["it's"],
  };
  expect(nextCommands("reft.yaml", "a", config(mixed))[0]).toBe(
    `npx reft evaluate --model a --data ${at("data", "other", "dev.jsonl")} --reward '["it'\\''s"]'`,
  );
});

test("after a reranker nothing, where no test questions lie in the usual place", () => {
  expect(nextCommands("rerank.yaml", "a", config({ stage: "rerank" }, "runs/a"))).toEqual([]);
});
