// Every example in a short form: its data, one epoch of its warm-up, two steps of ReFT with its reward, an evaluation.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import { main } from "../src/cli.ts";
import { captureOutput } from "./support/captureOutput.ts";
import { smollm2 } from "./support/smollm2.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";
import { writeTinyData, writeTinyModel } from "./support/tiny.ts";

const said = captureOutput();
const folders = readdirSync("examples").filter((name) => !name.includes("."));
const isTask = (name: string) => existsSync(join("examples", name, "reft.yaml"));
const examples = folders.filter(isTask);
/** Examples of what goes wrong, with the settings of others and a report beside them. */
const failures = folders.filter((name) => !isTask(name));
/** Folders that an example's commands make beside its files. */
const made = ["data", "runs", "results"];
const setting = (...settings: string[]) => settings.flatMap((text) => ["--set", text]);
/** The checkout as the examples see it: a model that has learned nothing stands for the pretrained one. */
const checkout = temporaryFolder();

beforeAll(() => writeStandIn(join(checkout, "models", "smollm2-135m-instruct")));

test.each(examples)("examples/%s", async (name) => {
  await inCopyOf(name, async () => {
    const short = setting("evaluation.questions=8", "evaluation.slots=8");
    // A process has one precision, and the stand-in's tokenizer makes more tokens of a text.
    const same = setting("precision=float32", "data.maxPromptTokens=160");
    const warmup = ["--epochs", "1", ...short, ...same, ...setting("data.maxCompletionTokens=96")];
    expect(await main(warmup, "train-sft"), said.stderr).toBe(0);
    const rollout = ["rollout.questionsPerStep=4", "rollout.slots=8", "ppo.miniBatchSize=16"];
    const steps = [...setting("training.maxSteps=2", ...rollout), ...short, ...same];
    expect(await main(steps, "train-reft"), said.stderr).toBe(0);
    const text = readFileSync(join("runs", "reft", "metrics.jsonl"), "utf8");
    const scores = text.match(/"reward\/score":[\d.]+/g);
    expect(scores).toHaveLength(2);
    const own = readdirSync(".").filter((file) => file.startsWith("reward."));
    const reward = own.flatMap((file) => ["--reward", file]);
    const evaluate = ["evaluate", "--questions", "8", "--max-new-tokens", "32", ...reward];
    expect(await main(evaluate), said.stderr).toBe(0);
  });
});

test.skipIf(smollm2 === undefined)(
  "examples/json with SmolLM2's tokenizer and template (npm run model:smollm2): nothing is too long, all is right",
  async () => {
    await inCopyOf("json", async () => {
      const check = ["check-data", "--config", "warmup.yaml", ...setting(`model.init=${smollm2}`)];
      expect(await main(check), said.stderr).toBe(0);
      expect(said.log).toMatch(/^ +right +64\n\n/m);
      expect(said.log).toMatch(/^ +prompt .* 0$/m);
      expect(said.log).toMatch(/^ +completion .* 0$/m);
    });
  },
);

/** What examples/hack exploits, and why nothing is right in examples/impossible-gold. */
const findings: Readonly<Record<string, RegExp>> = {
  hack: /^From about step 1\d on fewer responses are right .* the reward pays for something else .* are `\.\+` and wrong, .* `--fork runs\/reft@15`$/,
  "impossible-gold":
    /^None of \d+ completions \(.*\) is right, .* in another form: \d+ for "weekday \d", \d+ for "day \d+", \d+ for "\d+ days"\./,
};

test.each(failures)("the report of examples/%s says what is wrong", (name) => {
  const page = readFileSync(join("examples", name, "report.html"), "utf8");
  expect(page.length).toBeLessThan(1e6);
  const packed = /id="packed-data">([^<]*)</.exec(page)![1]!;
  const { signs } = JSON.parse(gunzipSync(Buffer.from(packed, "base64")).toString());
  expect(signs).toHaveLength(1);
  expect(signs[0].message).toMatch(findings[name]!);
});

test("examples/hack: its reward calls the patterns of the data right", async () => {
  await inCopyOf("hack", async () => {
    expect(await main(["check-data", "--config", "../regex/warmup.yaml"])).toBe(0);
    expect(said.log).toMatch(/^ +right +300$/m);
  }, ["../regex/make-data.mjs", "dots"]);
});

test("examples/impossible-gold: the usual reward refuses its answers, exact does not", async () => {
  await inCopyOf("impossible-gold", async () => {
    const check = [
      "check-data",
      "--config",
      "../dates/reft.yaml",
      ...setting("model.init=../../models/smollm2-135m-instruct"),
    ];
    expect(await main(check)).toBe(1);
    expect(said.stderr).toContain('found "weekday 1"; write it as a number');
    expect(await main([...check, ...setting("reward=exact")]), said.stderr).toBe(0);
  });
});

/** Does something in a copy of an example's folder, which has its data. */
async function inCopyOf(
  name: string,
  action: () => Promise<void>,
  maker = ["make-data.mjs"],
): Promise<void> {
  const copies = join(checkout, "examples");
  rmSync(copies, { recursive: true, force: true });
  const filter = (path: string) => !made.includes(basename(path));
  cpSync("examples", copies, { recursive: true, filter });
  const before = process.cwd();
  process.chdir(join(copies, name));
  try {
    expect(spawnSync(process.execPath, maker).status).toBe(0);
    await action();
  } finally {
    process.chdir(before);
  }
}

/** A tiny model with a chat template. */
function writeStandIn(folder: string): void {
  writeTinyModel(folder, writeTinyData(temporaryFolder()));
  rmSync(join(folder, "reft.json")); // nobody has taught it an answer's form
  const path = join(folder, "tokenizer_config.json");
  const chat_template =
    "{% for m in messages %}{{ m.role }}\n{{ m.content }}<pad>\n{% endfor %}" +
    "{% if add_generation_prompt %}assistant\n{% endif %}";
  const settings = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...settings, chat_template }));
}
