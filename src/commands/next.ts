// What to type after a training, to copy: with files and folders that are there.
import { basename, dirname, join } from "node:path";
import type { Config, ReftConfig, RerankConfig, SftConfig } from "../config.ts";
import { isThere } from "../folders.ts";
import { print, shellFlags } from "../terminal.ts";

/** @param file of the settings */
export function printNext(file: string, folder: string, config: Config): void {
  const commands = nextCommands(file, folder, config);
  if (commands.length > 0) print(["next:", ...commands].join("\n  "));
}

/** Commands that fit after a training has ended, the likeliest first. */
export function nextCommands(file: string, folder: string, config: Config): string[] {
  switch (config.stage) {
    case "sft":
      return [afterSft(file, folder, config)];
    case "reft": {
      const exported = { checkpoint: folder, output: join("exports", basename(folder)) };
      return [evaluating(folder, config), `npx reft export ${shellFlags(exported)}`];
    }
    case "rerank":
      return afterRerank(folder, config);
  }
}

/** After a warm-up ReFT, where its settings stand beside those of the warm-up. */
function afterSft(file: string, folder: string, config: SftConfig): string {
  const reft = join(dirname(file), "reft.yaml");
  const { prompt } = config.data;
  const { init } = config.model;
  const isWarmup = init === undefined || !isThere(join(init, "checkpoints"));
  if (!isWarmup || !isThere(reft)) return evaluating(folder, config);
  const asked = typeof prompt === "string" ? prompt : JSON.stringify(prompt);
  const told = { config: reft, init: folder };
  // ReFT has to ask as the warm-up did, whatever is written there.
  return `npx train-reft ${shellFlags(asked === undefined ? told : { ...told, set: `data.prompt=${asked}` })}`;
}

/** The settings do not say which questions the samples answer; those of a project are in a usual place. */
function afterRerank(folder: string, { model }: RerankConfig): string[] {
  const data = "data/test.jsonl";
  if (!isThere(data)) return [];
  const told = { model: model.init, data, reranker: folder, samples: "20" };
  return [`npx reft evaluate ${shellFlags(told)}`];
}

/** The evaluation is on the test questions that lie beside the dev questions, or on these where there are none. */
function evaluating(folder: string, { data, reward }: SftConfig | ReftConfig): string {
  const test = join(dirname(data.dev), "test.jsonl");
  const told = { model: folder, data: isThere(test) ? test : data.dev };
  const judged = typeof reward === "string" ? reward : JSON.stringify(reward);
  return `npx reft evaluate ${shellFlags(judged === undefined ? told : { ...told, reward: judged })}`;
}
