import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { loadConfig, type Override, parseConfig, parseOverride } from "../src/config.ts";
import { UserError } from "../src/errors.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";

const folder = temporaryFolder();

const warmup = "test/support/sft.yaml";
const reft = "test/support/reft.yaml";

function set(...texts: string[]): Override[] {
  return texts.map(parseOverride);
}

function written(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** The message that a user sees. */
function mistakeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as UserError).message;
  }
  return expect.fail("expected a UserError");
}

describe("configs/", () => {
  const files = readdirSync("configs", { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".yaml") && !file.endsWith("recipe.yaml"))
    .map((file) => join("configs", file));

  test("holds the files of the tiny model and of the paper", () => {
    expect(files.length).toBeGreaterThanOrEqual(6);
  });

  test.each(files)("%s loads as the stage that it names", (file) => {
    const name = basename(file, ".yaml");
    const isReft = name === "reft" || name === "dapo";
    const stage = isReft ? "reft" : name.startsWith("rerank") ? "rerank" : "sft";
    expect(loadConfig(stage, file).stage).toBe(stage);
  });

  test("gsm8k-codellama-7b has the paper's values", () => {
    const config = loadConfig("reft", "configs/gsm8k-codellama-7b/reft.yaml");
    expect(config.ppo).toEqual({
      advantages: "gae",
      ppoEpochs: 2,
      miniBatchSize: 32,
      clipRange: 0.2,
      valueClipRange: 0.2,
      valueCoefficient: 5,
      gamma: 1,
      gaeLambda: 0.95,
      klCoefficient: 0.01,
      partialReward: 0.1,
      valueWarmupSteps: 0,
    });
    expect(config.optimizer.learningRate).toBe(3e-7);
    expect(config.training.epochs).toBe(300);
    const sft = loadConfig("sft", "configs/gsm8k-codellama-7b/warmup.yaml");
    expect(sft.training).toMatchObject({ epochs: 2, scheduleEpochs: 40, batchSize: 48 });
    expect(sft.optimizer).toMatchObject({ learningRate: 1e-5, weightDecay: 0, maxGradNorm: 1 });
    const [first, second] = ["sft", "reft"].map((policy) =>
      loadConfig("rerank", `configs/gsm8k-codellama-7b/rerank-${policy}.yaml`),
    );
    expect(first!.optimizer).toMatchObject({ learningRate: 1e-6, schedule: "linear" });
    expect(first!.training).toMatchObject({ epochs: 3, batchSize: 24 });
    expect(first!.data.maxTokens).toBe(700);
    expect({ ...first, model: 0, data: 0 }).toEqual({ ...second, model: 0, data: 0 });
  });
});

describe("loadConfig", () => {
  test("returns values that cannot be changed, at any depth", () => {
    const config = loadConfig("reft", reft) as { ppo: { gamma: number } };
    expect(() => {
      config.ppo.gamma = 0;
    }).toThrow(TypeError);
  });

  test("takes overrides in their order, the last one winning", () => {
    const overrides = set("ppo.gamma=0.5", "ppo.gamma=0.9", "training.maxSteps=null");
    const config = loadConfig("reft", reft, overrides);
    expect(config.ppo!.gamma).toBe(0.9);
    expect(config.training.maxSteps).toBeNull();
    expect(config.ppo!.gaeLambda).toBe(0.95);
  });

  test("replaces a whole section, so a model can start elsewhere", () => {
    const init: Override = { path: "model", value: { init: "runs/x" }, source: "--init runs/x" };
    expect(loadConfig("sft", warmup, [init]).model).toEqual({ init: "runs/x" });
  });

  test("takes bf16 with an alarm that allows for its rounding", () => {
    const overrides = set("precision=bf16", "alarms.maxLogprobGap=0.05");
    expect(loadConfig("reft", reft, overrides).precision).toBe("bf16");
  });

  test("reads back what it returned", () => {
    const config = loadConfig("reft", reft, set("optimizer.learningRate=3e-7"));
    expect(loadConfig("reft", written("resolved.yaml", stringify(config)))).toEqual(config);
  });

  test.each([
    ["chat", "chat"],
    ["{ file: mine.jinja }", { file: "mine.jinja" }],
    [
      "{ chat: { system: Be brief., date: 2024-07-26 } }",
      { chat: { system: "Be brief.", date: "2024-07-26" } },
    ],
  ])("takes data.prompt=%s", (text, prompt) => {
    expect(loadConfig("sft", warmup, set(`data.prompt=${text}`)).data.prompt).toEqual(prompt);
    expect(loadConfig("reft", reft, set(`data.prompt=${text}`)).data.prompt).toEqual(prompt);
  });

  test.each([
    ["cat", 'data.prompt: expected "paper", "chat", { chat: { system: "...", '],
    ["3", 'data.prompt: expected "paper", "chat", { chat: { system: "...", '],
    ["{ chat: {} }", 'data.prompt.chat: expected "system" or "date"; without them write "chat"'],
    ["{ chat: { sytem: x } }", "data.prompt.chat.sytem: unknown key"],
    ["{ chat: { date: today } }", "data.prompt.chat.date: expected a day such as 2024-07-26"],
  ])("refuses data.prompt=%s", (text, message) => {
    const mistake = mistakeOf(() => loadConfig("sft", warmup, set(`data.prompt=${text}`)));
    expect(mistake).toContain(message);
  });

  test("lists all mistakes at once, each with its place and path", () => {
    const text = readFileSync(warmup, "utf8")
      .replace("  epochs: 20", "  epoch: 20")
      .replace("seed: 1", "seed: one")
      .replace("cotKind: python", "cotKind: perl")
      .replace("  beta1: 0.9\n", "  beta1: 1\n")
      .replace("    dim: 128", "    dim: 130");
    const file = written("mistakes.yaml", text);
    const line = (start: string) => text.split("\n").findIndex((row) => row.startsWith(start)) + 1;
    const message = mistakeOf(() => loadConfig("sft", file, set("sandbox.workers=0.5")));
    expect(message.split("\n").toSorted()).toEqual(
      [
        "7 mistakes in the settings of this run:",
        `  ${file}:${line("seed")}: seed: expected a number, found "one"`,
        `  ${file}:${line("    dim")}: model.scratch.dim: expected a multiple of 2 * heads = 8, found 130`,
        `  ${file}:${line("  cotKind")}: data.cotKind: expected "python", "nl", "hashes", "boxed", "tags", "text", "json", "firstJson" or a regular expression like "/Final answer: (.*)/", found "perl"`,
        `  ${file}:${line("  beta1")}: optimizer.beta1: expected less than 1, found 1`,
        `  ${file}:${line("training")}: training.epochs: missing, expected a number`,
        `  ${file}:${line("  epoch:")}: training.epoch: unknown key; did you mean epochs?`,
        "  --set sandbox.workers=0.5: sandbox.workers: expected a whole number, found 0.5",
      ].toSorted(),
    );
  });

  test("names an unknown key at the top and in a section that an override made", () => {
    const message = mistakeOf(() => loadConfig("reft", reft, set("pop.gamma=1", "__proto__.x=1")));
    expect(message).toContain("--set pop.gamma=1: pop: unknown key; did you mean ppo?");
    expect(message).toContain("--set __proto__.x=1: __proto__: unknown key");
    expect(Object.prototype).not.toHaveProperty("x");
  });

  test("says in one line that a file belongs to the other stage", () => {
    expect(mistakeOf(() => loadConfig("reft", warmup))).toBe(
      "1 mistake in the settings of this run:\n" +
        `  ${warmup}:4: stage: expected "reft", found "sft": this file is for train-sft`,
    );
  });

  test("takes no name that every object has for a stage", () => {
    const message = mistakeOf(() => parseConfig("sft", { stage: "toString" }));
    expect(message).toContain('stage: expected "sft", found "toString"\n');
  });

  test("says in one line that a file is for the whole recipe", () => {
    const recipe = "configs/tiny/recipe.yaml";
    expect(mistakeOf(() => loadConfig("sft", recipe))).toMatch(
      /^1 mistake .*\n {2}configs\/tiny\/recipe.yaml:\d+: stages: expected none: this file is for reft run$/,
    );
  });

  test.each([
    ["model", "{init: a, scratch: {}}", 'expected exactly one of "init" and "scratch", found both'],
    ["model", "{}", 'expected exactly one of "init" and "scratch", found neither'],
    ["model.scratch.kvHeads", "3", "expected a multiple of kvHeads = 3, found 4"],
    ["model.scratch.maxPositions", "200", "expected at least 256 for the longest prompt"],
    ["evaluation.maxNewTokens", "97", "expected at least 257 for the longest prompt"],
    ["training.microBatchTokens", "200", "expected room for one sequence of 256 tokens"],
    ["training.scheduleEpochs", "19", "expected at least training.epochs = 20"],
    ["data.cotKind", "nl", 'expected "none" because data.cotKind is "nl", found "docstring"'],
    ["data.cotKind", "boxed", 'expected "none" because data.cotKind is "boxed", found "docstring"'],
    ["data.cotKind", "prose", 'expected "python", "nl", "hashes", "boxed", "tags", "text"'],
    ["data.cotKind", "/x(/", 'or a regular expression like "/Final answer: (.*)/", found "/x(/"'],
    [
      "reward",
      "prog",
      'expected "program", "written", "exact", "json", "regex", "format", "length"',
    ],
    ["reward", "mine.txt", 'or a .ts, .mts, .js, .mjs or .py file, found "mine.txt"'],
    ["reward", "[]", "reward: expected at least one reward"],
    ["reward", "format", "reward.pattern: missing, expected a text"],
    [
      "reward",
      "{use: format, pattern: (}",
      'reward.pattern: expected a regular expression, found "("',
    ],
    [
      "reward",
      "[program, {use: length, maxTokens: 0}]",
      "reward.1.maxTokens: expected at least 1, found 0",
    ],
    ["reward", "{use: file, file: a.ts, speed: 2}", "reward.speed: unknown key"],
    [
      "reward",
      "written",
      'reward: "written": expected a written form as data.cotKind, found "python"',
    ],
    ["reward", "{use: length, maxTokens: 9}", "expected first a reward that says what is right"],
    [
      "reward",
      "[program, {use: overlong, maxTokens: 5, bufferTokens: 9}]",
      "expected bufferTokens of at most maxTokens = 5, found 9",
    ],
    [
      "reward",
      "{use: file, file: a.py, concurrency: 3}",
      "a.py: expected no timeoutSeconds or concurrency",
    ],
    ["optimizer.learningRate", "0", "expected more than 0, found 0"],
    ["optimizer.learningRate", ".nan", "expected a number, found NaN"],
    ["optimizer.learningRate", ".inf", "expected a number, found Infinity"],
    ["training.batchSize", "1_000", 'expected a number, found "1_000"'],
    ["data.train", '""', "expected a text that is not empty"],
    ["data", "null", "expected a section of settings, found null"],
    ["model.scratch.tieEmbeddings", "yes", 'expected true or false, found "yes"'],
  ])("refuses %s=%s for SFT", (path, value, expected) => {
    const message = mistakeOf(() => loadConfig("sft", warmup, set(`${path}=${value}`)));
    expect(message).toContain(expected);
  });

  test.each([
    ["paperParity", "true", "data.test: missing: with paperParity"],
    ["data.test", "test.jsonl", "expected no test set unless paperParity is true"],
    [
      "ppo.miniBatchSize",
      "60",
      "expected a divisor of questionsPerStep * samplesPerQuestion = 256",
    ],
    ["training.microBatchTokens", "207", "expected room for one sequence of 208 tokens"],
    ["precision", "float16", 'precision: expected "float32" or "tf32" or "bf16", found "float16"'],
    [
      "precision",
      "bf16",
      'alarms.maxLogprobGap: expected at least 0.01, or 0.05 to be sure, because precision "bf16"',
    ],
    [
      "rollout.kvCacheDtype",
      "bf16",
      'alarms.maxLogprobGap: expected at least 0.01, or 0.05 to be sure, because rollout.kvCacheDtype "bf16"',
    ],
    [
      "evaluation.kvCacheDtype",
      "fp8",
      'evaluation.kvCacheDtype: expected "float32" or "bf16", found "fp8"',
    ],
    ["ppo.gamma", "1.1", "ppo.gamma: expected at most 1, found 1.1"],
    [
      "reward",
      "mine.ts",
      "ppo.partialReward: expected 0, because no reward compares answers with gold answers, found 0.1",
    ],
    ["rollout.temperature", "0.7", "rollout.temperature: unknown key"],
  ])("refuses %s=%s for ReFT", (path, value, expected) => {
    const message = mistakeOf(() => loadConfig("reft", reft, set(`${path}=${value}`)));
    expect(message).toContain(expected);
  });

  test("a reward may be a name, a file, a section or a list of them, and becomes a list of sections", () => {
    const rewardOf = (value: string) => loadConfig("sft", warmup, set(`reward=${value}`)).reward;
    expect(rewardOf("program")).toEqual([{ use: "program" }]);
    expect(rewardOf("[program, rewards/mine.py, {use: length, maxTokens: 9, weight: 2}]")).toEqual([
      { use: "program" },
      { use: "file", file: "rewards/mine.py" },
      { use: "length", maxTokens: 9, weight: 2 },
    ]);
    expect(loadConfig("sft", warmup)).not.toHaveProperty("reward");
  });

  test("the answer may have any form that is known, or be a match of an expression", () => {
    for (const form of [
      "nl",
      "hashes",
      "boxed",
      "tags",
      "text",
      "json",
      "firstJson",
      "/= (.*)/i",
    ]) {
      const written = set(`data.cotKind=${form}`, "data.programPrefix=none");
      expect(loadConfig("sft", warmup, written).data.cotKind).toBe(form);
    }
  });

  const grpo = "configs/tiny-grpo/reft.yaml";
  const selfTraining = "configs/tiny-self-training/reft.yaml";
  test.each([
    [
      reft,
      "ppo.advantages=vtrace",
      'ppo.advantages: expected "gae" or "grpo" or "rloo", found "vtrace"',
    ],
    [reft, "ppo={}", 'ppo.advantages: missing, expected "gae" or "grpo" or "rloo"'],
    [
      reft,
      "ppo.advantages=rloo",
      'ppo.gaeLambda: expected none with ppo.advantages "grpo" or "rloo", found 0.95',
    ],
    [grpo, "ppo.valueWarmupSteps=0", 'expected none with ppo.advantages "grpo" or "rloo", found 0'],
    [
      grpo,
      "optimizer.valueHeadLearningRate=1",
      'only ppo.advantages "gae" has a value head, found 1',
    ],
    [
      grpo,
      "rollout.samplesPerQuestion=1",
      'ppo.advantages "grpo" compares the responses to a question, found 1',
    ],
    [grpo, "ppo.advantages=gae", "optimizer.valueHeadLearningRate: missing"],
    [grpo, "ppo.advantages=gae", "ppo.gamma: missing, expected a number"],
    [reft, "ppo.ratio=response", 'ppo.ratio: expected none unless ppo.advantages is "grpo"'],
    [reft, "ppo.scaleAdvantages=none", "scaleAdvantages: expected none unless ppo.advantages is"],
    [
      reft,
      "ppo.dynamicSampling={maxRounds: 3}",
      'ppo.dynamicSampling: expected none with ppo.advantages "gae"',
    ],
    [grpo, "ppo.dynamicSampling={}", "ppo.dynamicSampling.maxRounds: missing"],
    [grpo, "ppo.lossMean=tokens", 'ppo.lossMean: expected "response" or "miniBatchTokens" or'],
    [grpo, "ppo.upperClipRange=0", "ppo.upperClipRange: expected more than 0, found 0"],
    [grpo, "ppo.entropyCoefficient=0", "ppo.entropyCoefficient: expected more than 0, found 0"],
    [
      grpo,
      "selfTraining={epochs: 1, miniBatchSize: 8}",
      'expected exactly one of "ppo" and "selfTraining", found both',
    ],
    [selfTraining, "selfTraining.clipRange=0.2", "selfTraining.clipRange: unknown key"],
    [
      selfTraining,
      "optimizer.valueHeadLearningRate=1",
      'only ppo.advantages "gae" has a value head, found 1',
    ],
  ])("%s refuses %s", (file, override, expected) => {
    expect(mistakeOf(() => loadConfig("reft", file, set(override)))).toContain(expected);
  });

  test.each([
    [
      "grpo",
      "ratio=response",
      "lossMean=rolloutTokens",
      'ppo.lossMean: expected "response" with ppo.ratio "response"',
    ],
    [
      "rloo",
      "clipRange=0.1",
      "lossMean=response",
      'ppo.lossMean: expected none with ppo.advantages "rloo"',
    ],
    [
      "rloo",
      "clipRange=0.1",
      "ratio=response",
      'ppo.ratio: expected none unless ppo.advantages is "grpo"',
    ],
  ])("%s refuses %s with %s", (advantages, one, other, expected) => {
    const overrides = set(`ppo.advantages=${advantages}`, `ppo.${one}`, `ppo.${other}`);
    expect(mistakeOf(() => loadConfig("reft", grpo, overrides))).toContain(expected);
  });

  test("takes ppo.advantages rloo for grpo, with the same settings", () => {
    const config = loadConfig("reft", grpo, set("ppo.advantages=rloo"));
    expect(config.ppo!.advantages).toBe("rloo");
  });

  test.each([
    [
      "sft",
      ["model={init: a, weights: bf16}"],
      "model.weights: expected float32 without an adapter",
    ],
    [
      "sft",
      ["adapter={rank: 1, alpha: 1, targets: all}"],
      "adapter: expected none with model.scratch",
    ],
    ["reft", ["model.weights=bf16"], "model.weights: expected float32 without an adapter"],
    ["reft", ["adapter={rank: 0, alpha: 1, targets: all}"], "adapter.rank: expected at least 1"],
    [
      "reft",
      ["adapter={rank: 1, alpha: 1, targets: most}"],
      "targets: expected all, or a list of q",
    ],
    ["reft", ["adapter={rank: 1, alpha: 1, targets: []}"], "adapter.targets: expected"],
    [
      "reft",
      ["adapter={rank: 1, alpha: 1, targets: [q_proj, q_proj]}"],
      "adapter.targets: expected each matrix once",
    ],
  ] as const)("%s: refuses %j", (stage, settings, expected) => {
    const file = stage === "sft" ? warmup : reft;
    expect(mistakeOf(() => loadConfig(stage, file, set(...settings)))).toContain(expected);
  });

  test.each([
    ["training.microBatchTokens", "1", "expected room for one sequence of"],
    ["training.epochs", "1000", "expected at least training.epochs = 1000"],
    ["sandbox.workers", "2", "sandbox: unknown key"],
  ])("refuses %s=%s for the reranker", (path, value, expected) => {
    const overrides = set(`${path}=${value}`);
    const message = mistakeOf(() => loadConfig("rerank", "configs/tiny/rerank.yaml", overrides));
    expect(message).toContain(expected);
  });

  test("takes a test set with paperParity", () => {
    const config = loadConfig("reft", reft, set("paperParity=true", "data.test=test.jsonl"));
    expect(config.data.test).toBe("test.jsonl");
  });

  test("refuses an override inside a plain value", () => {
    expect(mistakeOf(() => loadConfig("reft", reft, set("seed.x=1")))).toContain(
      '--set seed.x=1: "x" cannot be set because what holds it is a plain value, 1',
    );
  });

  test("says where a file is not YAML, keys given twice included", () => {
    const file = written("broken.yaml", "stage: sft\nseed: 1\nseed: 2\nmodel: [\n");
    const message = mistakeOf(() => loadConfig("sft", file));
    expect(message).toContain(`${file}:3: Map keys must be unique`);
    expect(message).toContain(`${file}:5: `);
    const alias = written("alias.yaml", "stage: sft\nseed: *nope\n");
    expect(mistakeOf(() => loadConfig("sft", alias))).toContain(`${alias}: the value is not YAML`);
  });

  test("says what to do about a text that is no mapping, and about a second document", () => {
    expect(mistakeOf(() => parseConfig("sft", "data:\n  cotKind: /Final answer: (.*)/\n"))).toMatch(
      /settings:2: Nested mappings .* a text with ": " in it needs quotes around it$/,
    );
    const twice =
      'expected one document, found a second one behind "---"; write it to a file of its own';
    const settings = "seed: 1\n---\nseed: 2\n";
    expect(mistakeOf(() => parseConfig("sft", settings))).toContain(`settings:2: ${twice}`);
  });

  test("says once that a number is beyond its limits", () => {
    const message = mistakeOf(() => loadConfig("sft", warmup, set("seed=99999999999999999999")));
    expect(message).toMatch(/^1 mistake .*\n.*: seed: expected at most \d+, found 1\d+$/);
  });

  test("lists the first of many mistakes, and quotes what looks like no name", () => {
    const keys = Array.from({ length: 50 }, (_, i) => `"a${i}\\nreft: forged": 1\n`).join("");
    const message = mistakeOf(() => parseConfig("sft", keys));
    expect(message).toContain('"a0\\nreft: forged": unknown key');
    expect(message.split("\n")).toHaveLength(22);
    expect(message).toMatch(/\nand \d+ more$/);
  });

  test.each([
    ["lists within each other", `seed: ${"[".repeat(5000)}${"]".repeat(5000)}`],
    ["a section within itself", "data: &a\n  data: *a\n"],
  ])("refuses %s", (_, text) => {
    expect(() => parseConfig("sft", text)).toThrow(UserError);
    expect(() => parseOverride(`data=${text}`)).toThrow(UserError);
  });

  test("says that a file is not there, or is empty", () => {
    expect(mistakeOf(() => loadConfig("sft", "no/such.yaml"))).toContain("no/such.yaml: expected");
    const empty = written("empty.yaml", "");
    expect(mistakeOf(() => loadConfig("sft", empty))).toContain(
      `${empty}: expected a section of settings, found null`,
    );
  });
});

describe("parseOverride", () => {
  test.each([
    ["a.b=1e-5", 1e-5],
    ["a.b=null", null],
    ["a.b=x=y", "x=y"],
    ["a.b=[1, two]", [1, "two"]],
    ["a.b=true", true],
    ["a.b=/Final answer: (.*) #/i", "/Final answer: (.*) #/i"],
    ["a.b=/data/train.jsonl", "/data/train.jsonl"],
  ])("reads %s as YAML", (text, value) => {
    expect(parseOverride(text)).toEqual({ path: "a.b", value, source: `--set ${text}` });
  });

  test.each(["epochs", "=3", "a=[1", "a=*b"])("refuses %s", (text) => {
    expect(mistakeOf(() => parseOverride(text))).toContain(`--set ${text}`);
  });
});
