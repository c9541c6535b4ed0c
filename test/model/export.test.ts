import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  openSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from "../../src/formats/safetensors.ts";
import { disposeModel, loadModel, saveModel, saveWeights } from "../../src/model/model.ts";
import { createScorer } from "../../src/model/score.ts";
import { goldenPath, largestDifference, readGolden, rowOf } from "../support/golden.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { weightsIn } from "../support/tiny.ts";

const home = temporaryFolder();

/** Loads the model and saves it into a new folder. */
function exported(name: string): string {
  const folder = join(home, `exported-${name}`);
  const model = loadModel(goldenPath("models", name));
  saveModel(model, folder);
  disposeModel(model);
  return folder;
}

let copies = 0;

/** A copy of a golden model, to be spoilt. */
function copyOf(name: string): string {
  const folder = join(home, `copy-${copies++}`);
  cpSync(goldenPath("models", name), folder, { recursive: true });
  return folder;
}

/** Writes a file of weights anew after a change. */
function change(path: string, edit: (tensors: Map<string, TensorToWrite>) => void): void {
  const tensors = new Map<string, TensorToWrite>();
  {
    using file = openSafetensors(path);
    for (const [name, info] of file.tensors) tensors.set(name, { ...info, data: file.read(name) });
  }
  edit(tensors);
  writeSafetensors(path, tensors);
}

const norm = "model.layers.1.input_layernorm.weight";

describe("saveModel after loadModel", () => {
  test.each(["multi-head", "grouped-query", "linear-rope", "llama3-rope", "wide-heads"])(
    "gives transformers' file byte for byte: %s",
    (name) => {
      const bytes = readFileSync(join(exported(name), "model.safetensors"));
      const original = readFileSync(goldenPath("models", name, "model.safetensors"));
      expect(bytes.equals(original)).toBe(true);
    },
  );

  test.each([
    ["sharded-bf16", 4],
    ["sharded-f16", 3],
  ])("gives the same values in one float32 file: %s", (name, shards) => {
    const files = Array.from({ length: shards }, (_, i) => {
      const number = (n: number) => String(n).padStart(5, "0");
      return goldenPath("models", name, `model-${number(i + 1)}-of-${number(shards)}.safetensors`);
    });
    const original = Object.assign({}, ...files.map(weightsIn));
    const path = join(exported(name), "model.safetensors");
    expect(weightsIn(path)).toEqual(original);
    using file = openSafetensors(path);
    expect(new Set([...file.tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(["F32"]));
  });

  test.each([
    ["sharded-bf16", "BF16", 4],
    ["sharded-f16", "F16", 3],
  ] as const)(
    "gives transformers' bits and index in shards of its type: %s",
    (name, dtype, shards) => {
      const [original, folder] = [goldenPath("models", name), join(home, `sharded-${name}`)];
      const model = loadModel(original);
      mkdirSync(folder);
      saveWeights(model.parameters, folder, { dtype, maxShardBytes: 20_000 });
      disposeModel(model);
      const files = readdirSync(folder).filter((file) => file.endsWith(".safetensors"));
      expect(files).toHaveLength(shards);
      for (const file of files) expect(statSync(join(folder, file)).size).toBeLessThan(22_000);
      const [expected, actual] = [original, folder].map((at) =>
        JSON.parse(readFileSync(join(at, "model.safetensors.index.json"), "utf8")),
      );
      expect(actual.metadata).toEqual(expected.metadata);
      expect(Object.keys(actual.weight_map)).toEqual(Object.keys(expected.weight_map));
      for (const weight of Object.keys(expected.weight_map)) {
        using before = openSafetensors(join(original, expected.weight_map[weight]));
        using after = openSafetensors(join(folder, actual.weight_map[weight]));
        expect(after.tensors.get(weight)!.dtype).toBe(dtype);
        expect(after.read(weight)).toEqual(before.read(weight));
      }
    },
  );

  test("describes the same model in config.json", () => {
    const before = loadModel(goldenPath("models", "llama3-rope"));
    const after = loadModel(exported("llama3-rope"));
    expect(after.config).toEqual(before.config);
    for (const model of [before, after]) disposeModel(model);
  });
});

describe("loadModel", () => {
  test("keeps the model's order of weights, whatever the order in the files", () => {
    const names = ["multi-head", "sharded-bf16"].map((name) => {
      const model = loadModel(goldenPath("models", name));
      disposeModel(model);
      return [...model.parameters.keys()];
    });
    for (const order of names) {
      expect(order[0]).toBe("model.embed_tokens.weight");
      expect(order.slice(1, 4)).toEqual([
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.k_proj.weight",
      ]);
      expect(order.slice(-2)).toEqual(["model.norm.weight", "lm_head.weight"]);
    }
  });

  test("names a shard that is missing", async () => {
    const folder = copyOf("sharded-bf16");
    rmSync(join(folder, "model-00003-of-00004.safetensors"));
    expect(await userErrorOf(() => loadModel(folder))).toBe(
      `${folder}/model.safetensors.index.json names the shard model-00003-of-00004.safetensors, ` +
        `which is missing: copy it into ${folder}`,
    );
  });

  test("names weights that are missing", async () => {
    const folder = copyOf("multi-head");
    change(join(folder, "model.safetensors"), (tensors) => tensors.delete(norm));
    expect(await userErrorOf(() => loadModel(folder))).toBe(
      `${folder}: 1 of the weights that config.json asks for is missing: ${norm}; ` +
        "fetch the files again, or the config.json that belongs to them",
    );
    change(join(folder, "model.safetensors"), (tensors) => {
      for (const name of [...tensors.keys()]) if (name.includes("mlp")) tensors.delete(name);
    });
    expect(await userErrorOf(() => loadModel(folder))).toMatch(
      /: 7 of the weights that config.json asks for are missing: \S+, \S+, \S+, \.\.\.; fetch/,
    );
  });

  test("names a weight of another shape, with both shapes", async () => {
    const folder = copyOf("multi-head");
    change(join(folder, "model.safetensors"), (tensors) =>
      tensors.set(norm, { dtype: "F32", shape: [31], data: new Float32Array(31) }),
    );
    expect(await userErrorOf(() => loadModel(folder))).toBe(
      `${folder}/model.safetensors: ${norm} has shape [31], expected [32] from config.json; ` +
        "weights and config.json belong to different models",
    );
  });

  test("names a weight that the model has no use for", async () => {
    const folder = copyOf("multi-head");
    const name = "model.layers.2.input_layernorm.weight";
    change(join(folder, "model.safetensors"), (tensors) => tensors.set(name, tensors.get(norm)!));
    expect(await userErrorOf(() => loadModel(folder))).toBe(
      `${folder}/model.safetensors: ${name} is not a weight of the model that config.json describes; ` +
        "weights and config.json belong to different models",
    );
  });

  test("quotes a name that is none", async () => {
    const folder = copyOf("multi-head");
    change(join(folder, "model.safetensors"), (tensors) =>
      tensors.set("\u001b[2Jx", tensors.get(norm)!),
    );
    expect(await userErrorOf(() => loadModel(folder))).toContain('"\\u001b[2Jx" is not a weight');
  });

  test("names a weight that two shards have", async () => {
    const folder = copyOf("sharded-f16");
    const [first, second] = [1, 2].map((i) => join(folder, `model-0000${i}-of-00003.safetensors`));
    change(first!, (tensors) => {
      using other = openSafetensors(second!);
      const [name, info] = [...other.tensors][0]!;
      tensors.set(name, { ...info, data: other.read(name) });
    });
    expect(await userErrorOf(() => loadModel(folder))).toMatch(
      /model-00002-of-00003.safetensors: \S+ is in another shard, too: keep one$/,
    );
  });

  test.each(["../outside.safetensors", "/etc/outside.safetensors", "sub/x.safetensors", ""])(
    "refuses an index that names the file %j",
    async (shard) => {
      const folder = copyOf("sharded-f16");
      const index = join(folder, "model.safetensors.index.json");
      copyFileSync(
        join(folder, "model-00001-of-00003.safetensors"),
        join(folder, "..", "outside.safetensors"),
      );
      writeFileSync(index, JSON.stringify({ weight_map: { "model.norm.weight": shard } }));
      expect(await userErrorOf(() => loadModel(folder))).toBe(
        `${index}: expected "weight_map" from weight names to .safetensors files beside it`,
      );
    },
  );

  test.each([
    [{}, "none"],
    [{ metadata: {} }, "none"],
    [{ weight_map: null }, "null"],
    [{ weight_map: {} }, "{}"],
    [{ weight_map: [] }, "[]"],
  ])("refuses the index %j, which names no weights", async (content, found) => {
    const folder = copyOf("sharded-f16");
    const index = join(folder, "model.safetensors.index.json");
    writeFileSync(index, JSON.stringify(content));
    expect(await userErrorOf(() => loadModel(folder))).toBe(
      `${index}: expected "weight_map" from weight names to .safetensors files beside it, found ${found}; fetch the file again`,
    );
  });

  test("refuses an index that is no object, and reads one behind a byte order mark", async () => {
    const folder = copyOf("sharded-f16");
    const index = join(folder, "model.safetensors.index.json");
    writeFileSync(index, `\uFEFF${readFileSync(index, "utf8")}`);
    disposeModel(loadModel(folder));
    writeFileSync(index, "null");
    expect(await userErrorOf(() => loadModel(folder))).toContain(`${index}: expected an object`);
  });

  /** Log-probabilities of the golden file's first row. */
  const firstRow = (name: string) => {
    const golden = readGolden("models", name, "golden.safetensors");
    const length = golden.get("lengths")!.values[0]!;
    return {
      tokens: rowOf(golden.get("tokens")!, 0, length),
      expected: rowOf(golden.get("logprobs")!, 0, length - 1),
    };
  };
  const computes = (folder: string, name: string) => {
    const { tokens, expected } = firstRow(name);
    const model = loadModel(folder);
    const scorer = createScorer(model);
    const sequence = { prompt: tokens.slice(0, 1), response: tokens.slice(1) };
    const [found] = scorer.score([sequence], 1000).logprobs;
    scorer.dispose();
    disposeModel(model);
    expect(largestDifference(found!, expected)).toBeLessThan(1e-4);
    return model;
  };
  const setTied = (folder: string, tied: boolean) => {
    const path = join(folder, "config.json");
    const json = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...json, tie_word_embeddings: tied }));
  };
  const [embedding, output] = ["model.embed_tokens.weight", "lm_head.weight"];

  test("does not tie an output matrix that differs from the embedding, whatever config.json says", () => {
    const folder = copyOf("multi-head");
    setTied(folder, true);
    const { config, parameters } = computes(folder, "multi-head");
    expect(config.tieEmbeddings).toBe(false);
    expect([...parameters.keys()].at(-1)).toBe(output);
    const saved = join(home, "saved-untied");
    const model = loadModel(folder);
    saveModel(model, saved);
    disposeModel(model);
    computes(saved, "multi-head");
  });

  test("ties an output matrix that equals the embedding", () => {
    const folder = copyOf("grouped-query");
    change(join(folder, "model.safetensors"), (tensors) =>
      tensors.set(output, tensors.get(embedding)!),
    );
    const { config, parameters } = computes(folder, "grouped-query");
    expect(config.tieEmbeddings).toBe(true);
    expect(parameters.has(output)).toBe(false);
  });

  test("takes the output matrix for the embedding where the two are tied and only it is there", () => {
    const folder = copyOf("grouped-query");
    change(join(folder, "model.safetensors"), (tensors) => {
      tensors.set(output, tensors.get(embedding)!);
      tensors.delete(embedding);
    });
    const { parameters } = computes(folder, "grouped-query");
    expect([...parameters.keys()][0]).toBe(embedding);
    expect(parameters.has(output)).toBe(false);
  });

  test.each([embedding, output])("misses %s where nothing is tied", async (name) => {
    const folder = copyOf("multi-head");
    change(join(folder, "model.safetensors"), (tensors) => tensors.delete(name));
    expect(await userErrorOf(() => loadModel(folder))).toContain(`is missing: ${name}`);
  });

  test("refuses a folder without weights", async () => {
    const folder = copyOf("multi-head");
    rmSync(join(folder, "model.safetensors"));
    expect(await userErrorOf(() => loadModel(folder))).toBe(
      `${folder}: expected model.safetensors or model.safetensors.index.json, found neither`,
    );
  });

  test("leaves no variable behind when it refuses", async () => {
    const { liveTensors } = await import("../../src/engine/tf.ts");
    const folder = copyOf("multi-head");
    change(join(folder, "model.safetensors"), (tensors) => tensors.delete(norm));
    const before = liveTensors();
    await userErrorOf(() => loadModel(folder));
    expect(liveTensors()).toBe(before);
  });
});
