// A model leaves as a GGUF file: what is written, that the importer reads the same model, and that nothing half-done is left.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { loadTokenizer, saveTokenizer } from "../../src/data/tokenizer.ts";
import { liveTensors } from "../../src/engine/tf.ts";
import { asUserError } from "../../src/errors.ts";
import { type Disk, nodeDisk } from "../../src/formats/disk.ts";
import { openGguf } from "../../src/formats/gguf.ts";
import { createClassifier, disposeClassifier, saveClassifier } from "../../src/model/classifier.ts";
import { type ModelConfig, readModelConfig } from "../../src/model/config.ts";
import { disposeModel, loadModel, saveModel } from "../../src/model/model.ts";
import type { RopeScaling } from "../../src/model/ropeSettings.ts";
import { exportModel } from "../../src/models/export.ts";
import { exportGguf, type GgufExportOptions } from "../../src/models/exportGguf.ts";
import { importModel } from "../../src/tasks/importModel.ts";
import { failingDisk } from "../support/failingDisk.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { weightsIn, writeTinyAdapter, writeTinyData, writeTinyModel } from "../support/tiny.ts";

const llama3: RopeScaling = {
  type: "llama3",
  ...{ factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 64 },
};

let [home, source, output] = ["", "", ""];
beforeEach(() => {
  home = temporaryFolder();
  [source, output] = [join(home, "source"), join(home, "output")];
  writeTinyModel(source, writeTinyData(home));
});

function exported(options: Partial<GgufExportOptions> = {}, disk?: Disk) {
  return exportGguf(source, output, { dtype: "F32", modelfile: false, ...options }, disk);
}

const hidden = () => readdirSync(home).filter((name) => name.startsWith("."));

/** Changes a weight of the source. */
function setWeight(name: string, value: number): void {
  const model = loadModel(source);
  const variable = model.parameters.get(name)!;
  variable.load(variable.values().with(5, value));
  saveModel(model, source);
  disposeModel(model);
}

test("export and import give the same weights, tokenizer and end tokens", () => {
  const report = exported();
  expect(report).toMatchObject({ maxDifference: 0, tensors: 11 });
  expect(readdirSync(output)).toEqual(["model.gguf"]);
  const again = join(home, "again");
  importModel(join(output, "model.gguf"), again);
  const weights = (folder: string) => weightsIn(join(folder, "model.safetensors"));
  expect(weights(again)).toEqual(weights(source));
  const [before, after] = [source, again].map(loadTokenizer);
  expect(after!.files.tokenizerJson).toEqual(before!.files.tokenizerJson);
  expect(after).toMatchObject({ eosId: before!.eosId, padId: before!.padId, bosId: before!.bosId });
  expect(hidden()).toEqual([]);
});

test.each<[string, Partial<ModelConfig>, string, number]>([
  ["qwen2", { qkvBias: true }, "qwen2", 14],
  ["qwen3", { qkNorm: true }, "qwen3", 13],
  ["smollm3", {}, "smollm3", 11], // of one layer
  ["mistral", {}, "llama", 11],
])("a %s comes back with the same weights", (modelType, changes, architecture, tensors) => {
  const config = { ...changes, modelType: modelType as ModelConfig["modelType"] };
  writeTinyModel(source, writeTinyData(home), config);
  expect(exported()).toMatchObject({ maxDifference: 0, tensors });
  using file = openGguf(join(output, "model.gguf"));
  expect(file.metadata.get("general.architecture")).toBe(architecture);
  const again = join(home, "again");
  importModel(join(output, "model.gguf"), again);
  const weights = (folder: string) => weightsIn(join(folder, "model.safetensors"));
  expect(weights(again)).toEqual(weights(source));
  const { qkvBias, qkNorm } = readModelConfig(source);
  expect(readModelConfig(again)).toMatchObject({ qkvBias, qkNorm, modelType: architecture });
});

test("an adapter is merged into the weights that it stands beside", () => {
  const base = join(home, "base");
  cpSync(source, base, { recursive: true });
  rmSync(source, { recursive: true });
  writeTinyAdapter(source, base, 0.1);
  const merged = join(home, "merged");
  exportModel(source, merged, { dtype: "F32", maxShardBytes: 1e9, valueHead: false });
  const live = liveTensors();
  expect(exported()).toMatchObject({ maxDifference: 0, mergeLoss: 0 });
  expect(liveTensors()).toBe(live);
  const again = join(home, "again");
  importModel(join(output, "model.gguf"), again);
  const [found, expected, before] = [again, merged, base].map((folder) =>
    weightsIn(join(folder, "model.safetensors")),
  );
  expect(found).toEqual(expected);
  expect(found).not.toEqual(before);
  rmSync(output, { recursive: true });
  expect(exported({ dtype: "BF16" }).mergeLoss).toBeGreaterThan(0.001);
});

test("reports what rounding does to a weight, norms left out", () => {
  setWeight("model.layers.0.mlp.up_proj.weight", 1 + 2 ** -9);
  expect(exported({ dtype: "BF16" }).maxDifference).toBe(2 ** -9);
  using file = openGguf(join(output, "model.gguf"));
  expect(file.metadata.get("general.file_type")).toBe(32);
});

describe("refuses, and leaves nothing:", () => {
  test.each<[string, () => void, Partial<GgufExportOptions>, RegExp]>([
    [
      "rows that are no blocks",
      () => {},
      { dtype: "Q8_0" },
      /rows of 16 values, expected a multiple of 32/,
    ],
    [
      "a weight that the type cannot hold",
      () => setWeight("model.layers.0.mlp.up_proj.weight", 70_000),
      { dtype: "F16" },
      /up_proj\.weight holds 70000, which F16 cannot hold; export with the option dtype bf16 or f32/,
    ],
    [
      "a model without a prompt, with a Modelfile",
      () => rmSync(join(source, "reft.json")),
      { modelfile: true },
      /has no reft\.json, so there is no prompt for a Modelfile/,
    ],
    [
      "an output in use",
      () => {
        mkdirSync(output);
        writeFileSync(join(output, "notes.txt"), "");
      },
      {},
      /expected a new or empty folder/,
    ],
  ])("%s", async (_, prepare, options, message) => {
    prepare();
    const before = readdirSync(home);
    expect(await userErrorOf(() => exported(options))).toMatch(message);
    expect(readdirSync(home)).toEqual(before);
  });

  test.each([
    ["mistral", "slidingWindow", { slidingWindow: { size: 8, layers: [0] } }],
    ["qwen3", "ropeScaling", { qkNorm: true, ropeScaling: llama3 }],
    ["smollm3", "noRopeLayers", { noRopeLayers: [0] }],
  ] as const)(
    "what llama.cpp's architecture of a %s has not: %s",
    async (modelType, name, changes) => {
      writeTinyModel(source, writeTinyData(home), { modelType, ...changes });
      expect(await userErrorOf(() => exported())).toContain(`cannot express its ${name}; export`);
      expect(hidden()).toEqual([]);
    },
  );

  test("a classifier", async () => {
    const model = loadModel(source);
    const classifier = createClassifier(model, 1);
    const folder = join(home, "classifier");
    saveClassifier(classifier, folder);
    saveTokenizer(loadTokenizer(source), folder);
    disposeClassifier(classifier);
    source = folder;
    expect(await userErrorOf(() => exported())).toMatch(
      /classifier \(train-rerank\) cannot be exported as a GGUF file.*Hugging Face folder/,
    );
  });

  test("a tokenizer that llama.cpp has no name for", async () => {
    const path = join(source, "tokenizer.json");
    const json = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...json, normalizer: { type: "NFC" } }));
    expect(await userErrorOf(() => exported())).toMatch(/cannot express its tokenizer: normalizer/);
    expect(hidden()).toEqual([]);
  });
});

test.each([
  ["a bit of a weight", -1],
  ["a bit of the metadata", 60],
])("finds %s that the disk has changed", async (_, offset) => {
  const sync = (path: string) => {
    nodeDisk.sync(path);
    if (!path.endsWith("model.gguf")) return;
    const bytes = readFileSync(path);
    bytes[offset < 0 ? bytes.length + offset : offset]! ^= 1;
    writeFileSync(path, bytes);
  };
  const message = await userErrorOf(() => exported({}, { ...nodeDisk, sync }));
  expect(message).toMatch(/^the export failed its check and was removed: /);
  expect([...readdirSync(home)]).not.toContain("output");
  expect(hidden()).toEqual([]);
});

test("leaves a whole export or none wherever the disk is full, and the same command works then", async () => {
  for (let n = 1; ; n++) {
    const disk = failingDisk(n, "ENOSPC");
    let message: string | undefined;
    try {
      exported({ modelfile: true }, disk);
    } catch (error) {
      message = asUserError(error)?.message;
    }
    if (disk.failedAt === undefined) {
      expect(n).toBeGreaterThan(5);
      break;
    }
    expect(message, disk.failedAt).toMatch(/free some space and try again/);
    if (readdirSync(home).includes("output")) {
      expect(readdirSync(output)).toEqual(["Modelfile", "model.gguf"]); // only the last sync failed
      rmSync(output, { recursive: true });
    }
  }
  expect(readdirSync(output)).toEqual(["Modelfile", "model.gguf"]);
  expect(hidden()).toEqual([]);
});
