// The models of test/golden/models against the files that scripts/golden/gguf_files.py makes of them with llama.cpp's package.
import { join } from "node:path";
import { expect, test } from "vitest";
import { openGguf } from "../../src/formats/gguf.ts";
import { type GgufWritten, readBack, writeGguf } from "../../src/formats/ggufWriter.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { openWeights } from "../../src/model/model.ts";
import { modelToGguf, tensorsToGguf } from "../../src/models/modelToGguf.ts";
import { goldenPath, largestDifference } from "../support/golden.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const variants = [
  ...["grouped-query", "linear-rope", "llama3-rope", "wide-heads"],
  ...["qwen2", "qwen3", "smollm3", "mistral"], // the converter leaves Mistral's window out
];

test.each(variants)("%s has the metadata and tensors of llama.cpp's converter", (variant) => {
  const folder = goldenPath("models", variant);
  const { config, weights } = openWeights(folder);
  const path = join(temporaryFolder(), "model.gguf");
  const tensors = tensorsToGguf(config, weights, "F32", folder);
  writeGguf(path, modelToGguf(config, "F32"), tensors);
  using file = openGguf(path);
  using expected = openGguf(goldenPath("gguf", `${variant}.gguf`));
  for (const [key, value] of expected.metadata) {
    if (!key.startsWith("tokenizer.")) expect(file.metadata.get(key), key).toEqual(value);
  }
  expect(Object.fromEntries(file.shapes)).toEqual(Object.fromEntries(expected.shapes));
  for (const name of expected.shapes.keys()) {
    const [found, wanted] = [file, expected].map((one) => one.readFloat32(name));
    // The script computes the divisors in float64, the converter in float32.
    if (name === "rope_freqs.weight") expect(largestDifference(found!, wanted!)).toBeLessThan(1e-6);
    else expect(Buffer.from(found!.buffer).equals(Buffer.from(wanted!.buffer)), name).toBe(true);
  }
});

test("metadata of every kind and names in any script are read back", () => {
  const path = join(temporaryFolder(), "model.gguf");
  const metadata = new Map<string, GgufWritten>([
    ["number", 4_000_000_000],
    ["float", { float32: 0.1 }],
    ["bool", true],
    ["text", "naïve 🙂 \n\u0000"],
    ["texts", ["", "ü"]],
    ["integers", Int32Array.of(-1, 3)],
    ["floats", Float32Array.of(0.1, -1)],
  ]);
  const tensor = {
    dtype: "F16",
    shape: [2, 3],
    data: Float32Array.of(1, 2, 3, 4, 5, 1 / 3),
  } as const;
  writeGguf(
    path,
    metadata,
    new Map([
      ["first", tensor],
      ["ß", tensor],
    ]),
  );
  using file = openGguf(path);
  expect(file.metadata).toEqual(
    new Map([...metadata].map(([key, value]) => [key, readBack(value)])),
  );
  expect(file.readFloat32("ß")).toEqual(Float32Array.of(1, 2, 3, 4, 5, 0.333251953125));
});

test("norms stay float32, and rows that are no whole blocks are refused by name", () => {
  const folder = goldenPath("models", "linear-rope");
  const { weights } = openWeights(folder);
  const config = readModelConfig(folder);
  const some = [...weights].filter(([name]) => /q_proj|norm/.test(name));
  const tensors = tensorsToGguf(config, new Map(some), "Q8_0", folder);
  expect(tensors.get("output_norm.weight")!.dtype).toBe("F32");
  expect(tensors.get("blk.0.attn_q.weight")!.dtype).toBe("Q8_0");
  const narrow = new Map([
    ["lm_head.weight", { dtype: "F32", shape: [3, 48], data: new Float32Array(144) }],
  ] as const);
  expect(() => tensorsToGguf(config, narrow, "Q8_0", folder)).toThrow(
    /lm_head\.weight \[3,48\] has rows of 48 values, expected a multiple of 32 for Q8_0; export with the option dtype f16/,
  );
});

test.each([
  ["F16", 65_520],
  ["Q8_0", -127 * 65_520],
  ["BF16", 3.4e38],
] as const)("what %s cannot hold is refused by name: %d", (dtype, value) => {
  const folder = goldenPath("models", "linear-rope");
  const config = readModelConfig(folder);
  const data = new Float32Array(64).with(9, value);
  const weights = new Map([["lm_head.weight", { dtype: "F32", shape: [2, 32], data }]] as const);
  const tensor = tensorsToGguf(config, weights, dtype, folder).get("output.weight")!;
  expect(() => tensor.data).toThrow(
    `lm_head.weight holds ${Math.fround(value)}, which ${dtype} cannot hold`,
  );
});
