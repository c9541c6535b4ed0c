import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { configSchema } from "../../src/model/config.ts";
import { describeActiveKeys, otherKeys } from "../../src/model/configKeys.ts";
import { families, modelTypes } from "../../src/model/families.ts";
import { goldenPath } from "../support/golden.ts";

// What transformers reads: scripts/golden/config_keys.py.
const golden: {
  llama: string[];
  generation: string[];
  older: string[];
  families: Record<string, string[]>;
  sameWeights: Record<string, string[]>;
} = JSON.parse(readFileSync(goldenPath("configKeys.json"), "utf8"));

/** The table of docs/models.md: what becomes of each key. */
const section = /### Keys of config\.json\n(.*?)\n## /s.exec(
  readFileSync("docs/models.md", "utf8"),
)![1]!;
const rows = [...section.matchAll(/^\| (`.*?) +\| (honoured|by family|refused|harmless)/gm)];
const verdicts = rows.flatMap(([, keys, verdict]) =>
  [...keys!.matchAll(/`(\w+)`/g)].map(([, key]) => [key!, verdict!] as const),
);
const keysThatAre = (verdict: string) =>
  verdicts.filter(([, found]) => found === verdict).map(([key]) => key);

describe("keys of config.json", () => {
  test("each stand once in docs/models.md", () => {
    const keys = verdicts.map(([key]) => key);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test("that docs/models.md calls honoured are those that are read", () => {
    const read = ["architectures", ...Object.keys(configSchema.shape)];
    expect(keysThatAre("honoured").toSorted()).toEqual(read.toSorted());
  });

  test("that docs/models.md calls refused are those that are looked for", () => {
    const byFamily = keysThatAre("by family").filter((key) => key in otherKeys);
    const refused = [...keysThatAre("refused"), ...byFamily];
    expect(refused.toSorted()).toEqual(Object.keys(otherKeys).toSorted());
  });

  test("that docs/models.md leaves to families are those that some families read", () => {
    const read = Object.values(families).flatMap(({ window, noRope }) =>
      Object.keys({ ...window.schema, ...noRope.schema }),
    );
    expect(keysThatAre("by family").toSorted()).toEqual([...new Set(read)].toSorted());
  });

  test("that transformers reads are honoured, refused or harmless, each of them", () => {
    const judged = new Set(verdicts.map(([key]) => key));
    expect(["llama", ...Object.keys(golden.families)]).toEqual(modelTypes);
    const relatives = [golden.families, golden.sameWeights].flatMap((of) =>
      Object.values(of).flat(),
    );
    const all = [...golden.llama, ...golden.generation, ...golden.older, ...relatives];
    expect(all.length).toBeGreaterThan(100);
    expect(all.filter((key) => !judged.has(key))).toEqual([]);
  });
});

describe("describeActiveKeys", () => {
  test("takes no offence at values that change nothing", () => {
    const nothing = Object.keys(otherKeys).flatMap((key) =>
      [null, false, [], {}].map((value) => ({ [key]: value })),
    );
    const neutral = [
      { logits_scaling: 1, residual_multiplier: 1.0, partial_rotary_factor: 1 },
      { layer_types: ["full_attention", "full_attention"], no_rope_layers: [1, 1, 1] },
      { sliding_window: 4096, max_position_embeddings: 4096 },
      { hidden_activation: "silu", num_experts: 0, is_causal: true, attention_dropout: 0.0 },
      { a_key_that_nobody_knows: 5, unsloth_version: "2024.9" },
    ];
    for (const json of [...nothing, ...neutral]) expect(describeActiveKeys(json)).toEqual([]);
  });

  test.each<[Record<string, unknown>, string]>([
    [{ sliding_window: 4095, max_position_embeddings: 4096 }, '"sliding_window" is 4095'],
    [{ sliding_window: 2047 }, '"sliding_window" is 2047'], // of 2048, where the file does not say
    [{ layer_types: ["full_attention", "sliding_attention"] }, '"layer_types" is ['],
    [{ attention_multiplier: 1 }, '"attention_multiplier" is 1: it changes what'],
    [{ final_logit_softcapping: 30 }, '"final_logit_softcapping" is 30'],
    [{ use_qk_norm: true }, '"use_qk_norm" is true'],
    [{ is_causal: true, no_rope_layers: [1, 1, 1, 0] }, '"no_rope_layers" is [1,1,1,0]'],
    [{ quantization_config: { quant_method: "gptq" } }, '{"quant_method":"gptq"}: the weights are'],
    [{ attention_bias: "\u001b[31m" }, '"attention_bias" is "\\u001b[31m"'],
  ])("names an active key and its value: %o", (json, expected) => {
    const [line, ...others] = describeActiveKeys(json);
    expect(line).toContain(expected);
    expect(others).toEqual([]);
  });
});
