// LoRA: beside a frozen matrix W stand two small ones that are trained, and the product is W·x + alpha / rank · B·(A·x).
// Reference: Hu et al., arXiv 2106.09685. The files are those of Python's peft 0.21.
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { z } from "zod";
import { type AdapterConfig, adapterTargets } from "../config.ts";
import { Variable } from "../engine/variable.ts";
import { quote, show, UserError } from "../errors.ts";
import { isThere } from "../folders.ts";
import { jsonText, parseJson, readText, writeFileAtomically } from "../formats/jsonl.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import { weightName } from "../formats/safetensorsHeader.ts";
import type { Rng } from "../rng.ts";
import { checkFinite } from "./finite.ts";

export type AdapterTarget = (typeof adapterTargets)[number];

export interface AdapterSettings {
  /** Rows of A and columns of B. */
  readonly rank: number;
  /** Adapters count alpha / rank. */
  readonly alpha: number;
  readonly targets: readonly AdapterTarget[];
}

/** Whoever makes one disposes it. */
export interface Adapter {
  readonly settings: AdapterSettings;
  /** A [rank, in] and B [out, rank] of each target in each layer, by `adapterNames`. */
  readonly variables: ReadonlyMap<string, Variable>;
  /** Absolute path of the folder with the frozen weights. */
  readonly base: string;
}

/** The settings of an adapter, its targets in the order of a layer. */
export function adapterOf({ rank, alpha, targets }: AdapterConfig): AdapterSettings {
  const chosen = adapterTargets.filter((target) => targets === "all" || targets.includes(target));
  return { rank, alpha, targets: chosen };
}

/** What the product of an adapter's two matrices counts. */
export function adapterScale({ rank, alpha }: AdapterSettings): number {
  return alpha / rank;
}

type Shapes = ReadonlyMap<string, readonly number[]>;

/** Names of the two matrices beside the one of this name. */
export function adapterNames(matrix: string): { readonly a: string; readonly b: string } {
  const stem = matrix.replace(/\.weight$/, "");
  return { a: `${stem}.lora_A.weight`, b: `${stem}.lora_B.weight` };
}

/** @param shapes of the model's weights */
export function adapterShapes(shapes: Shapes, { rank, targets }: AdapterSettings) {
  const adapted = [...shapes].filter(([name]) =>
    targets.some((target) => name.endsWith(`.${target}.weight`)),
  );
  const entries = adapted.flatMap(([name, [out, size]]) => {
    const { a, b } = adapterNames(name);
    return [[a, [rank, size!]] as const, [b, [out!, rank]] as const];
  });
  return new Map<string, readonly number[]>(entries);
}

/**
 * A fresh adapter: A uniform in ±1 / √in, as peft draws it, and B zero, so that the model is the base, bit for bit, until it is trained.
 *
 * @param shapes of the model's weights
 */
export function createAdapter(
  shapes: Shapes,
  settings: AdapterSettings,
  base: string,
  rng: Rng,
): Adapter {
  const variables = new Map<string, Variable>();
  for (const [name, shape] of adapterShapes(shapes, settings)) {
    const isA = name.endsWith(".lora_A.weight");
    const [rows, columns] = shape as [number, number];
    const bound = 1 / Math.sqrt(columns);
    const draw = () => (2 * rng.uniform() - 1) * bound;
    const values = isA ? Float32Array.from({ length: rows * columns }, draw) : undefined;
    variables.set(name, new Variable(name, shape, values));
  }
  return { settings, variables, base };
}

export function disposeAdapter(adapter: Adapter): void {
  for (const variable of adapter.variables.values()) variable.dispose();
}

// --- peft's files ---

const configName = "adapter_config.json";
const weightsName = "adapter_model.safetensors";
const prefix = "base_model.model.";

/** Keys of peft's LoraConfig that are read, or change nothing of what is computed. */
const known = new Set([
  ...["peft_type", "task_type", "base_model_name_or_path", "r", "lora_alpha", "target_modules"],
  ...[
    "auto_mapping",
    "inference_mode",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "revision",
  ],
  ...["qalora_group_size", "init_lora_weights", "bias", "modules_to_save"],
]);
/** Ways to draw the first weights that leave the base model as it is. */
const plainStarts: readonly unknown[] = [undefined, true, false, "gaussian"];

/** Whether no other module was trained whole than a classifier's head; peft names both that it may have. */
function isHead({ task_type, modules_to_save: saved }: Readonly<Record<string, unknown>>): boolean {
  if (saved === undefined || saved === null) return true;
  const heads = ["classifier", "score"];
  return (
    task_type === "SEQ_CLS" && Array.isArray(saved) && saved.every((name) => heads.includes(name))
  );
}

/** What asks for more than two matrices per weight; every other key of peft's is empty where it asks for nothing. */
function extrasOf(json: Readonly<Record<string, unknown>>): string[] {
  const isEmpty = (value: unknown) =>
    value === null || value === false || ["{}", "[]"].includes(JSON.stringify(value));
  const filled = Object.keys(json).filter((key) => !known.has(key) && !isEmpty(json[key]));
  return [
    ...filled,
    ...(isHead(json) ? [] : ["modules_to_save"]),
    ...((json.bias ?? "none") === "none" ? [] : ["bias"]),
    ...(plainStarts.includes(json.init_lora_weights) ? [] : ["init_lora_weights"]),
  ];
}

const mergeInPython =
  "merge it into its base model in Python (peft: merge_and_unload(), then save_pretrained) and give that folder";

const configSchema = z.looseObject({
  peft_type: z.literal("LORA"),
  task_type: z.enum(["CAUSAL_LM", "SEQ_CLS"]).nullish(),
  base_model_name_or_path: z.string().min(1),
  r: z.int().positive(),
  lora_alpha: z.number().positive(),
  target_modules: z.union([z.string(), z.array(z.string())]),
});

/** What an adapter's folder says of it. */
export interface AdapterFolder {
  readonly settings: AdapterSettings;
  /** The names of its matrices, whole or in part, as peft has them. */
  readonly modules: readonly string[];
  readonly base: string;
  readonly isClassifier: boolean;
}

/**
 * The matrices that peft's names stand for, which may be whole: of a small model it writes `model.layers.0.self_attn.q_proj` and so on.
 *
 * @throws UserError for a regular expression, and for other matrices
 */
function targetsIn(names: string | readonly string[], path: string): AdapterTarget[] {
  if (typeof names === "string" || names.length === 0)
    throw new UserError(
      `${path}: target_modules: expected a list of names, found ${show(names)}; ${mergeInPython}`,
    );
  const isNamed = (target: AdapterTarget, name: string) => `.${name}`.endsWith(`.${target}`);
  const other = names.find((name) => !adapterTargets.some((target) => isNamed(target, name)));
  if (other === undefined)
    return adapterTargets.filter((target) => names.some((name) => isNamed(target, name)));
  throw new UserError(
    `${path}: target_modules: expected names of ${adapterTargets.join(", ")}, found ${quote(other)}; ${mergeInPython}`,
  );
}

/** @throws UserError where whole names leave out layers. @param names of matrices to be adapted */
function checkLayers(names: Iterable<string>, { modules }: AdapterFolder, path: string): void {
  for (const name of names)
    if (!modules.some((module) => `.${name}`.includes(`.${module}.lora_`)))
      throw new UserError(
        `${path}: target_modules: expected the same matrices in all layers, found none that is ${name.replace(/\.lora_.*/, "")}; ${mergeInPython}`,
      );
}

/** The folders that a base model's path may begin at: the adapter's, those around it, so that a project can be moved, and the working one. */
function startsOf(folder: string): string[] {
  const starts = [resolve(folder)];
  for (let last = starts[0]!; dirname(last) !== last; last = dirname(last))
    starts.push(dirname(last));
  return [...starts, process.cwd()];
}

/** A base model's path as a user in the working folder writes it; absolute unless base and adapter both lie there. */
function baseInFile(base: string, folder: string): string {
  const paths = [base, resolve(folder)].map((path) => relative(process.cwd(), path));
  return paths.some((path) => path === "" || path.startsWith("..")) ? base : paths[0]!;
}

/**
 * What an adapter's folder says of it, as peft writes it.
 *
 * @returns undefined for a folder without an adapter
 * @throws UserError for an adapter that would need more than LoRA's two matrices, or whose base model is not there
 */
export function readAdapterFolder(folder: string): AdapterFolder | undefined {
  const path = join(folder, configName);
  if (!isThere(path)) return undefined;
  const json = parseJson(readText(path), path, configSchema);
  const extras = extrasOf(json);
  if (extras.length > 0) {
    const list = extras.map((key) => `${show(key)}: ${show(json[key])}`).join(", ");
    throw new UserError(
      `${path}: this adapter is more than LoRA's two matrices per weight (${list}); ${mergeInPython}`,
    );
  }
  const { base_model_name_or_path: base, r, lora_alpha, target_modules, task_type } = json;
  const candidates = isAbsolute(base) ? [base] : startsOf(folder).map((start) => join(start, base));
  const found = candidates.find((candidate) => isThere(join(candidate, "config.json")));
  if (found === undefined) {
    throw new UserError(
      `${path}: base_model_name_or_path: expected the folder of the base model, found ${quote(base)}, where there is no config.json; ` +
        "put that model, or a link to it, there; in an adapter that another tool wrote its path can be changed instead",
    );
  }
  const targets = targetsIn(target_modules, path);
  const settings = { rank: r, alpha: lora_alpha, targets };
  const modules = [target_modules].flat();
  return { settings, modules, base: found, isClassifier: task_type === "SEQ_CLS" };
}

/**
 * Reads an adapter's weights.
 *
 * @param shapes of the base model's weights
 * @param heads that were trained whole, by name
 * @throws UserError when one is missing, superfluous, misshapen or not finite
 */
export function loadAdapter(
  folder: string,
  adapted: AdapterFolder,
  shapes: Shapes,
  heads: Shapes = new Map(),
): Adapter & { readonly heads: ReadonlyMap<string, Variable> } {
  const { settings, base } = adapted;
  const own = adapterShapes(shapes, settings);
  checkLayers(own.keys(), adapted, join(folder, configName));
  const path = join(folder, weightsName);
  if (!isThere(path))
    throw new UserError(
      `${path}: expected the adapter's weights, found nothing there; where they are adapter_model.bin, ` +
        "load them in Python with a newer peft and save them again",
    );
  using file = openSafetensors(path);
  const expected = new Map([...own, ...heads]);
  const superfluous = [...file.tensors.keys()].find(
    (name) => !expected.has(name.slice(prefix.length)) || !name.startsWith(prefix),
  );
  if (superfluous !== undefined)
    throw new UserError(
      `${path}: ${weightName(superfluous)} belongs to no matrix that ${configName} and the base model ${base} have`,
    );
  const variables = new Map<string, Variable>();
  try {
    for (const [name, shape] of expected) {
      const found = file.tensors.get(prefix + name)?.shape;
      if (found?.join() !== shape.join()) {
        throw new UserError(
          `${path}: ${prefix}${name}: expected the shape [${shape}], found ${found ? `[${found}]` : "no such weight"}; ` +
            "adapter and base model do not belong together",
        );
      }
      const values = file.readFloat32(prefix + name);
      checkFinite(values, shape, name, path);
      variables.set(name, new Variable(name, shape, values));
    }
  } catch (error) {
    for (const variable of variables.values()) variable.dispose();
    throw error;
  }
  const others = new Map<string, Variable>();
  for (const name of heads.keys()) {
    others.set(name, variables.get(name)!);
    variables.delete(name);
  }
  return { settings, variables, base, heads: others };
}

/** Writes adapter_config.json; the weights go by `adapterWeights` to `adapterWeightsName`. */
export function writeAdapterConfig(
  { settings: { rank, alpha, targets }, base }: Adapter,
  folder: string,
  taskType: "CAUSAL_LM" | "SEQ_CLS",
): void {
  const json = {
    ...{
      peft_type: "LORA",
      task_type: taskType,
      base_model_name_or_path: baseInFile(base, folder),
    },
    ...{ r: rank, lora_alpha: alpha, lora_dropout: 0, target_modules: targets },
    ...{ bias: "none", fan_in_fan_out: false, use_rslora: false, use_dora: false },
    ...{ inference_mode: true, modules_to_save: taskType === "SEQ_CLS" ? ["score"] : null },
  };
  writeFileAtomically(join(folder, configName), jsonText(json));
}

export { weightsName as adapterWeightsName };

/** Variables by the names that peft gives them in a file. @param heads that were trained whole */
export function adapterWeights(
  { variables }: Adapter,
  heads: ReadonlyMap<string, Variable> = new Map(),
): Map<string, Variable> {
  return new Map([...variables, ...heads].map(([name, variable]) => [prefix + name, variable]));
}
