// Bad input of what needs TensorFlow to be loaded: a model's weights in shards, adapters, and what training keeps beside a model.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe } from "vitest";
import { loadTokenizer, trainTokenizer } from "../../src/data/tokenizer.ts";
import { AdamW } from "../../src/engine/optimizer.ts";
import { Variable } from "../../src/engine/variable.ts";
import { disposeModel, loadModel, openWeights } from "../../src/model/model.ts";
import { generationConfigOf, readAnswerFormat } from "../../src/models/modelFolder.ts";
import { loadOptimizer, saveOptimizer } from "../../src/run/optimizerFile.ts";
import { importModel } from "../../src/tasks/importModel.ts";
import { changedBytes, changedJsonFile, fuzz } from "../support/fuzz.ts";
import { goldenPath } from "../support/golden.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

/** One file of a folder, changed; the folder is whole again when a reader has seen it. */
function changedFile(folder: string, name: string, headerBytes = 1500) {
  const path = join(folder, name);
  const original = readFileSync(path);
  const bytes = name.endsWith(".json")
    ? changedJsonFile(JSON.parse(original.toString()))
    : changedBytes(original, Math.min(headerBytes, original.length));
  return bytes.map((changed) => ({ name, changed, path, original }));
}

type Changed = ReturnType<typeof changedFile> extends fc.Arbitrary<infer T> ? T : never;

function withChanged(read: () => unknown) {
  return ({ changed, path, original }: Changed) => {
    writeFileSync(path, changed);
    try {
      return read();
    } finally {
      writeFileSync(path, original);
    }
  };
}

describe("a model in shards", () => {
  const folder = join(temporaryFolder(), "model");
  cpSync(goldenPath("models", "sharded-bf16"), folder, { recursive: true });
  const names = ["config.json", "model.safetensors.index.json", "model-00002-of-00004.safetensors"];
  const files = fc.oneof(...names.map((name) => changedFile(folder, name)));
  fuzz(
    "its index, a shard or its configuration",
    files,
    withChanged(() => {
      for (const { data } of openWeights(folder).weights.values()) void data;
    }),
  );
});

describe("an adapter", () => {
  const home = temporaryFolder();
  cpSync(goldenPath("models", "grouped-query"), join(home, "models/grouped-query"), {
    recursive: true,
  });
  const folder = join(home, "adapters/one");
  cpSync(goldenPath("adapter", "queries-and-values"), folder, { recursive: true });
  const names = ["adapter_config.json", "adapter_model.safetensors"];
  const files = fc.oneof(...names.map((name) => changedFile(folder, name)));
  fuzz(
    "its configuration or its weights",
    files,
    withChanged(() => disposeModel(loadModel(folder))),
  );
});

describe("what stands beside a model", () => {
  const folder = temporaryFolder();
  const format = {
    cotKind: "python",
    sampling: {
      programPrefix: "def",
      continuation: "    a = 1",
      prompt: { kind: "chat", template: "{{ messages }}", system: "x", date: "2024-07-26" },
    },
  };
  writeFileSync(join(folder, "reft.json"), JSON.stringify(format));
  fuzz(
    "reft.json",
    changedFile(folder, "reft.json"),
    withChanged(() => readAnswerFormat(folder)),
  );

  const tokenizer = trainTokenizer(["a"], 260);
  const config = { eosIds: [2], bosId: 1 } as never;
  const generation = changedJsonFile({ eos_token_id: [1, 2], temperature: 0.6, do_sample: true });
  fuzz("generation_config.json", generation, (bytes) => {
    const asTheyCame = new Map([["generation_config.json", bytes]]);
    const files = { ...tokenizer.files, asTheyCame };
    generationConfigOf({ config }, { ...tokenizer, files }, folder);
  });
});

describe("what training keeps", () => {
  const folder = temporaryFolder();
  const variable = new Variable("w", [2, 3], new Float32Array(6));
  const options = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 };
  const adamW = new AdamW([{ variables: [variable] }], options);
  saveOptimizer(adamW, folder);
  const names = ["optimizer.json", "optimizer.safetensors"];
  const files = fc.oneof(...names.map((name) => changedFile(folder, name)));
  fuzz(
    "the optimizer's state",
    files,
    withChanged(() => loadOptimizer(adamW, folder)),
  );
});

describe("an import", () => {
  const home = temporaryFolder();
  mkdirSync(join(home, "in"));
  let count = 0;
  const files = ["grouped-query", "qwen2"].map((name) =>
    changedBytes(readFileSync(goldenPath("gguf", `${name}.gguf`)), 4000),
  );
  fuzz("leaves a whole model or nothing", fc.oneof(...files), (bytes) => {
    const [source, output] = [join(home, "in/a.gguf"), join(home, `out-${count++}`)];
    writeFileSync(source, bytes);
    try {
      importModel(source, output);
      loadTokenizer(output);
      openWeights(output);
    } catch (error) {
      if (existsSync(output)) throw new Error("leaves an output behind", { cause: error });
      throw error;
    } finally {
      for (const name of readdirSync(home))
        if (name.startsWith("out") || name.startsWith("."))
          rmSync(join(home, name), { recursive: true });
    }
  });
});
