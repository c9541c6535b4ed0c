import { expect, test } from "vitest";
import { type GgufFile, openGguf } from "../../src/formats/gguf.ts";
import type { GgufValue } from "../../src/formats/ggufHeader.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { ggufConfig, ggufWeights } from "../../src/models/ggufModel.ts";
import { goldenPath } from "../support/golden.ts";

// The models of test/golden/models, written as llama.cpp's converter does: scripts/golden/gguf_files.py.
const variants = [
  ...["grouped-query", "linear-rope", "llama3-rope", "wide-heads"],
  ...["qwen2", "qwen3", "smollm3"],
];

/** The file with other metadata, or with other tensors. */
function changed(
  metadata: Record<string, GgufValue | undefined>,
  shapes: Record<string, readonly number[] | undefined> = {},
): GgufFile {
  using file = openGguf(goldenPath("gguf", "grouped-query.gguf"));
  const merge = <V>(map: ReadonlyMap<string, V>, changes: Record<string, V | undefined>) =>
    new Map(
      [...map, ...Object.entries(changes)].filter(
        (entry): entry is [string, V] =>
          entry[1] !== undefined && !(entry[0] in changes && changes[entry[0]] === undefined),
      ),
    );
  return { ...file, metadata: merge(file.metadata, metadata), shapes: merge(file.shapes, shapes) };
}

/** What a GGUF file does not hold. */
function withoutExtras({ padId: _, initializerStd: __, otherKeys: ___, ...config }: ModelConfig) {
  return config;
}

test.each(variants)("%s has the configuration of the Hugging Face folder it came from", (name) => {
  using file = openGguf(goldenPath("gguf", `${name}.gguf`));
  const expected = readModelConfig(goldenPath("models", name));
  expect(withoutExtras(ggufConfig(file))).toEqual(withoutExtras(expected));
});

test.each(variants)("%s has the weights of that folder, queries and keys in halves", (name) => {
  using file = openGguf(goldenPath("gguf", `${name}.gguf`));
  using source = openSafetensors(goldenPath("models", name, "model.safetensors"));
  const weights = ggufWeights(file, ggufConfig(file));
  expect([...weights.keys()].toSorted()).toEqual([...source.tensors.keys()].toSorted());
  for (const [weight, { shape, data }] of weights) {
    expect(shape).toEqual(source.tensors.get(weight)!.shape);
    expect(data).toEqual(source.readFloat32(weight));
  }
});

test.each<[Record<string, GgufValue | undefined>, RegExp]>([
  [
    { "general.architecture": "gemma" },
    /general\.architecture: expected "llama" or "qwen2" or "qwen3" or "smollm3", found "gemma"/,
  ],
  [{ "llama.expert_count": 8 }, /llama\.expert_count/],
  [{ "split.count": 2 }, /split\.count/],
  [
    { "llama.rope.scaling.type": "yarn" },
    /scaling\.type: expected "none" or "linear", found "yarn"/,
  ],
  [{ "llama.attention.value_length": 16 }, /llama\.attention\.value_length is 16, not 8/],
  [{ "llama.rope.scaling.type": "longrope" }, /scaling\.type: expected "none" or "linear"/],
  [{ "llama.rope.scaling.attn_factor": 0.5 }, /llama\.rope\.scaling\.attn_factor/],
  [{ "llama.attention.key_length": 16 }, /llama\.attention\.value_length is 8, not 16/],
  [{ "llama.rope.dimension_count": 4 }, /llama\.rope\.dimension_count is 4, not 8/],
  [{ "llama.attention.causal": false }, /llama\.attention\.causal/],
  [{ "llama.attention.sliding_window": 4096 }, /"llama\.attention\.sliding_window" is 4096/],
  [{ "llama.attention.scale": 0.5 }, /"llama\.attention\.scale" is 0\.5/],
  [
    { "llama.logit_scale": 2 },
    /"llama\.logit_scale" is 2; the models that are supported have no such key/,
  ],
  [{ "llama.constructor": 1 }, /"llama\.constructor" is 1/],
  [{ "llama.\u001b[31m": "\u0007" }, /"llama\.\\u001b\[31m" is "\\u0007"/],
  [{ "llama.attention.head_count": [6, 6] }, /llama\.attention\.head_count/],
  [{ "llama.attention.head_count_kv": 4 }, /multiple of num_key_value_heads 4/],
  [
    {
      "llama.attention.key_length": 2 ** 40,
      "llama.attention.value_length": 2 ** 40,
      "llama.rope.dimension_count": 2 ** 40,
    },
    /head_dim must be at most 65536, found 1099511627776/,
  ],
  [{ "general.type": "adapter" }, /general\.type: expected "model", found "adapter"/],
  [{ "llama.block_count": undefined }, /llama\.block_count/],
  [{ "llama.block_count": 2 ** 31 }, /says it has 2147483648 layers .*, but has 20 tensors/],
])("metadata that our LLaMA cannot follow are refused by name: %o", (metadata, message) => {
  expect(() => ggufConfig(changed(metadata))).toThrow(message);
});

const [type, factor, old] = ["type", "factor", "linear"].map((name) =>
  name === "linear" ? "llama.rope.scale_linear" : `llama.rope.scaling.${name}`,
) as [string, string, string];

test.each<[string, Record<string, GgufValue>, number | null]>([
  ["no key", {}, null],
  ["a factor without a type", { [factor]: 4 }, 4],
  ["the old key", { [old]: 4 }, 4],
  ["both keys: the new one counts", { [factor]: 2, [old]: 4 }, 2],
  ["the type linear", { [type]: "linear", [factor]: 2.5 }, 2.5],
  ["the type linear and the old key", { [type]: "linear", [old]: 4 }, 4],
  ["the type none, which leaves the factor unused", { [type]: "none", [factor]: 4 }, null],
  ["a factor of 1", { [type]: "linear", [factor]: 1 }, null],
  ["a factor of 0, which is none", { [factor]: 0, [old]: 4 }, null],
  [
    "original positions, which YaRN alone reads",
    { "llama.rope.scaling.original_context_length": 9 },
    null,
  ],
])("rotary scaling is what llama.cpp makes of %s", (_, metadata, expected) => {
  const { ropeScaling } = ggufConfig(changed(metadata));
  expect(ropeScaling).toEqual(expected === null ? null : { type: "linear", factor: expected });
});

test("keys of other architectures that are 0, false or empty are left aside", () => {
  const inactive = {
    "llama.expert_count": 0,
    "llama.attention.sliding_window": 0,
    "llama.attention.causal": true,
    "llama.use_parallel_residual": false,
    "llama.classifier.output_labels": [],
  };
  expect(ggufConfig(changed(inactive))).toEqual(ggufConfig(changed({})));
});

test("linear scaling and a table of divisors together are refused", () => {
  using file = openGguf(goldenPath("gguf", "llama3-rope.gguf"));
  const metadata = new Map([...file.metadata, [factor, 2] as const]);
  expect(() => ggufConfig({ ...file, metadata })).toThrow(/both linear scaling .* and rope_freqs/);
});

test("metadata without the optional entries mean LLaMA's defaults", () => {
  const file = changed({
    "llama.attention.head_count_kv": undefined,
    "llama.attention.key_length": undefined,
    "llama.attention.value_length": undefined,
    "llama.rope.dimension_count": undefined,
    "llama.rope.freq_base": undefined,
  });
  expect(ggufConfig(file)).toMatchObject({ kvHeads: 6, headDim: 8, ropeTheta: 10_000 });
});

test.each<[string, readonly number[] | undefined, RegExp]>([
  [
    "blk.1.ffn_up.weight",
    undefined,
    /tensor blk\.1\.ffn_up\.weight is missing, expected \[80,48\]/,
  ],
  ["token_embd.weight", undefined, /has no tensor token_embd\.weight/],
  ["blk.1.ffn_up.weight", [48, 80], /blk\.1\.ffn_up\.weight has the shape \[48,80\], expected/],
  ["blk.0.attn_q.bias", [48], /"blk\.0\.attn_q\.bias" is not a weight of the model/],
])("a tensor too few, of another shape or too many is named: %s %o", (name, shape, message) => {
  const file = changed({}, { [name]: shape });
  expect(() => ggufWeights(file, ggufConfig(file))).toThrow(message);
});

test("divisors of the rotary frequencies are refused where llama.cpp would not read them", () => {
  using file = openGguf(goldenPath("gguf", "qwen3.gguf"));
  const shapes = new Map(file.shapes).set("rope_freqs.weight", [6]);
  expect(() => ggufConfig({ ...file, shapes })).toThrow(
    /rope_freqs\.weight, which llama\.cpp does not read in the architecture qwen3/,
  );
});

test("keys and weights of another family than the architecture's are refused", () => {
  using file = openGguf(goldenPath("gguf", "qwen2.gguf"));
  const metadata = (changes: object) => new Map([...file.metadata, ...Object.entries(changes)]);
  const window = { ...file, metadata: metadata({ "qwen2.attention.sliding_window": 8 }) };
  expect(() => ggufConfig(window)).toThrow(/"qwen2\.attention\.sliding_window" is 8/);
  const shapes = new Map(file.shapes).set("blk.0.attn_q_norm.weight", [8]);
  expect(() => ggufWeights({ ...file, shapes }, ggufConfig(file))).toThrow(/attn_q_norm/);
});

test("divisors of the rotary frequencies that are not LLaMA 3.1's are refused", () => {
  using llama3 = openGguf(goldenPath("gguf", "llama3-rope.gguf"));
  const divisors = llama3.readFloat32("rope_freqs.weight");
  for (const wrong of [divisors.map((d) => d * 2), divisors.map(() => 1), divisors.slice(1)]) {
    const shapes = new Map(llama3.shapes).set("rope_freqs.weight", [wrong.length]);
    const file = { ...llama3, shapes, readFloat32: () => wrong };
    expect(() => ggufConfig(file)).toThrow(/rope_freqs\.weight is not LLaMA 3\.1's scaling/);
  }
});
