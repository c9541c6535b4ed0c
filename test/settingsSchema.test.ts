// The JSON schemas that editors take, held against ajv, which is not what made them. Takes 1 s.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { Ajv } from "ajv";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { type SettingsKind, settingsKinds, settingsSchema } from "../src/tasks/settingRows.ts";

const fileOf = (kind: SettingsKind) => join("configs", "schema", `${kind}.json`);
const ajv = new Ajv({ strict: false, validateFormats: false }); // formats are a package of their own
const validators = new Map(
  settingsKinds.map((kind) => [
    fileOf(kind),
    ajv.compile(JSON.parse(readFileSync(fileOf(kind), "utf8"))),
  ]),
);

/** What ajv has against settings, by path. */
function mistakesIn(kind: SettingsKind, values: unknown): string[] {
  const validate = validators.get(fileOf(kind))!;
  validate(values);
  return (validate.errors ?? []).map(({ instancePath }) => instancePath);
}

test.each(settingsKinds)("configs/schema/%s.json is what the settings are checked by", (kind) => {
  const committed = JSON.parse(readFileSync(fileOf(kind), "utf8"));
  const hint = "write it anew: npx tsx scripts/settings-page.ts";
  expect(committed, hint).toEqual(JSON.parse(JSON.stringify(settingsSchema(kind))));
});

const configurations = ["configs", "examples"].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".yaml") && !name.includes("/runs/"))
    .map((name) => join(folder, name)),
);

test.each(configurations)("%s names its schema and fits it", (file) => {
  const text = readFileSync(file, "utf8");
  const [, named] = /^# yaml-language-server: \$schema=(.*)\n/.exec(text)!;
  const values = parse(text);
  const kind: SettingsKind = values.stage ?? "recipe";
  expect(relative(".", join(dirname(file), named!))).toBe(fileOf(kind));
  expect(mistakesIn(kind, values)).toEqual([]);
});

const reft = parse(readFileSync("configs/tiny/reft.yaml", "utf8"));
const { gamma: _, ...withoutGamma } = reft.ppo;

test.each<[string, Record<string, unknown>, boolean]>([
  ["an unknown setting", { epochs: 3 }, false],
  ["a text for a number", { training: { ...reft.training, epochs: "3" } }, false],
  ["a setting that is missing", { ppo: withoutGamma }, false],
  ["one of another kind of advantages", { ppo: { ...reft.ppo, advantages: "rloo" } }, false],
  ["another stage", { stage: "sft" }, false],
  ["a form of answers", { data: { ...reft.data, cotKind: "boxed" } }, true],
  ["an expression for answers", { data: { ...reft.data, cotKind: "/Final: (.*)/i" } }, true],
  ["no form of answers", { data: { ...reft.data, cotKind: "box" } }, false],
  ["a file as reward", { reward: "rewards/mine.ts" }, true],
  ["several rewards", { reward: ["exact", { use: "length", maxTokens: 8, weight: 0.5 }] }, true],
  ["no reward", { reward: "exactly" }, false],
  ["a reward with a wrong setting", { reward: [{ use: "length", tokens: 8 }] }, false],
  ["an empty list of rewards", { reward: [] }, false],
  ["a chat's prompt", { data: { ...reft.data, prompt: { chat: { system: "Be short." } } } }, true],
  ["rollouts that are kept", { logging: { rollouts: { everySteps: 1, questions: 1 } } }, true],
])("the schema of train-reft on %s", (_, changes, isRight) => {
  expect(mistakesIn("reft", { ...reft, ...changes }).length === 0).toBe(isRight);
});
