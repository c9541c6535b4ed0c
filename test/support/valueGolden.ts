// What scripts/golden/ppo_update.py computed: a model with a value head, one rollout, two updates.
import { loadModel, type Model } from "../../src/model/model.ts";
import { createValueHead } from "../../src/model/valueHead.ts";
import { goldenPath, readGolden, rowOf } from "./golden.ts";

export const golden = readGolden("ppo", "update.safetensors");
const promptLength = 3;
const lengths = [...golden.get("lengths")!.values];

/** One row per response, without padding. */
export function responseRows(name: string): number[][] {
  return lengths.map((length, row) => rowOf(golden.get(name)!, row, length));
}

const rows = lengths.map((length, row) => rowOf(golden.get("tokens")!, row, promptLength + length));
const prompts = rows.map((row) => row.slice(0, promptLength));
prompts[1] = prompts[0]!; // the same question, so that the two share it

export const sequences = rows.map((row, i) => ({
  prompt: prompts[i]!,
  response: row.slice(promptLength),
}));

/** Policy and value head before the first update. */
export function startModel() {
  const model: Model = loadModel(goldenPath("models", "linear-rope"));
  const valueHead = createValueHead(model.config);
  for (const [name, variable] of valueHead)
    variable.load(golden.get(`start.${name}`)!.values as Float32Array);
  return { model, valueHead };
}
