import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadModel } from "../../src/model/model.ts";
import { loadModelFolder } from "../../src/models/modelFolder.ts";
import { resolveModelFolder } from "../../src/run/checkpoint.ts";
import { goldenPath } from "../support/golden.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const home = temporaryFolder();
let count = 0;

/** A new folder with empty files. */
function folderWith(...names: string[]): string {
  const folder = join(home, `folder-${count++}`);
  mkdirSync(folder);
  for (const name of names) writeFileSync(join(folder, name), "");
  return folder;
}

/** Copies files of a model into a folder. */
function copyModel(folder: string, ...names: string[]): void {
  for (const name of names)
    copyFileSync(goldenPath("models", "multi-head", name), join(folder, name));
}

const configured = (...names: string[]) => {
  const folder = folderWith(...names);
  copyModel(folder, "config.json");
  return folder;
};

test.each<[string, string[], RegExp]>([
  [
    "PyTorch's pickles",
    ["pytorch_model.bin"],
    /PyTorch's own format \("pytorch_model\.bin"\).*conv/,
  ],
  [
    "PyTorch's pickles in shards",
    ["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"],
    /PyTorch's own format/,
  ],
  ["a GGUF file", ["q4.gguf"], /holds the GGUF file "q4\.gguf": import that file itself/],
  ["weights of another library", ["tf_model.h5"], /for another library \("tf_model\.h5"\)/],
  ["shards without an index", ["model-00001-of-00002.safetensors"], /without their index: fetch/],
  ["weights under another name", ["model.fp16.safetensors"], /call the file model\.safetensors/],
])("a folder with a configuration and %s says so", async (_, names, message) => {
  const folder = configured(...names);
  for (const load of [loadModel, loadModelFolder]) {
    const found = await userErrorOf(() => load(folder));
    expect(found).toContain(`${folder}: expected model.safetensors`);
    expect(found).toMatch(message);
  }
});

test.each<[string, string[], RegExp]>([
  ["a GGUF file", ["a\u001b[31m.gguf"], /holds the GGUF file "a\\u001b\[31m\.gguf"/],
  ["Meta's layout", ["consolidated.00.pth", "params.json"], /as Meta published LLaMA/],
])("a folder without a configuration, but with %s, says so", async (_, names, message) => {
  const folder = folderWith(...names);
  expect(await userErrorOf(() => loadModelFolder(folder))).toMatch(message);
  expect(await userErrorOf(() => resolveModelFolder(folder))).toMatch(message);
});

test.each<[string, string, RegExp]>([
  ["weights by GPTQ", "quantize_config.json", /quantised weights \("quantize_config\.json"/],
  ["weights by AWQ", "quant_config.json", /quantised weights \("quant_config\.json"/],
])("a whole model beside %s is refused", async (_, name, message) => {
  const folder = folderWith(name);
  copyModel(folder, "config.json", "model.safetensors");
  expect(await userErrorOf(() => loadModel(folder))).toMatch(message);
});

test("a GGUF file in a folder's place is to be imported", async () => {
  const path = goldenPath("gguf", "grouped-query.gguf");
  expect(await userErrorOf(() => resolveModelFolder(path))).toMatch(/a GGUF file: import it/);
});
