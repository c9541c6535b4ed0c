// Bad input: settings in files and flags, checkpoints of runs, command lines.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe } from "vitest";
import { main } from "../../src/cli.ts";
import { loadConfig, parseConfig, parseOverride, type Stage } from "../../src/config.ts";
import { UserError } from "../../src/errors.ts";
import { nodeDisk } from "../../src/formats/disk.ts";
import { loadRecipe } from "../../src/recipe/config.ts";
import { reward } from "../../src/rewardConfig.ts";
import { loadCheckpoint, resolveModelFolder, saveCheckpoint } from "../../src/run/checkpoint.ts";
import { findResumption } from "../../src/run/resume.ts";
import { captureOutput } from "../support/captureOutput.ts";
import {
  changedJson,
  changedJsonFile,
  changedText,
  fuzz,
  refusing,
  textsOf,
} from "../support/fuzz.ts";
import { checkpointOf, tinyConfig } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const folder = temporaryFolder();
const stages: readonly Stage[] = ["sft", "reft", "rerank"];
const files = (["warmup", "reft", "rerank", "recipe"] as const).map((name) => ({
  name,
  text: readFileSync(`configs/tiny/${name}.yaml`, "utf8"),
}));
const stageOf = { warmup: "sft", reft: "reft", rerank: "rerank" } as const;

const bomb = (levels: number) =>
  [
    "a0: &a0 [x, x]",
    ...Array.from({ length: levels }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`),
  ].join("\n");
const yaml = textsOf(
  [
    ...[
      "a: 1\n",
      "b:\n  c: 2\n",
      "- x\n",
      "  ",
      "\t",
      "\n",
      ": ",
      "? ",
      "- ",
      "&a ",
      "*a",
      "<<: *a\n",
    ],
    ...[
      "!!binary ",
      "!!js/function ",
      "!!set ",
      "!!omap ",
      "!<x> ",
      "---\n",
      "...\n",
      "%YAML 1.2\n",
      "{",
      "}",
    ],
    ...[
      "[",
      "]",
      ",",
      '"',
      "'",
      "|\n",
      ">\n",
      "# x\n",
      "__proto__: 1\n",
      "constructor: {}\n",
      "stage: sft\n",
    ],
    ...[
      "training.epochs",
      "seed: ",
      "~",
      "null",
      ".inf",
      ".nan",
      "0x10",
      "1e400",
      "2001-01-01",
      bomb(30),
      "a: &a\n  b: *a\n",
    ],
    ...["[".repeat(3000), "{a: ".repeat(3000), "- ".repeat(3000), "stage: toString\n"],
  ],
  16,
);

describe("settings", () => {
  const changed = fc.oneof(
    ...files.map(({ name, text }) =>
      fc
        .oneof(
          changedText(text),
          yaml.map((more) => `${text}\n${more}`),
        )
        .map((content) => ({ name, content })),
    ),
    yaml.map((content) => ({ name: "warmup" as const, content })),
  );
  fuzz("a file", changed, ({ name, content }) => {
    const path = join(folder, "settings.yaml");
    writeFileSync(path, content);
    if (name === "recipe") loadRecipe(path);
    else loadConfig(stageOf[name], path);
  });

  const values = changedJson(tinyConfig).map((text) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return text;
    }
  });
  fuzz("values of a program", fc.tuple(fc.constantFrom(...stages), values), ([stage, given]) => {
    parseConfig(stage, given);
  });

  const names = fc.constantFrom("warmup" as const, "reft" as const, "rerank" as const);
  const keys = [
    "training.epochs",
    "seed",
    "model.scratch.dim",
    "data",
    "reward",
    "data.prompt",
    "a.b",
    "",
    ".",
    "__proto__.x",
    "constructor",
  ];
  const assignment = fc.tuple(
    textsOf(keys, 2),
    fc.constantFrom("=", "=", "=", "", "=="),
    fc.oneof(yaml, textsOf(keys, 3)),
  );
  const flags = fc.array(
    assignment.map((parts) => parts.join("")),
    { minLength: 1, maxLength: 3 },
  );
  fuzz("--set", fc.tuple(names, flags), ([name, set]) => {
    loadConfig(stageOf[name], `configs/tiny/${name}.yaml`, set.map(parseOverride));
  });

  const rewards = [
    "program",
    [
      { use: "exact", ignoreCase: true },
      { use: "length", maxTokens: 5, weight: 0.1 },
    ],
    [
      { use: "format", pattern: "(a+)+" },
      { use: "file", file: "a.py", timeoutSeconds: 1 },
    ],
  ];
  const parsed = fc.oneof(...rewards.map(changedJson));
  fuzz("a reward", parsed, (text) => {
    const file = files.find(({ name }) => name === "reft")!;
    const path = join(folder, "reward.yaml");
    writeFileSync(path, `${file.text}\nreward: ${text.slice(0, 8000)}\n`);
    reward.safeParse(text);
    loadConfig("reft", path);
  });
});

describe("checkpoints", async () => {
  const run = { folder: join(folder, "run"), config: tinyConfig, disk: nodeDisk };
  const home = join(run.folder, "checkpoints");
  mkdirSync(home, { recursive: true });
  for (const step of [1, 2]) await saveCheckpoint(run, checkpointOf(step, step === 1));
  const names = [
    "last.json",
    "best.json",
    "step-000001/checkpoint.json",
    "step-000002/checkpoint.json",
  ];
  const changed = names.map((name) => {
    const original = readFileSync(join(home, name));
    return changedJsonFile(JSON.parse(original.toString())).map((bytes) => ({
      name,
      original,
      bytes,
    }));
  });
  fuzz("a pointer or a list of files", fc.oneof(...changed), ({ name, original, bytes }) => {
    writeFileSync(join(home, name), bytes);
    try {
      for (const read of [
        () => loadCheckpoint(run.folder, "last"),
        () => loadCheckpoint(run.folder, "best"),
        () => resolveModelFolder(run.folder),
        () => findResumption(run.folder),
      ])
        refusing(read);
    } finally {
      writeFileSync(join(home, name), original);
    }
  });
});

describe("command lines", () => {
  const said = captureOutput();
  const words = [
    ...[
      "--help",
      "-h",
      "--version",
      "--",
      "-",
      "--set",
      "--config",
      "--output",
      "--input",
      "--model",
      "--data",
    ],
    ...[
      "--set=a",
      "--no-set",
      "--Output",
      "--__proto__",
      "--constructor.x",
      "--a.b=1",
      "--output.x=1",
      "--output=",
      "--epochs",
    ],
    ...[
      "many",
      "-5",
      "1e999",
      "",
      " ",
      "x",
      "nowhere/at/all",
      "--k",
      "1,2",
      "[1",
      "--column",
      "answer=",
      "--from",
    ],
    ...[
      "--toString",
      "--no-",
      "-abc",
      "--=",
      "=",
      "--task",
      "own",
      "generated",
      "--cot",
      "/(/",
      "--reward",
      "{",
    ],
  ];
  const commands = [
    "compare",
    "execute",
    "check-data",
    "prepare-data",
    "import-model",
    "nothing",
    "toString",
    "",
  ];
  const line = fc.tuple(
    fc.constantFrom(...commands),
    fc.array(fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...words) }, textsOf(words, 3)), {
      maxLength: 6,
    }),
  );
  beforeAll(async () => {
    for (const command of commands) await main([command, "--help"]); // loads it
  });
  fuzz("any", line, async ([command, args]) => {
    const here = process.cwd();
    process.chdir(folder);
    said.stderr = "";
    try {
      const code = await main([command, ...args]);
      if (code !== 0 && code !== 1) throw new Error(`ends with ${code}: ${said.stderr}`);
      if (code === 1) throw new UserError(said.stderr);
    } finally {
      process.chdir(here);
    }
  });
});
