import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { continuationText } from "../../src/data/continuation.ts";
import { createPipeline } from "../../src/data/tokenizer/pipeline.ts";
import { goldenPath } from "../support/golden.ts";

const golden: {
  readonly texts: readonly string[];
  readonly models: Readonly<Record<string, object>>;
  readonly tokenizers: readonly { readonly name: string; readonly model: string }[];
} = JSON.parse(readFileSync(goldenPath("tokenizers", "differential.json"), "utf8"));

const open = (family: string) => {
  const { model, ...rules } = golden.tokenizers.find(({ name }) => name === family)!;
  return createPipeline({ ...rules, model: golden.models[model] }, family);
};

describe("continuationText", () => {
  test("keeps the first space, which LLaMA 2's decoder would take away", () => {
    const { encode, decode, idOf } = open("Llama 2");
    const before = encode("Tom has");
    const [space, a] = [idOf("▁")!, idOf("a")!];
    expect(decode([space, a])).toBe("a");
    expect(continuationText({ decode }, before, [space, a])).toBe(" a");
    expect(continuationText({ decode }, before, [])).toBe("");
  });

  test("a character that lies on both sides belongs to the tokens that complete it", () => {
    const { encode, decode } = open("GPT-2");
    const ids = encode("a😀b"); // "😀" has four bytes, each a token
    expect(ids).toHaveLength(6);
    expect(decode(ids.slice(0, 3))).toBe("a\uFFFD");
    expect(continuationText({ decode }, ids.slice(0, 3), ids.slice(3))).toBe("😀b");
    expect(continuationText({ decode }, ids.slice(0, 3), ids.slice(5))).toBe("b"); // never completed
  });

  test.each(["Llama 2", "Llama 2, Metaspace", "SmolLM2", "Llama 3", "Gemma"])(
    "at every cut, what stands before and what is added make the whole text: %s",
    (family) => {
      const { encode, decode } = open(family);
      for (const text of golden.texts.slice(-80)) {
        const ids = encode(text);
        const whole = decode(ids);
        for (let cut = 1; cut < ids.length; cut += 3) {
          const before = decode(ids.slice(0, cut));
          const added = continuationText({ decode }, ids.slice(0, cut), ids.slice(cut));
          expect(whole.endsWith(added)).toBe(true);
          if (whole.startsWith(before)) expect(before + added).toBe(whole);
          else expect(before.startsWith(whole.slice(0, whole.length - added.length))).toBe(true);
        }
      }
    },
  );
});
