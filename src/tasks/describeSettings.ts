// Every setting of a file as a text to read: what it may be, what it means, and what the shipped configurations have there.
import { join } from "node:path";
import { show } from "../errors.ts";
import { readSettings, valueAt } from "../settings.ts";
import { shipped } from "./initProject.ts";
import { type SettingsKind, settingRows } from "./settingRows.ts";

/** Configurations whose values are shown, from the smallest model to the largest. */
const examples = ["tiny", "svamp-smollm2", "gsm8k-codellama-7b"];
const files = {
  sft: "warmup.yaml",
  reft: "reft.yaml",
  rerank: "rerank.yaml",
  recipe: "recipe.yaml",
};
const ofPaper = { ...files, rerank: "rerank-reft.yaml" };

export function describeSettings(kind: SettingsKind): string {
  const configurations = examples.map((name) => {
    const file = (name.startsWith("gsm8k") ? ofPaper : files)[kind];
    return { name, values: readSettings(join(shipped, name, file), []).values };
  });
  const valuesOf = (path: string) =>
    configurations.flatMap(({ name, values }) => {
      const value = valueAt(values, path.split("."));
      return value === undefined || value === Object(value) ? [] : [`${name} ${show(value)}`];
    });
  const settings = settingRows(kind).map(({ path, value, when, meaning }) => {
    const may = `${path}: ${when === "" ? value : `${value}; ${when}`}`.replaceAll("`", "");
    const shown = value === "text" ? [] : valuesOf(path); // paths say nothing to others
    return [may, meaning, shown.join(", ")].filter((line) => line !== "").join("\n  ");
  });
  return [
    `All settings of ${files[kind]}. The last line of one has its values in configs/: tiny (0.7 million weights),\n` +
      "svamp-smollm2 (135 million) and gsm8k-codellama-7b (the paper's). docs/recipe.md has the formulas behind them.",
    ...settings,
  ].join("\n\n");
}
