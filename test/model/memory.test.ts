// A model of 67.8 M weights, a hundredth of CodeLlama-7B, in shards of bf16: what it takes in memory.
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { backend } from "../../src/engine/tf.ts";
import { goldenPath } from "../support/golden.ts";
import { runFile } from "../support/runFile.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const config = {
  ...{ architectures: ["LlamaForCausalLM"], model_type: "llama", vocab_size: 8000 },
  ...{ hidden_size: 1024, intermediate_size: 2816, num_hidden_layers: 4 },
  ...{ num_attention_heads: 16, max_position_embeddings: 512, tie_word_embeddings: false },
};

test.skipIf(backend.isUsingGpuDevice)(
  "a model of bf16 takes its files' size, and scoring with it a layer or two more",
  () => {
    const home = temporaryFolder();
    const [shape, folder] = [join(home, "shape"), join(home, "model")];
    mkdirSync(shape);
    writeFileSync(join(shape, "config.json"), JSON.stringify(config));
    const flags = ["--config", join(shape, "config.json"), "--tokenizer", goldenPath("tokenizer")];
    const made = runFile("scripts/random-model.ts", [...flags, "--output", folder]);
    expect(made.stderr).toBe("");
    const files = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
    const size = files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0) / 1e6;
    const { stdout, stderr } = runFile("test/support/memoryOfBf16.ts", [folder]);
    expect(stderr).toBe("");
    const { load, score } = JSON.parse(stdout);
    expect(load / size).toBeLessThan(1.2); // widened when it is read: 2 and more
    // Widened all at once it would be twice the files' size; a layer of it is 51 MB, the output matrix 33.
    expect(score / size).toBeLessThan(0.8);
  },
);
