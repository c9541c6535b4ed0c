// A folder for one's own project: a complete configuration for each stage, every setting with its meaning, a reward, and a README.
import { dirname, join, relative, resolve } from "node:path";
import { Document, isMap, isScalar } from "yaml";
import { z } from "zod";
import { loadConfig, type Stage, schemas as stageSchemas } from "../config.ts";
import { UserError } from "../errors.ts";
import { isSamePlace } from "../folders.ts";
import { nodeDisk } from "../formats/disk.ts";
import { writeFreshFolder } from "../formats/freshFolder.ts";
import { writeFileAtomically } from "../formats/jsonl.ts";
import { loadRecipe, recipeSchema } from "../recipe/config.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { projectReadme, projectReward } from "./projectReadme.ts";
import type { SettingsKind } from "./settingRows.ts";

export const projectTasks = ["generated", "svamp", "gsm8k", "own"] as const;
export type ProjectTask = (typeof projectTasks)[number];

export interface InitArguments {
  /** New or empty. */
  readonly folder: string;
  readonly task: ProjectTask;
  /** A model's folder to start from; without it a tiny one is made from scratch. */
  readonly model?: string | undefined;
}

/** The shipped configurations, beside src/ and dist/ alike. */
export const shipped = resolve(import.meta.dirname, "..", "..", "configs");

type Values = Record<string, unknown>;

/**
 * Makes a project's folder.
 *
 * @throws UserError for a folder that is in use, for what is no model, and where a task needs one
 */
export function initProject({ folder, task, model }: InitArguments): void {
  const init = model === undefined ? undefined : resolve(resolveModelFolder(model));
  if (task === "gsm8k" && init === undefined) {
    throw new UserError(
      "model: expected a pretrained model's folder, found none: a tiny one from scratch learns nothing from gsm8k",
    );
  }
  const schemas = relative(resolve(folder), schemasFor(resolve(folder)));
  const files = {
    ...configurations(task, init, schemas),
    "rewards/mine.ts": projectReward,
    "README.md": projectReadme(task),
  };
  writeFreshFolder(folder, nodeDisk, (aside) => {
    for (const [name, text] of Object.entries(files)) {
      const path = join(aside, name);
      writeFileAtomically(path, text);
      nodeDisk.sync(path);
    }
  });
}

/**
 * The folder of the JSON schemas, under the name by which the project's `node_modules` has the package: that stays true when another
 * version is installed, where pnpm keeps each version in a folder of its own.
 */
function schemasFor(folder: string): string {
  const own = join(shipped, "schema");
  for (let above = folder; above !== dirname(above); above = dirname(above)) {
    const installed = join(above, "node_modules", "reft", "configs", "schema");
    if (isSamePlace(installed, own)) return installed;
  }
  return own;
}

/**
 * The text of each configuration by its file's name.
 *
 * @param schemas path of the JSON schemas from the project's folder, for editors
 */
function configurations(
  task: ProjectTask,
  init: string | undefined,
  schemas: string,
): Record<string, string> {
  const base = join(shipped, baseOf(task, init));
  const data = { train: "data/train.jsonl", dev: "data/dev.jsonl" };
  const questions = task === "generated" ? { ...data, train: "data/answers.jsonl" } : data;
  const stage = (name: Stage, file: string, changes: Readonly<Record<string, Values>>) => {
    const values: Values = { ...loadConfig(name, join(base, file)) };
    for (const [section, changed] of Object.entries(changes))
      values[section] =
        section === "model" ? changed : { ...(values[section] as Values), ...changed };
    return forEditors(name, schemas) + explained(values, stageSchemas[name]);
  };
  const warmup = { model: { init: "runs/warmup" } };
  return {
    "warmup.yaml": stage("sft", "warmup.yaml", { data, ...(init && { model: { init } }) }),
    "sft.yaml": stage("sft", "sft.yaml", { data, ...warmup }),
    "reft.yaml": stage("reft", "reft.yaml", { data: questions, ...warmup }),
    "rerank.yaml": stage("rerank", "rerank.yaml", {
      model: { init: "runs/reft" },
      data: { samples: "samples/train.jsonl", devSamples: "samples/dev.jsonl" },
    }),
    "recipe.yaml": forEditors("recipe", schemas) + recipe(task, base),
  };
}

/** The line from which editors with YAML's language server know what a file may say. */
function forEditors(kind: SettingsKind, schemas: string): string {
  return `# yaml-language-server: $schema=${join(schemas, `${kind}.json`)}\n`;
}

/** The folder of shipped configurations whose values fit best. */
function baseOf(task: ProjectTask, init: string | undefined): string {
  if (init !== undefined) return "svamp-smollm2";
  return task === "generated" ? "tiny" : "svamp-tiny";
}

function recipe(task: ProjectTask, base: string): string {
  const { stages: _, data: __, ...others } = loadRecipe(join(base, "recipe.yaml"));
  const stages = Object.fromEntries(
    ["warmup", "sft", "reft", "rerankSft", "rerankReft"].map((name) => [
      name,
      { config: `${name.startsWith("rerank") ? "rerank" : name}.yaml` },
    ]),
  );
  return explained({ ...others, data: dataOf(task), stages }, recipeSchema);
}

/** Where a recipe's data come from: what the shipped recipe of the same kind says, but for its own data set. */
function dataOf(task: ProjectTask): Values {
  const { data } = loadRecipe(join(shipped, baseOf(task, undefined), "recipe.yaml"));
  const { prepare, ...files } = data;
  if (task === "own") return { folder: "data", ...files };
  const place = task === "generated" ? {} : { from: `downloads/${task}` };
  return { prepare: { ...prepare, dataset: task, ...place }, ...files };
}

/** The part of a JSON schema that is read here. */
interface Described {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly anyOf?: readonly Described[];
  readonly oneOf?: readonly Described[];
}

/** Settings as YAML, each with what its schema says that it means. */
function explained(values: Values, schema: z.ZodType): string {
  const document = new Document(values);
  if (isMap(document.contents))
    for (const { key, value } of document.contents.items)
      if (isScalar(key) && isMap(value)) key.spaceBefore = true;
  explain(document.contents, z.toJSONSchema(schema, { unrepresentable: "any" }) as Described);
  return document.toString({ lineWidth: 0 });
}

function explain(node: unknown, schema: Described): void {
  if (!isMap(node)) return;
  const kinds = [schema, ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  for (const { key, value } of node.items) {
    const name = String(isScalar(key) ? key.value : key);
    const found = kinds.flatMap(({ properties }) => properties?.[name] ?? []);
    const description = found.find(({ description }) => description)?.description;
    if (isScalar(value) && description) value.comment = ` ${description}`;
    for (const inner of found) explain(value, inner);
  }
}
