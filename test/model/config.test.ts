import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import { type ModelConfig, readModelConfig, toHuggingFaceConfig } from "../../src/model/config.ts";
import { plainLlama } from "../../src/model/families.ts";
import { ropeInverseFrequencies } from "../../src/model/ropeFrequencies.ts";
import { goldenPath, modelVariants, readGolden } from "../support/golden.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const folder = temporaryFolder();

type Json = Record<string, unknown>;

function readJson(variant: string): Json {
  return JSON.parse(readFileSync(goldenPath("models", variant, "config.json"), "utf8")) as Json;
}

/** Reads a config.json with this content. */
function configOf(json: unknown): ModelConfig {
  writeFileSync(
    join(folder, "config.json"),
    typeof json === "string" ? json : JSON.stringify(json),
  );
  return readModelConfig(folder);
}

/** The message of the UserError for multi-head's config.json with these changes; undefined leaves a field out. */
function refusalOf(changes: Json): string {
  try {
    configOf({ ...readJson("multi-head"), ...changes });
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toContain(join(folder, "config.json"));
    return (error as UserError).message;
  }
  throw new Error("the configuration was accepted");
}

describe("readModelConfig", () => {
  test("reads transformers 4's spelling, with what CodeLlama's file leaves out", () => {
    const json = readJson("multi-head");
    expect(json).not.toHaveProperty("num_key_value_heads");
    expect(json).not.toHaveProperty("head_dim");
    expect(readModelConfig(goldenPath("models", "multi-head"))).toEqual({
      ...plainLlama,
      vocabSize: 67,
      dim: 32,
      layers: 2,
      heads: 4,
      kvHeads: 4,
      headDim: 8,
      ffnDim: 64,
      normEpsilon: 1e-5,
      ropeTheta: 10_000,
      ropeScaling: null,
      tieEmbeddings: false,
      maxPositions: 256,
      initializerStd: 0.02,
      bosId: 1,
      eosIds: [2],
      otherKeys: { pretraining_tp: 1, transformers_version: "4.34.1", use_cache: true },
    });
  });

  test("reads transformers 5's spelling", () => {
    const llama3 = readModelConfig(goldenPath("models", "llama3-rope"));
    expect(llama3).toMatchObject({ ropeTheta: 500_000, tieEmbeddings: true, kvHeads: 1 });
    expect(llama3.ropeScaling).toEqual({
      type: "llama3",
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositions: 64,
    });
    expect(readModelConfig(goldenPath("models", "grouped-query")).ropeTheta).toBe(1e6);
  });

  test("understands both names of the scaling's type", () => {
    const json = { ...readJson("multi-head"), rope_theta: 10_000 };
    for (const key of ["type", "rope_type"]) {
      const { ropeScaling } = configOf({ ...json, rope_scaling: { [key]: "linear", factor: 2 } });
      expect(ropeScaling).toEqual({ type: "linear", factor: 2 });
    }
  });

  test("keeps a head dimension that is not dim / heads", () => {
    expect(readModelConfig(goldenPath("models", "wide-heads"))).toMatchObject({
      dim: 32,
      heads: 2,
      headDim: 24,
    });
  });

  test("takes one EOS, several, or none, and -1 for no padding token", () => {
    const json = readJson("multi-head");
    expect(configOf({ ...json, eos_token_id: [2, 5] }).eosIds).toEqual([2, 5]);
    expect(configOf({ ...json, eos_token_id: null }).eosIds).toEqual([]);
    expect(configOf({ ...json, pad_token_id: -1 })).not.toHaveProperty("padId");
    expect(configOf({ ...json, pad_token_id: 0 }).padId).toBe(0);
    expect(configOf({ ...json, bos_token_id: null })).not.toHaveProperty("bosId");
  });

  test.each([["2"], [["2"]], ["</s>"], [true], [[[2]]]])(
    "says what is wrong with the EOS %j",
    (eos) => {
      expect(() => configOf({ ...readJson("multi-head"), eos_token_id: eos })).toThrow(
        `eos_token_id: expected a token's id, a whole number, or a list of them, found ${JSON.stringify(eos)}`,
      );
    },
  );

  test("names the key of a token that the model has not", () => {
    const json = readJson("multi-head");
    expect(() => configOf({ ...json, eos_token_id: [2, 99] })).toThrow(
      /config\.json: eos_token_id: token id 99 must be below vocab_size 67: name a token of the model$/,
    );
    expect(() => configOf({ ...json, bos_token_id: 99 })).toThrow(/bos_token_id: token id 99/);
  });

  test("an empty list of architectures says as little as none", () => {
    const json = readJson("multi-head");
    expect(configOf({ ...json, architectures: [] })).toEqual(configOf(json));
  });

  test("takes transformers' tokens where the file names none, and both names of the activation", () => {
    const { bos_token_id: _, eos_token_id: __, ...json } = readJson("multi-head");
    expect(configOf({ ...json, hidden_act: "swish" })).toMatchObject({ bosId: 1, eosIds: [2] });
  });

  test("ends at the tokens of generation_config.json, too", () => {
    const json = readJson("multi-head");
    const { eos_token_id: _, ...silent } = json;
    const endsWith = (generation: unknown, config: Json = json) => {
      writeFileSync(join(folder, "generation_config.json"), JSON.stringify(generation));
      return configOf(config).eosIds;
    };
    expect(endsWith({ eos_token_id: [2, 5] })).toEqual([2, 5]);
    expect(endsWith({ eos_token_id: 7 })).toEqual([2, 7]);
    expect(endsWith({ temperature: 0.6 })).toEqual([2]);
    expect(endsWith({ eos_token_id: 7 }, silent)).toEqual([7]);
    expect(endsWith({}, silent)).toEqual([2]);
    expect(() => endsWith({ eos_token_id: 67 })).toThrow(/token id 67 must be below vocab_size 67/);
    expect(() => endsWith({ eos_token_id: 67 })).toThrow(
      /generation_config\.json: eos_token_id: .* 67: name a token of the model$/,
    );
    expect(() => endsWith({ eos_token_id: "2" })).toThrow(
      /generation_config\.json: "eos_token_id": expected a token's id, a whole number, or a list of them, found "2"$/,
    );
    expect(() => endsWith({ eos_token_id: "</s>" })).toThrow(
      /generation_config\.json: "eos_token_id"/,
    );
    rmSync(join(folder, "generation_config.json"));
  });

  test("hands on the keys that mean nothing here, and no others", () => {
    const others = {
      _name_or_path: "a/b",
      unsloth_version: "1",
      use_cache: false,
      layer_types: null,
    };
    const config = configOf({ ...readJson("grouped-query"), ...others, torch_dtype: "bfloat16" });
    expect(config.otherKeys).toEqual({
      pretraining_tp: 1,
      transformers_version: "5.23.0",
      ...others,
    });
    expect(toHuggingFaceConfig(config)).toMatchObject({ ...others, torch_dtype: "float32" });
  });

  const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
  test.each<[string, Json, number]>([
    ["among them", { rope_scaling: { ...llama3, original_max_position_embeddings: 64 } }, 64],
    ["beside them", { rope_scaling: llama3, original_max_position_embeddings: 32 }, 32],
    ["nowhere: all positions", { rope_scaling: llama3 }, 256],
  ])("finds the original positions of LLaMA 3.1's rotary settings %s", (_, changes, expected) => {
    const { ropeScaling } = configOf({ ...readJson("multi-head"), ...changes });
    expect(ropeScaling).toMatchObject({ originalMaxPositions: expected });
  });

  test.each<[string, Json, RegExp]>([
    [
      "two numbers of original positions",
      {
        rope_scaling: { ...llama3, original_max_position_embeddings: 64 },
        original_max_position_embeddings: 32,
      },
      /says 64, but .* says 32; keep one/,
    ],
    ["a factor without a type", { rope_scaling: { factor: 4 } }, /"factor" without a "rope_type"/],
    [
      "rotary settings per type of layer",
      {
        rope_parameters: { full_attention: { rope_type: "default" } },
      },
      /"full_attention" has settings of its own/,
    ],
    [
      "a theta that only one spelling has",
      {
        rope_theta: undefined,
        rope_scaling: { type: "linear", factor: 2 },
        rope_parameters: { rope_type: "linear", factor: 2, rope_theta: 5e5 },
      },
      /without rope_theta/,
    ],
    [
      "a theta inside the old spelling that is another",
      {
        rope_scaling: { type: "linear", factor: 2, rope_theta: 7 },
      },
      /says 10000, but .*says 7/,
    ],
    [
      "two types of scaling",
      { rope_scaling: { type: "linear", rope_type: "llama3", factor: 2 } },
      /rope_type says "llama3", but type says "linear"; keep one/,
    ],
    ["an absurd number of layers", { num_hidden_layers: 2 ** 40 }, /num_hidden_layers/],
    ["a sliding window", { sliding_window: 32 }, /"sliding_window" is 32/],
    ["a scale of the logits", { logits_scaling: 8 }, /"logits_scaling" is 8/],
    [
      "another family",
      { model_type: "gemma" },
      /model type "gemma" is not supported; supported: llama/,
    ],
    ["another head", { architectures: ["LlamaForTokenClassification"] }, /LlamaForCausalLM/],
    ["biases in attention", { attention_bias: true }, /attention_bias/],
    ["biases in the feed-forward layers", { mlp_bias: true }, /mlp_bias/],
    [
      "another activation",
      { hidden_act: "gelu" },
      /hidden_act: expected "silu" or "swish", found "gelu"/,
    ],
    ["dropout", { attention_dropout: 0.1 }, /attention_dropout/],
    ["quantized weights", { quantization_config: { bits: 4 } }, /quantization_config/],
    ["a missing size", { vocab_size: undefined }, /vocab_size/],
    ["a size that is no number", { hidden_size: "32" }, /hidden_size/],
    ["dynamic rope", { rope_scaling: { type: "dynamic", factor: 2 } }, /found "dynamic"/],
    ["yarn rope", { rope_parameters: { rope_type: "yarn", factor: 2 } }, /found "yarn"/],
    ["scaling without a factor", { rope_scaling: { type: "linear" } }, /"linear" needs "factor"/],
    [
      "rotating a part of each head",
      { rope_parameters: { partial_rotary_factor: 0.5 } },
      /partial/,
    ],
    ["two thetas", { rope_parameters: { rope_theta: 5 } }, /says 10000, but .* says 5; keep one/],
    [
      "two scalings",
      { rope_scaling: { type: "linear", factor: 2 }, rope_parameters: { rope_type: "default" } },
      /rope_scaling says .*, but rope_parameters says null; keep one/,
    ],
    ["heads that do not divide", { num_key_value_heads: 3 }, /multiple of num_key_value_heads 3/],
    ["a dimension that heads do not divide", { hidden_size: 30 }, /multiple of num_attention/],
    ["an odd head dimension", { head_dim: 7 }, /head_dim must be even[\s\S]*found 7/],
    ["a token beyond the vocabulary", { eos_token_id: 67 }, /token id 67 must be below/],
  ])("refuses %s by name", (_, changes, expected) => {
    expect(refusalOf(changes)).toMatch(expected);
  });

  test("lists all mistakes at once", () => {
    const message = refusalOf({ vocab_size: 0, mlp_bias: true, hidden_act: "relu" });
    for (const name of ["vocab_size", "mlp_bias", "hidden_act"]) expect(message).toContain(name);
  });

  test("says what is wrong with a missing or broken file", () => {
    expect(() => readModelConfig(join(folder, "nowhere"))).toThrow(UserError);
    expect(() => readModelConfig(join(folder, "nowhere"))).toThrow(/is this a model folder\?/);
    expect(() => configOf("{")).toThrow(/config.json: expected JSON/);
    expect(() => configOf('{"hidden_size": 8, "hidden_size": 16}')).toThrow(
      /config.json:.*hidden_size/,
    );
    expect(() => configOf([])).toThrow(UserError);
  });
});

describe("readModelConfig of the other families", () => {
  const windowIn = (...layers: number[]) => ({ size: 6, layers });
  const qwen2 = readJson("qwen2-window");
  const { layer_types: _, ...plain } = qwen2;
  const llama = { model_type: "llama", architectures: ["LlamaForCausalLM"] };

  test.each<[string, Json, Partial<ModelConfig>]>([
    ["qwen2", {}, { maxPositions: 32_768, kvHeads: 32, headDim: 2, eosIds: [], qkvBias: true }],
    ["qwen3", {}, { maxPositions: 32_768, kvHeads: 32, headDim: 128, eosIds: [], qkNorm: true }],
    [
      "mistral",
      {},
      { maxPositions: 131_072, kvHeads: 8, slidingWindow: { size: 4096, layers: [0, 1] } },
    ],
    ["mistral", { sliding_window: null }, { slidingWindow: null }],
    [
      "smollm3",
      { num_hidden_layers: 9, vocab_size: 128_256 },
      {
        ...{ maxPositions: 32_768, kvHeads: 4, tieEmbeddings: true, ropeTheta: 2_000_000 },
        ...{ bosId: 128_000, eosIds: [128_001], padId: 128_004 },
        ...{ slidingWindow: null, noRopeLayers: [3, 7] },
      },
    ],
  ])("takes transformers' defaults of %s where keys are absent: %o", (type, keys, expected) => {
    const sizes = { vocab_size: 9, hidden_size: 64, intermediate_size: 8, num_hidden_layers: 2 };
    const config = configOf({ model_type: type, ...sizes, num_attention_heads: 32, ...keys });
    expect(config).toMatchObject(expected);
  });

  test.each<[string, Json, Partial<ModelConfig>]>([
    ["the last layers", { ...plain, max_window_layers: 1 }, { slidingWindow: windowIn(1, 2) }],
    ["no layer, by default", { ...plain, max_window_layers: undefined }, { slidingWindow: null }],
    ["the layers of a list", qwen2, { slidingWindow: windowIn(2) }],
    [
      "layers of a list that max_window_layers contradicts",
      { ...qwen2, layer_types: ["sliding_attention", "full_attention", "full_attention"] },
      { slidingWindow: windowIn(0) },
    ],
    [
      "no layer where it is not used",
      { ...plain, use_sliding_window: false },
      { slidingWindow: null },
    ],
    ["no layer where it hides nothing", { ...qwen2, sliding_window: 256 }, { slidingWindow: null }],
    [
      "every layer of a Mistral",
      { ...readJson("mistral"), sliding_window: 6 },
      { slidingWindow: windowIn(0, 1) },
    ],
  ])("finds a window in %s", (_, json, expected) => {
    const config = configOf(json);
    expect(config).toMatchObject(expected);
    expect(configOf(toHuggingFaceConfig(config))).toEqual(config);
  });

  const smollm3 = readJson("smollm3-window"); // of 3 layers
  const { no_rope_layers: _list, layer_types: _types, ...everySecond } = smollm3;

  test.each<[string, Json, Partial<ModelConfig>]>([
    ["every second layer", everySecond, { noRopeLayers: [1], slidingWindow: windowIn(1) }],
    [
      "layers of a list",
      { ...everySecond, no_rope_layers: [0, 1, 0, 0] },
      { noRopeLayers: [0, 2] },
    ],
    ["no layer", { ...everySecond, no_rope_layers: [1, 1, 1] }, { noRopeLayers: [] }],
    [
      "other layers than those with a window",
      { ...smollm3, layer_types: ["sliding_attention", "full_attention", "full_attention"] },
      { noRopeLayers: [1], slidingWindow: windowIn(0) },
    ],
    [
      "the last of four layers, as transformers 4 writes it",
      readJson("smollm3"),
      { noRopeLayers: [3], slidingWindow: null, ropeTheta: 5_000_000 },
    ],
  ])("leaves the rotation out in %s of a SmolLM3", (_, json, expected) => {
    const config = configOf(json);
    expect(config).toMatchObject(expected);
    expect(configOf(toHuggingFaceConfig(config))).toEqual(config);
  });

  test("writes the window where transformers looks for it", () => {
    expect(toHuggingFaceConfig(configOf({ ...plain, max_window_layers: 1 }))).toMatchObject({
      ...{ architectures: ["Qwen2ForCausalLM"], model_type: "qwen2" },
      ...{ use_sliding_window: true, sliding_window: 6, max_window_layers: 1 },
      layer_types: ["full_attention", "sliding_attention", "sliding_attention"],
    });
    expect(toHuggingFaceConfig(configOf(readJson("qwen2")))).toMatchObject({
      ...{ use_sliding_window: false, sliding_window: null, max_window_layers: 2 },
      layer_types: ["full_attention", "full_attention"],
    });
    const mistral = toHuggingFaceConfig(readModelConfig(goldenPath("models", "mistral")));
    expect(mistral).toMatchObject({ model_type: "mistral", sliding_window: 5 });
    expect(mistral).not.toHaveProperty("layer_types");
  });

  test.each<[string, Json, RegExp]>([
    [
      "another family's class",
      { ...qwen2, architectures: ["LlamaForCausalLM"] },
      /"Qwen2ForCausalLM"/,
    ],
    ["layers without a window", { ...qwen2, use_sliding_window: false }, /no window is used/],
    [
      "too few types of layers",
      { ...qwen2, layer_types: ["full_attention"] },
      /1 entries.*layers 3/,
    ],
    [
      "a type of layers",
      { ...qwen2, layer_types: ["chunked_attention"] },
      /layer_types.*"chunked_/,
    ],
    ["biases of Qwen3", { ...readJson("qwen3"), attention_bias: true }, /attention_bias/],
    ["too few rotations", { ...smollm3, no_rope_layers: [1] }, /1 entries.*layers 3/],
    ["half a rotation", { ...smollm3, no_rope_layers: [1, 0.5, 1] }, /no_rope_layers/],
    ["an interval of 0", { ...smollm3, no_rope_layer_interval: 0 }, /no_rope_layer_interval/],
    [
      "layers without rotation in a LLaMA",
      { ...smollm3, ...llama },
      /"no_rope_layers" is \[1,0,1\]/,
    ],
    ["a window of 0", { ...readJson("mistral"), sliding_window: 0 }, /sliding_window/],
    [
      "types of layers in a Mistral",
      { ...readJson("mistral"), layer_types: ["sliding_attention", "full_attention"] },
      /layer_types/,
    ],
  ])("refuses %s", (_, json, expected) => {
    expect(() => configOf(json)).toThrow(expected);
  });
});

describe("toHuggingFaceConfig", () => {
  test.each(modelVariants)("is read back as it was: %s", (variant) => {
    const config = readModelConfig(goldenPath("models", variant));
    expect(configOf(toHuggingFaceConfig(config))).toEqual(config);
  });

  test("keeps several EOS tokens, and the absence of all tokens", () => {
    const base = readModelConfig(goldenPath("models", "multi-head"));
    const several = { ...base, eosIds: [2, 7], padId: 3 };
    expect(configOf(toHuggingFaceConfig(several))).toEqual(several);
    const { bosId: _, ...none } = { ...base, eosIds: [] };
    expect(configOf(toHuggingFaceConfig(none))).toEqual(none);
  });

  test("names the type of the weights as transformers 4 and as transformers 5 do", () => {
    const config = readModelConfig(goldenPath("models", "multi-head"));
    const json = toHuggingFaceConfig(config, "BF16");
    expect(json).toMatchObject({ torch_dtype: "bfloat16", dtype: "bfloat16" });
  });

  test("has both spellings of the rotary settings", () => {
    const json = toHuggingFaceConfig(readModelConfig(goldenPath("models", "linear-rope")));
    expect(json).toMatchObject({
      architectures: ["LlamaForCausalLM"],
      rope_theta: 10_000,
      rope_scaling: { rope_type: "linear", factor: 4 },
      rope_parameters: { rope_type: "linear", factor: 4, rope_theta: 10_000 },
      torch_dtype: "float32",
      dtype: "float32",
    });
  });
});

describe("ropeInverseFrequencies", () => {
  test("halves in steps for a theta of 2 ** 4 and a head of 8", () => {
    // theta^(-2i / 8) = 2^-i
    const base = readModelConfig(goldenPath("models", "multi-head"));
    const config: ModelConfig = { ...base, ropeTheta: 16 };
    expect([...ropeInverseFrequencies(config)]).toEqual([1, 0.5, 0.25, 0.125]);
    const scaled: ModelConfig = { ...config, ropeScaling: { type: "linear", factor: 2 } };
    expect([...ropeInverseFrequencies(scaled)]).toEqual([0.5, 0.25, 0.125, 0.0625]);
  });

  test.each(modelVariants)("equals transformers for %s", (variant) => {
    const config = readModelConfig(goldenPath("models", variant));
    const golden = readGolden("models", variant, "golden.safetensors");
    const expected = golden.get("inverseFrequencies")!.values;
    expect(largestRelativeGap(ropeInverseFrequencies(config), expected)).toBeLessThan(2e-7);
  });

  const fullSize: [string, Partial<ModelConfig>][] = [
    ["codellama", { headDim: 128, ropeTheta: 1e6 }],
    ["linear", { headDim: 64, ropeTheta: 1e4, ropeScaling: { type: "linear", factor: 2.5 } }],
    [
      "llama3",
      {
        headDim: 128,
        ropeTheta: 5e5,
        ropeScaling: {
          type: "llama3",
          factor: 8,
          lowFreqFactor: 1,
          highFreqFactor: 4,
          originalMaxPositions: 8192,
        },
      },
    ],
  ];
  test.each(fullSize)("equals transformers at full size: %s", (name, changes) => {
    const config = { ...readModelConfig(goldenPath("models", "multi-head")), ...changes };
    const expected = readGolden("formats", "rope.safetensors").get(name)!.values;
    // Two float32 roundings apart at most: PyTorch's power function is not correctly rounded.
    expect(largestRelativeGap(ropeInverseFrequencies(config), expected)).toBeLessThan(4e-7);
  });
});

function largestRelativeGap(actual: Float32Array, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  return Math.max(...actual.map((value, i) => Math.abs(value / expected[i]! - 1)));
}
