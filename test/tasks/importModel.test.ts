import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { loadTokenizer } from "../../src/data/tokenizer.ts";
import { UserError } from "../../src/errors.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { disposeModel } from "../../src/model/model.ts";
import { createScorer } from "../../src/model/score.ts";
import { loadModelFolder, readAnswerFormat } from "../../src/models/modelFolder.ts";
import { importModel } from "../../src/tasks/importModel.ts";
import { goldenPath, largestDifference, readGolden, rowOf } from "../support/golden.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { weightsIn, writeTinyData, writeTinyModel } from "../support/tiny.ts";

let home: string;
let output: string;
beforeEach(() => {
  home = temporaryFolder();
  output = join(home, "models", "new");
});

const gguf = (name: string) => goldenPath("gguf", `${name}.gguf`);

describe("a GGUF file", () => {
  test.each(["grouped-query", "llama3-rope", "linear-rope"])(
    "%s becomes a folder that computes what transformers computes",
    (name) => {
      expect(importModel(gguf(name), output)).toMatch(
        /new: a Llama of 0\.0 million weights, \d lay/,
      );
      const files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
      expect(readdirSync(output)).toEqual(files);
      const { model, tokenizer } = loadModelFolder(output);
      expect(tokenizer).toMatchObject({ padId: 0, bosId: 1, eosId: 2 });
      expect(model.config).toMatchObject({ padId: 0, bosId: 1, eosIds: [2] });
      const golden = readGolden("models", name, "golden.safetensors");
      const length = golden.get("lengths")!.values[0]!;
      const tokens = rowOf(golden.get("tokens")!, 0, length);
      const sequence = { prompt: tokens.slice(0, 1), response: tokens.slice(1) };
      const scorer = createScorer(model);
      const found = scorer.score([sequence], 1000).logprobs[0]!;
      const expected = rowOf(golden.get("logprobs")!, 0, length - 1);
      expect(largestDifference(found, expected)).toBeLessThan(1e-4);
      scorer.dispose();
      disposeModel(model);
    },
  );

  test("that is refused leaves nothing behind", () => {
    expect(() => importModel(gguf("types"), output)).toThrow(UserError);
    expect(existsSync(output)).toBe(false);
    expect(readdirSync(join(home, "models"))).toEqual([]);
  });
});

describe("a folder", () => {
  test("is checked, and written in float32 with a padding token that is not EOS", () => {
    const source = join(home, "source");
    writeTinyModel(source, writeTinyData(home), { padId: 2 });
    importModel(source, output);
    expect(readModelConfig(output)).toEqual({ ...readModelConfig(source), padId: 0 });
    expect(loadTokenizer(output).files).toEqual(loadTokenizer(source).files);
    const weights = "model.safetensors";
    expect(weightsIn(join(output, weights))).toEqual(weightsIn(join(source, weights)));
    expect(readAnswerFormat(output)).toEqual(readAnswerFormat(source));
    expect(readAnswerFormat(output)).toBeDefined();
  });

  test("without a model is refused", () => {
    expect(() => importModel(home, output)).toThrow(/config\.json.*is this a model folder/);
    expect(existsSync(output)).toBe(false);
  });
});

describe("a weight that is no number", () => {
  test("is refused by its name and place, from a GGUF file too", () => {
    const bytes = readFileSync(gguf("linear-rope"));
    bytes.writeFloatLE(Number.NaN, bytes.length - 8); // in the last tensor
    const damaged = join(home, "damaged.gguf");
    writeFileSync(damaged, bytes);
    expect(() => importModel(damaged, output)).toThrow(/damaged\.gguf: \S+ holds NaN at \[\d/);
    expect(existsSync(output)).toBe(false);
  });
});

describe("an output", () => {
  test("that is in use is kept; an empty folder is taken", () => {
    mkdirSync(output, { recursive: true });
    importModel(gguf("grouped-query"), output);
    expect(() => importModel(gguf("linear-rope"), output)).toThrow(
      /expected a new or empty folder/,
    );
    expect(readModelConfig(output).dim).toBe(48);
    writeFileSync(join(home, "file"), "");
    expect(() => importModel(gguf("linear-rope"), join(home, "file"))).toThrow(UserError);
    expect(() => importModel(gguf("linear-rope"), join(home, "file", "x"))).toThrow("ENOTDIR");
    symlinkSync(join(home, "nowhere"), join(home, "link"));
    expect(() => importModel(gguf("linear-rope"), join(home, "link"))).toThrow(
      /found a link to something that is not there/,
    );
  });

  test("is not begun for a file of weights alone", () => {
    const weights = goldenPath("models", "multi-head", "model.safetensors");
    expect(() => importModel(weights, output)).toThrow(
      /a file of weights alone: give the folder that it lies in/,
    );
  });

  test("is not begun for a file that only its name makes a GGUF file", () => {
    const empty = join(home, "empty.gguf");
    writeFileSync(empty, "");
    expect(() => importModel(empty, output)).toThrow(
      /expected a GGUF file, which begins with "GGUF", found 0 bytes that do not; fetch it again$/,
    );
  });

  test("is not begun for a source that does not exist", () => {
    expect(() => importModel(join(home, "none.gguf"), output)).toThrow(/found nothing there/);
  });

  test("half written by a process that was killed is written anew", () => {
    mkdirSync(join(home, "models", ".new.tmp"), { recursive: true });
    writeFileSync(join(home, "models", ".new.tmp", "stale.safetensors"), "half");
    importModel(gguf("grouped-query"), output);
    expect(readdirSync(join(home, "models"))).toEqual(["new"]);
    expect(readdirSync(output)).not.toContain("stale.safetensors");
  });
});
