// Adapters as they lie on disk: those of runs, and what other tools leave.
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { liveTensors } from "../../src/engine/tf.ts";
import {
  narrow,
  openSafetensors,
  roundedTo,
  writeSafetensors,
} from "../../src/formats/safetensors.ts";
import {
  createClassifier,
  disposeClassifier,
  loadClassifier,
  readClassifierConfig,
  saveClassifier,
} from "../../src/model/classifier.ts";
import { checkHoldsModel, disposeModel, loadModel } from "../../src/model/model.ts";
import { loadModelFolder, saveModelFolder } from "../../src/models/modelFolder.ts";
import { resolveModelFolder } from "../../src/run/checkpoint.ts";
import { importModel } from "../../src/tasks/importModel.ts";
import { loadModel as loadForTasks } from "../../src/tasks/loadModel.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { weightsIn, writeTinyAdapter, writeTinyData, writeTinyModel } from "../support/tiny.ts";

let [home, base, folder] = ["", "", ""];
beforeEach(() => {
  home = temporaryFolder();
  [base, folder] = [join(home, "models", "base"), join(home, "runs", "adapter")];
  mkdirSync(join(home, "models"));
  writeTinyModel(base, writeTinyData(home));
  writeTinyAdapter(folder, base, 0.1);
});

const weightsFile = "adapter_model.safetensors";
const configOf = (path: string) =>
  JSON.parse(readFileSync(join(path, "adapter_config.json"), "utf8"));

function setConfig(changes: object): void {
  const path = join(folder, "adapter_config.json");
  writeFileSync(path, JSON.stringify({ ...configOf(folder), ...changes }));
}

/** Numbers of the folder's adapter as a model has them. */
function loadedValues(path = folder): Record<string, number[]> {
  const model = loadModel(path);
  const values = [...model.adapter!.variables].map(([name, variable]) => [
    `base_model.model.${name}`,
    [...variable.values()],
  ]);
  disposeModel(model);
  return Object.fromEntries(values);
}

/** Removes what peft does not write. */
function asPeftWrites(): void {
  for (const name of readdirSync(folder))
    if (!name.startsWith("adapter_")) rmSync(join(folder, name));
}

test.each(["F16", "BF16"] as const)("takes weights of %s", (dtype) => {
  const path = join(folder, weightsFile);
  const tensors = new Map(
    Object.entries(weightsIn(path)).map(([name, values]) => {
      using file = openSafetensors(path);
      const { shape } = file.tensors.get(name)!;
      return [name, { dtype, shape, data: narrow(Float32Array.from(values), dtype) }] as const;
    }),
  );
  const expected = Object.entries(weightsIn(path)).map(([name, values]) => [
    name,
    [...roundedTo(Float32Array.from(values), dtype)],
  ]);
  writeSafetensors(path, tensors);
  expect(loadedValues()).toEqual(Object.fromEntries(expected));
});

test("does not mind what trainers leave beside an adapter", () => {
  const values = loadedValues();
  for (const name of ["README.md", "training_args.bin", "optimizer.pt", "trainer_state.json"])
    writeFileSync(join(folder, name), "?");
  cpSync(join(base, "config.json"), join(folder, "config.json"));
  expect(resolveModelFolder(folder)).toBe(folder);
  expect(loadedValues()).toEqual(values);
});

test("without a tokenizer of its own it has its base model's", () => {
  asPeftWrites();
  expect(readdirSync(folder)).toEqual(["adapter_config.json", weightsFile]);
  const { model, tokenizer } = loadModelFolder(folder);
  expect(tokenizer.vocabSize).toBe(400);
  disposeModel(model);
  using loaded = loadForTasks(folder);
  expect(loaded.tokenizer!.vocabSize).toBe(400);
});

test("keeps the tokens that end a response, of which its base model knows nothing", () => {
  const { model, tokenizer } = loadModelFolder(folder);
  const eosIds = [...model.config.eosIds, 9];
  saveModelFolder(folder, { ...model, config: { ...model.config, eosIds } }, tokenizer, undefined);
  disposeModel(model);
  const bytes = readFileSync(join(folder, "generation_config.json"));
  const again = loadModelFolder(folder);
  expect(again.model.config.eosIds).toEqual(eosIds);
  saveModelFolder(folder, again.model, again.tokenizer, undefined);
  expect(readFileSync(join(folder, "generation_config.json"))).toEqual(bytes);
  disposeModel(again.model);
});

test("takes whole names of matrices, as peft writes them of small models", async () => {
  const values = loadedValues();
  const names = Object.keys(values).map((name) => /model\.layers.*(?=\.lora_)/.exec(name)![0]);
  setConfig({ target_modules: [...new Set(names)] });
  expect(loadedValues()).toEqual(values);
  setConfig({ target_modules: ["model.layers.0.self_attn.q_proj"] });
  expect(await userErrorOf(() => loadModel(folder))).toContain("belongs to no matrix that");
});

describe("the base model's path", () => {
  test("is relative to the working folder where it lies in it, so that a project can be moved", () => {
    const cwd = vi.spyOn(process, "cwd").mockReturnValue(home);
    writeTinyAdapter(folder, base, 0.1);
    expect(configOf(folder).base_model_name_or_path).toBe("models/base");
    cwd.mockRestore();
    const values = loadedValues();
    const moved = join(temporaryFolder(), "moved");
    renameSync(home, moved);
    expect(loadedValues(join(moved, "runs", "adapter"))).toEqual(values);
  });

  test("is absolute where it or the adapter lies elsewhere", () => {
    expect(configOf(folder).base_model_name_or_path).toBe(base);
    const cwd = vi.spyOn(process, "cwd").mockReturnValue(join(home, "models"));
    writeTinyAdapter(folder, base, 0.1);
    cwd.mockRestore();
    expect(configOf(folder).base_model_name_or_path).toBe(base);
  });

  test("that leads nowhere is an error that says what to do; a link there suffices", async () => {
    const values = loadedValues();
    renameSync(base, join(home, "elsewhere"));
    expect(await userErrorOf(() => loadModel(folder))).toBe(
      `${join(folder, "adapter_config.json")}: base_model_name_or_path: expected the folder of the base model, found ` +
        `${JSON.stringify(base)}, where there is no config.json; put that model, or a link to it, there; ` +
        "in an adapter that another tool wrote its path can be changed instead",
    );
    symlinkSync(join(home, "elsewhere"), base);
    expect(loadedValues()).toEqual(values);
  });
});

test("two adapters of different matrices stand beside one base model", () => {
  const other = join(home, "runs", "other");
  writeTinyAdapter(other, base, 0.1, { rank: 1, alpha: 1, targets: ["q_proj", "down_proj"] });
  expect(configOf(other).target_modules).toEqual(["q_proj", "down_proj"]);
  expect(Object.keys(loadedValues(other)).toSorted()).toEqual(
    ["mlp.down_proj", "self_attn.q_proj"].flatMap((matrix) =>
      ["A", "B"].map((factor) => `base_model.model.model.layers.0.${matrix}.lora_${factor}.weight`),
    ),
  );
});

describe("refuses", () => {
  const refused = async (message: string) => {
    const live = liveTensors();
    expect(await userErrorOf(() => loadModel(folder))).toContain(message);
    expect(liveTensors()).toBe(live);
  };

  test("to import an adapter, which has no weights of a model", async () => {
    expect(await userErrorOf(() => importModel(folder, join(home, "imported")))).toBe(
      `${folder}: cannot use this model: it holds an adapter (adapter_config.json), which is the difference to a base model: ` +
        "merge it into that, reft export, and give the new folder",
    );
    expect(readdirSync(home)).not.toContain("imported");
  });

  test("weights in PyTorch's own format", async () => {
    renameSync(join(folder, weightsFile), join(folder, "adapter_model.bin"));
    await refused("adapter_model.safetensors: expected the adapter's weights, found nothing there");
  });

  test("a base model that is an adapter itself", async () => {
    const upper = join(home, "runs", "upper");
    cpSync(folder, upper, { recursive: true });
    cpSync(join(base, "config.json"), join(folder, "config.json"));
    writeFileSync(
      join(upper, "adapter_config.json"),
      JSON.stringify({ ...configOf(folder), base_model_name_or_path: folder }),
    );
    for (const action of [() => loadModel(upper), () => checkHoldsModel(upper)])
      expect(await userErrorOf(action)).toBe(
        `${folder}: cannot use this model: it holds an adapter (adapter_config.json), which is the difference to a base model: ` +
          "merge it into that, reft export, and give the new folder",
      );
  });

  test("a classifier's adapter where text is to be written, and the other way round", async () => {
    expect(await userErrorOf(() => readClassifierConfig(folder))).toContain(
      "expected a classifier (task_type SEQ_CLS), found an adapter of a language model",
    );
    const classifier = createClassifier(loadModel(folder), 1);
    saveClassifier(classifier, folder);
    disposeClassifier(classifier);
    await refused("expected a language model, found the adapter of a classifier");
    expect(await userErrorOf(() => checkHoldsModel(folder))).toContain(
      "the adapter of a classifier",
    );
  });

  test("a classifier's head of another shape, or none", async () => {
    setConfig({ task_type: "SEQ_CLS" });
    const live = liveTensors();
    expect(await userErrorOf(() => loadClassifier(folder))).toContain(
      "base_model.model.score.weight: expected the shape [2,16], found no such weight",
    );
    expect(liveTensors()).toBe(live);
  });

  test("weights that are no numbers", async () => {
    const path = join(folder, weightsFile);
    const bytes = readFileSync(path);
    bytes.writeFloatLE(Number.NaN, bytes.length - 4);
    writeFileSync(path, bytes);
    await refused("holds NaN at");
  });
});
