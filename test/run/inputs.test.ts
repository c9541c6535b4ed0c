import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkInputs, hashInputs } from "../../src/run/inputs.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

test("a changed file is named, a moved one is not noticed", async () => {
  const folder = temporaryFolder();
  const [data, model] = [join(folder, "train.jsonl"), join(folder, "model")];
  mkdirSync(model);
  writeFileSync(data, "1\n");
  writeFileSync(join(model, "model.safetensors"), "weights");
  writeFileSync(join(model, "tokenizer.json"), "{}");
  writeFileSync(join(model, "notes.txt"), "of no account");
  const before = hashInputs({ train: data, "model.init": model });
  expect(Object.keys(before)).toEqual([
    "train",
    "model.init/model.safetensors",
    "model.init/tokenizer.json",
  ]);
  const copy = join(folder, "copy.jsonl");
  writeFileSync(copy, "1\n");
  checkInputs(before, hashInputs({ train: copy, "model.init": model }));
  writeFileSync(join(model, "tokenizer.json"), "other merges");
  writeFileSync(join(model, "reft.json"), "{}");
  const now = hashInputs({ train: data, "model.init": model });
  expect(await userErrorOf(() => checkInputs(before, now))).toBe(
    "this run began with other contents of model.init/tokenizer.json, model.init/reft.json: " +
      "give it the same files again, or another output",
  );
});

test("a changed list of end tokens is named, but not one that a run did not count when it began", async () => {
  const model = temporaryFolder();
  const path = join(model, "generation_config.json");
  const without = hashInputs({ "model.init": model });
  writeFileSync(path, '{"eos_token_id": 2}');
  const before = hashInputs({ "model.init": model });
  expect(Object.keys(before)).toEqual(["model.init/generation_config.json"]);
  checkInputs(without, before);
  writeFileSync(path, '{"eos_token_id": [2, 5]}');
  const now = hashInputs({ "model.init": model });
  expect(await userErrorOf(() => checkInputs(before, now))).toContain(
    "other contents of model.init/generation_config.json",
  );
});

test("a missing input says which", async () => {
  const path = join(temporaryFolder(), "none.jsonl");
  expect(await userErrorOf(() => hashInputs({ train: path }))).toBe(
    `train: expected ${path}, found nothing there; check the path`,
  );
});
