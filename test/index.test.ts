// The library as a program uses it: nothing is printed, what a task says is heard by its caller, who can stop it.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as reft from "../src/index.ts";
import { readSettings } from "../src/settings.ts";
import { captureOutput } from "./support/captureOutput.ts";
import { goldenPath } from "./support/golden.ts";
import { userErrorOf } from "./support/runs.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";
import { contentOf, tinySft, writeTinyData } from "./support/tiny.ts";

const home = temporaryFolder();
const said = captureOutput();
writeTinyData(home);

test("docs/api.md has every function and class (npm run api)", () => {
  const titles = readFileSync("docs/api.md", "utf8").matchAll(/^### (\w+)/gm);
  const documented = [...titles].map(([, name]) => name);
  expect(documented).toEqual(expect.arrayContaining(Object.keys(reft)));
});

describe("parseConfig", () => {
  const values = tinySft(home);

  test("takes values and YAML alike, and freezes them", () => {
    const config = reft.parseConfig("sft", values);
    expect(config).toEqual(values);
    expect(Object.isFrozen(config.training)).toBe(true);
    const text = readFileSync("configs/tiny/warmup.yaml", "utf8");
    const file = readSettings("configs/tiny/warmup.yaml", []);
    expect(reft.parseConfig("sft", text)).toEqual(file.values);
  });

  test("names all mistakes at once", async () => {
    const wrong = { ...values, seed: -1, training: { ...values.training, epochs: 0 } };
    expect(await userErrorOf(async () => reft.parseConfig("sft", wrong))).toBe(
      "2 mistakes in the settings of this run:\n" +
        "  settings: seed: expected at least 0, found -1\n" +
        "  settings: training.epochs: expected at least 1, found 0",
    );
    expect(() => reft.parseConfig("sft", "seed: [")).toThrow(/not YAML:\n {2}settings:1: /);
  });
});

test("a training checks settings that were changed since they were read", async () => {
  const config = reft.parseConfig("sft", tinySft(home));
  const folder = join(home, "unchecked");
  const changed = { ...config, optimizer: { ...config.optimizer, learningRate: -1 } };
  expect(await userErrorOf(() => reft.trainSft(changed, folder))).toContain(
    "optimizer.learningRate: expected more than 0, found -1",
  );
  expect(existsSync(folder)).toBe(false);
  expect(await userErrorOf(() => reft.trainSft(config, ""))).toBe(
    'folder: expected the path of a run, found ""; give one',
  );
});

describe("a task with an observer", () => {
  const config = reft.parseConfig("sft", { ...tinySft(home), seed: 3 });

  test("is heard by it alone, stops at its signal, and goes on in the same process", async () => {
    const [folder, whole] = [join(home, "stopped"), join(home, "whole")];
    const messages: string[] = [];
    const steps: number[] = [];
    const activities: string[] = [];
    const stop = new AbortController();
    const observer: reft.Observer = {
      signal: stop.signal,
      onMessage: (text) => messages.push(text),
      onActivity: (activity) => activities.push(activity),
      onProgress: ({ label, done, total, figures }) => {
        expect([label, total, Object.keys(figures)[0]]).toEqual(["SFT", 6, "loss"]);
        steps.push(done);
        if (done === 2) stop.abort();
      },
    };
    const listeners = process.listenerCount("SIGINT");
    const training = reft.trainSft(config, folder, observer);
    expect(process.listenerCount("SIGINT")).toBe(listeners);
    await expect(training).rejects.toThrow(reft.InterruptedError);
    expect(steps).toEqual([1, 2, 3]);
    expect(messages[0]).toMatch(/^SFT: 12 examples/);
    expect(messages[1]).toMatch(/^dev after step 3: .*\nquestion +answer +gold +outcome\n/);
    expect(activities).toEqual([
      ...["compiling the first step", "measuring 4 dev questions", "checkpoint of step 3"],
    ]);

    await reft.trainSft(config, folder);
    await reft.trainSft(config, whole);
    expect(contentOf(folder)).toEqual(contentOf(whole));
    expect([said.log, said.error, said.stderr]).toEqual(["", "", ""]);
  });

  test("evaluates with the usual settings, and counts the questions", async () => {
    const done: number[] = [];
    const results = await reft.evaluate(
      {
        model: join(home, "whole"),
        data: join(home, "test.jsonl"),
        output: join(home, "results"),
        maxNewTokens: 4,
      },
      { onProgress: (progress) => done.push(progress.done) },
    );
    expect(results.questions).toBe(4);
    expect(done).toEqual([4]);
    expect(existsSync(join(home, "results", "results.json"))).toBe(true);
    expect(said.stderr).toBe("");
  });
});

describe("generate", () => {
  test("answers texts and tokens from memory, the same as `reft generate` from a file", async () => {
    using model = reft.loadModel(join(home, "whole"));
    const text = "Question:\n";
    const options = { maxNewTokens: 5, temperature: 1, samples: 2, seed: 4 };
    const [fromText] = await reft.generate(model, [text], options);
    const [fromTokens] = await reft.generate(model, [model.tokenizer!.encode(text)], options);
    expect(fromText).toHaveLength(2);
    expect(fromText![0]!.tokens.length).toBe(fromText![0]!.logprobs.length);
    expect(fromTokens).toEqual(fromText);
    expect(await reft.generate(model, [])).toEqual([]);
  });

  test("refuses a model that was disposed", async () => {
    const model = reft.loadModel(goldenPath("models/grouped-query"));
    for (const _ of [1, 2]) model[Symbol.dispose]();
    expect(await userErrorOf(() => reft.generate(model, [[1]]))).toMatch(
      /grouped-query: its model was disposed; load it again$/,
    );
  });

  test("refuses what the model cannot take, without the names of flags", async () => {
    using model = reft.loadModel(goldenPath("models/grouped-query"));
    const message = (prompt: string | number[], options = {}) =>
      userErrorOf(() => reft.generate(model, [prompt], options));
    expect(await message([9999])).toMatch(/^prompt 1: token 9999 is not in the model's vocabulary/);
    expect(await message("text")).toMatch(/^prompt 1: a text needs a tokenizer/);
    expect(await message([1], { maxNewTokens: 100_000 })).toMatch(/; lower maxNewTokens$/);
    expect(await message([])).toBe(
      "prompt 1: expected at least one token, found none; give it some text",
    );
    expect(await message([1], { samples: 0 })).toMatch(/^samples: expected a whole number/);
  });
});

test("importing the library prints nothing and leaves nothing running", () => {
  const code = 'const { parseConfig } = await import("./src/index.ts"); if (!parseConfig) throw 1;';
  const args = ["--import", "tsx", "--input-type=module", "--eval", code];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect([status, stdout, stderr]).toEqual([0, "", ""]);
});
