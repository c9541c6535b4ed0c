import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { loadTokenizer, saveTokenizer } from "../../src/data/tokenizer.ts";
import { withoutGenerationConfig } from "../../src/data/tokenizerFiles.ts";
import { createClassifier, disposeClassifier, saveClassifier } from "../../src/model/classifier.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { endTokens } from "../../src/model/ending.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { exportModel } from "../../src/models/export.ts";
import {
  generationConfigOf,
  loadModelFolder,
  readAnswerFormat,
  saveModelFolder,
} from "../../src/models/modelFolder.ts";
import { importModel } from "../../src/tasks/importModel.ts";
import { tokenizerIn } from "../../src/tasks/tokens.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { writeTinyData, writeTinyModel } from "../support/tiny.ts";

let home: string;
let source: string;
beforeEach(() => {
  home = temporaryFolder();
  source = join(home, "source");
  writeTinyModel(source, writeTinyData(home));
});

const options = { dtype: "F32", maxShardBytes: 1e9, valueHead: false } as const;

/** What other tools read beside a model, spelt as this project would not spell it. */
const companions: Record<string, Buffer> = {
  "chat_template.jinja": Buffer.from("{{ messages[0]['content'] }}\r\n"),
  "additional_chat_templates/tools.jinja": Buffer.from("{{ tools }}"),
  "special_tokens_map.json": Buffer.from('{"eos_token":"</s>"}'),
  "added_tokens.json": Buffer.from("{ }"),
  "tokenizer.model": Buffer.from([0, 255, 10, 13, 128]),
  "vocab.json": Buffer.from("{}"),
  "merges.txt": Buffer.from("#version: 0.2\n"),
  "generation_config.json": Buffer.from('{"eos_token_id": [2,5],\n "temperature": 0.60}'),
};

function addCompanions(): void {
  mkdirSync(join(source, "additional_chat_templates"));
  for (const [name, bytes] of Object.entries(companions)) writeFileSync(join(source, name), bytes);
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    const text = readFileSync(join(source, name), "utf8");
    writeFileSync(
      join(source, name),
      JSON.stringify({ chat_template: "{{ x }}", ...JSON.parse(text) }),
    );
  }
  const config = JSON.parse(readFileSync(join(source, "config.json"), "utf8"));
  const others = { unsloth_version: "1", num_labels: 3, problem_type: "regression" };
  writeFileSync(join(source, "config.json"), JSON.stringify({ ...config, ...others }));
}

/** All that is to go along, of a folder. */
function bytesOf(folder: string): Record<string, Buffer> {
  const names = [...Object.keys(companions), "tokenizer.json", "tokenizer_config.json"];
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]));
}

// As a cache of models leaves it that was copied without what its links lead to.
test("a tokenizer's generation_config.json that is wrong is refused by name", () => {
  writeFileSync(join(source, "generation_config.json"), '{"eos_token_id": [[2]]}');
  const tokenizer = loadTokenizer(source); // which may go to another model
  const model = { config: { eosIds: [2] } as never };
  expect(() => generationConfigOf(model, tokenizer, "model")).toThrow(
    /^model\/generation_config\.json: "eos_token_id": /,
  );
});

test.each(["generation_config.json", "reft.json", "tokenizer.json", "model.safetensors"])(
  "a link to nothing in place of %s is refused, not taken for no file",
  async (name) => {
    rmSync(join(source, name), { force: true });
    symlinkSync(join(home, "nowhere"), join(source, name));
    const open = async () => {
      readAnswerFormat(source);
      disposeModel(loadModel(source));
      tokenizerIn(source);
    };
    await expect(open).rejects.toThrow(`${join(source, name)}: found a link to something`);
  },
);

describe("what other tools read beside a model", () => {
  beforeEach(addCompanions);

  test("survives an import byte for byte", () => {
    importModel(source, join(home, "imported"));
    expect(bytesOf(join(home, "imported"))).toEqual(bytesOf(source));
  });

  test("survives a checkpoint and an export of it byte for byte", () => {
    const { model, tokenizer } = loadModelFolder(source);
    saveModelFolder(join(home, "checkpoint"), model, tokenizer, undefined);
    disposeModel(model);
    expect(bytesOf(join(home, "checkpoint"))).toEqual(bytesOf(source));
    exportModel(join(home, "checkpoint"), join(home, "export"), options);
    expect(bytesOf(join(home, "export"))).toEqual(bytesOf(source));
  });

  test("keeps config.json's own keys", () => {
    exportModel(source, join(home, "export"), options);
    const config = JSON.parse(readFileSync(join(home, "export", "config.json"), "utf8"));
    expect(config).toMatchObject({ unsloth_version: "1", num_labels: 3, eos_token_id: [2, 5] });
  });

  test("goes along with the tokenizer to another model, but for where the folder's own ends", () => {
    const files = withoutGenerationConfig(loadTokenizer(source).files);
    expect(files.asTheyCame!.has("generation_config.json")).toBe(false);
    expect(files.asTheyCame!.has("chat_template.jinja")).toBe(true);
  });

  test("goes along with a classifier, but for how to sample and for other labels", () => {
    const [trained, exported] = [join(home, "classifier"), join(home, "export")];
    const tokenizer = loadTokenizer(source);
    const classifier = createClassifier(loadModel(source), 3);
    saveClassifier(classifier, trained);
    saveTokenizer(tokenizer, trained);
    disposeClassifier(classifier);
    exportModel(trained, exported, options);
    const config = JSON.parse(readFileSync(join(exported, "config.json"), "utf8"));
    expect(config).not.toHaveProperty("num_labels");
    expect(config).not.toHaveProperty("problem_type");
    expect(config).toMatchObject({ unsloth_version: "1", label2id: { wrong: 0, right: 1 } });
    expect(readdirSync(exported)).not.toContain("generation_config.json");
    expect(readdirSync(exported)).toContain("chat_template.jinja");
  });
});

describe("end tokens", () => {
  const endsOf = (folder: string) => {
    const { model, tokenizer } = loadModelFolder(folder);
    disposeModel(model);
    return endTokens(model, tokenizer);
  };
  const generationOf = (folder: string) =>
    JSON.parse(readFileSync(join(folder, "generation_config.json"), "utf8"));

  test("of both files and of the tokenizer end a response, before and after an import", () => {
    writeFileSync(join(source, "generation_config.json"), '{"eos_token_id": [5, 7]}');
    expect(endsOf(source)).toEqual([2, 5, 7]);
    importModel(source, join(home, "imported"));
    expect(endsOf(join(home, "imported"))).toEqual([2, 5, 7]);
    rmSync(join(home, "imported", "generation_config.json"));
    expect(readModelConfig(join(home, "imported")).eosIds).toEqual([2, 5, 7]);
  });

  test("of a model without a tokenizer are the model's", () => {
    const model = loadModel(source);
    disposeModel(model);
    expect(endTokens(model, undefined)).toEqual([2]);
  });

  test("that the source's generation_config.json lacks are added to it, and nothing else", () => {
    const settings = '\uFEFF{"do_sample": true, "eos_token_id": 5}'; // some editors put a mark in front
    writeFileSync(join(source, "generation_config.json"), settings);
    exportModel(source, join(home, "export"), options);
    expect(generationOf(join(home, "export"))).toEqual({ do_sample: true, eos_token_id: [5, 2] });
    expect(endsOf(join(home, "export"))).toEqual([2, 5]);
  });

  test("make a generation_config.json where there is none", () => {
    exportModel(source, join(home, "export"), options);
    expect(generationOf(join(home, "export"))).toEqual({ eos_token_id: 2 });
  });
});
