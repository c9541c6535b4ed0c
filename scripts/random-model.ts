// A model of a real one's shape with random weights of bf16, in shards, for measuring memory and time without the real one.
//   npx tsx scripts/random-model.ts --config configs/gsm8k-codellama-7b/config.json --tokenizer FOLDER --output models/random-7b
// Matrices are normal with the configuration's initializer_range; the numbers of one pool, from another place of it for each matrix,
// because drawing 6.7 billion would take many minutes. Norms are 1.
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UserError } from "../src/errors.ts";
import { makeFolder } from "../src/folders.ts";
import { float32ToBfloat16 } from "../src/formats/halfFloats.ts";
import { jsonText } from "../src/formats/jsonl.ts";
import { writeSafetensors } from "../src/formats/safetensors.ts";
import { readModelConfig, toHuggingFaceConfig } from "../src/model/config.ts";
import { parameterShapes, shardName, shardsOf } from "../src/model/model.ts";
import { Rng } from "../src/rng.ts";
import { countFrom, readOptions, runScript } from "./script.ts";

const options = readOptions("npx tsx scripts/random-model.ts", {
  config: { type: "string", demandOption: true, describe: "The real model's config.json" },
  tokenizer: { type: "string", demandOption: true, describe: "A folder with its tokenizer" },
  output: { type: "string", demandOption: true, describe: "A new folder" },
  seed: { type: "string", default: "1", describe: "Of the weights" },
});

const poolSize = 2 ** 22;
const maxShardBytes = 5e9; // as transformers
const tokenizerFiles = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

await runScript("random-model", async () => {
  const { output, tokenizer } = options;
  if (existsSync(output))
    throw new UserError(`${output}: expected a new folder, found one that is there`);
  if (basename(options.config) !== "config.json")
    throw new UserError(`--config: expected a file named config.json, found ${options.config}`);
  const config = readModelConfig(dirname(options.config));
  makeFolder(output);
  for (const name of tokenizerFiles) {
    const source = join(tokenizer, name);
    if (existsSync(source)) copyFileSync(source, join(output, name));
  }
  writeFileSync(join(output, "config.json"), jsonText(toHuggingFaceConfig(config, "BF16")));

  const rng = Rng.named(countFrom("seed", options.seed), "random model");
  const normals = Float32Array.from(
    { length: poolSize },
    () => rng.normal() * config.initializerStd,
  );
  const pool = float32ToBfloat16(normals);
  const draw = (shape: readonly number[]): Uint16Array => {
    const size = shape.reduce((a, b) => a * b, 1);
    const values = new Uint16Array(size);
    if (shape.length === 1) return values.fill(0x3f80); // 1
    let from = rng.integer(poolSize);
    for (let at = 0; at < size; at += poolSize - from, from = 0)
      values.set(pool.subarray(from, from + Math.min(poolSize - from, size - at)), at);
    return values;
  };
  const shards = shardsOf(parameterShapes(config), "BF16", maxShardBytes);
  const map: Record<string, string> = {};
  shards.forEach((shapes, i) => {
    const file = shardName(i + 1, shards.length);
    const tensors = [...shapes].map(([name, shape]) => {
      map[name] = file;
      const tensor = {
        dtype: "BF16",
        shape,
        get data() {
          return draw(shape);
        },
      } as const;
      return [name, tensor] as const;
    });
    writeSafetensors(join(output, file), new Map(tensors));
    console.log(file);
  });
  if (shards.length > 1)
    writeFileSync(
      join(output, "model.safetensors.index.json"),
      jsonText({ metadata: {}, weight_map: map }),
    );
});
