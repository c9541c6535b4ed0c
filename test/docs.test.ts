import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { CommandModule } from "yargs";
import { settingsPage } from "../scripts/settingsPage.ts";
import { main } from "../src/cli.ts";
import { askCommand } from "../src/commands/ask.ts";
import { checkDataCommand } from "../src/commands/checkData.ts";
import { compareCommand } from "../src/commands/compare.ts";
import { doctorCommand } from "../src/commands/doctor.ts";
import { evaluateCommand } from "../src/commands/evaluate.ts";
import { executeCommand } from "../src/commands/execute.ts";
import { exportCommand } from "../src/commands/export.ts";
import { generateCommand } from "../src/commands/generate.ts";
import { importModelCommand } from "../src/commands/importModel.ts";
import { initCommand } from "../src/commands/init.ts";
import { launchCommand } from "../src/commands/launch.ts";
import { prepareDataCommand } from "../src/commands/prepareData.ts";
import { reportCommand } from "../src/commands/report.ts";
import { runCommand } from "../src/commands/run.ts";
import { sampleCommand } from "../src/commands/sample.ts";
import { scoreCommand } from "../src/commands/score.ts";
import { settingsCommand } from "../src/commands/settings.ts";
import { trainReftCommand, trainRerankCommand, trainSftCommand } from "../src/commands/train.ts";
import { watchCommand } from "../src/commands/watch.ts";
import { loadConfig, parseOverride, type Stage } from "../src/config.ts";
import { messageOf } from "../src/errors.ts";
import { trainReft } from "../src/ppo/train.ts";
import { loadRecipe } from "../src/recipe/config.ts";
import { trainRerank } from "../src/rerank/train.ts";
import { trainSft } from "../src/sft/train.ts";
import { fakeSandbox, shareOf } from "./support/fakeSandbox.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";
import { tinyReft, tinyRerank, tinySft, writeTinyData, writeTinySamples } from "./support/tiny.ts";

vi.mock("../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () =>
    fakeSandbox((program) => ({ kind: "answer", value: Math.round(shareOf(program)) })),
}));

// That sandbox finds every gold program wrong.
vi.mock("../src/evaluate/checkGold.ts", () => ({ checkGold: async () => {} }));

const pages = [
  ...["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"],
  ...["examples", "docs"].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name)),
  ),
];
const textOf = (page: string) => readFileSync(page, "utf8");
const readme = textOf("README.md");

/** All matches of a pattern's first group in the pages, as [page, found], each once. */
function findAll(pattern: RegExp): [page: string, found: string][] {
  return pages.flatMap((page) =>
    [...new Set([...textOf(page).matchAll(pattern)].map(([, found]) => found!))].map(
      (found): [string, string] => [page, found],
    ),
  );
}

/** A code block's lines, with the variables that it sets (`name="..."`) in their places. */
function expandedLines(code: string): string[] {
  const values = new Map<string, string>();
  return code.split("\n").map((written) => {
    const line = written.replace(/\$(\w+)/g, (use, name) => values.get(name) ?? use);
    const [, name, value] = /^(\w+)="(.*)"$/.exec(line) ?? [];
    if (name !== undefined) values.set(name, value!);
    return line;
  });
}

/** The lines of all code blocks. */
const codeLines = pages.flatMap((page) =>
  [...textOf(page).matchAll(/^```\w*\n(.*?)^```/gms)].flatMap(([, code]) => expandedLines(code!)),
);
const commandLines = codeLines
  .map((line) => line.replace(/ +#.*/, "").replace(/^[A-Z_]+=\S+ (?=npx )/, ""))
  .filter((line) => /^npx (reft|train-\w+) /.test(line))
  .flatMap((line) => [line, ...launched(line)]);

/** What a line lets several processes run. */
function launched(line: string): string[] {
  const command = /^npx reft launch .* -- (.*)/.exec(line)?.[1];
  return command === undefined ? [] : [`npx reft ${command}`];
}

describe("commands", () => {
  const handlers = new Map(
    [
      doctorCommand,
      initCommand,
      settingsCommand,
      prepareDataCommand,
      checkDataCommand,
      importModelCommand,
      trainSftCommand,
      trainReftCommand,
      trainRerankCommand,
      launchCommand,
      sampleCommand,
      evaluateCommand,
      compareCommand,
      reportCommand,
      watchCommand,
      askCommand,
      generateCommand,
      scoreCommand,
      executeCommand,
      exportCommand,
      runCommand,
    ].map((command) => {
      const name = String(command.command).split(" ")[0]!;
      return [name, vi.spyOn(command as CommandModule, "handler").mockResolvedValue(undefined)];
    }),
  );

  /** Parses a line as the command would. Returns the command's name and what it is given. */
  async function parse(line: string) {
    const words = line.match(/"[^"]*"|\S+/g)!.map((word) => word.replaceAll('"', ""));
    const [, program, ...args] = words;
    const name = program === "reft" ? args[0]! : program!;
    const handler = handlers.get(name)!.mockClear();
    const code = await main(args, program === "reft" ? undefined : program);
    expect(code, line).toBe(0);
    expect(handler, line).toHaveBeenCalledOnce();
    return { name, given: handler.mock.lastCall![0] as Record<string, unknown> };
  }

  test.each(commandLines)("the parser takes: %s", async (line) => {
    await parse(line);
  });

  test("docs/commands.md shows every command at work, and the README lists it", () => {
    const page = textOf("docs/commands.md");
    const lines = commandLines.filter((line) => page.includes(line));
    const shown = lines.map((line) => /^npx (?:reft )?([\w-]+)/.exec(line)![1]!);
    expect([...new Set(shown)].toSorted()).toEqual([...handlers.keys()].toSorted());
    for (const name of shown) expect(readme).toMatch(new RegExp(`^\\| .*\\b${name}\``, "m"));
  });

  /** check-data takes the settings of either training. */
  const stageOf = (name: string, config: string): Stage =>
    name === "check-data"
      ? (/^stage: (\w+)/m.exec(readFileSync(config, "utf8"))![1] as Stage)
      : (name.replace("train-", "") as Stage);

  const configured = commandLines.filter((line) => line.includes("--config"));
  test.each(configured.filter((line) => launched(line).length === 0))(
    "file and overrides make a configuration: %s",
    async (line) => {
      const { name, given } = await parse(line);
      const { init, set = [] } = given as { init?: string; set?: string[] };
      const config = String(given.config).replace(/^\.\.\//, "examples/"); // from an example's folder
      const overrides = [
        ...(init === undefined ? [] : [{ path: "model", value: { init }, source: "--init" }]),
        ...set.map(parseOverride),
      ];
      const load = () =>
        name === "run"
          ? loadRecipe(config, overrides)
          : loadConfig(stageOf(name, config), config, overrides);
      expect(load).not.toThrow();
    },
  );

  test("every npm script that is named exists", () => {
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
    const named = findAll(/npm (?:run )?(demo|test|(?<=run )\w+(?::\w+)*)/g);
    expect(named.length).toBeGreaterThan(4);
    for (const [page, name] of named) expect(scripts, page).toHaveProperty(name);
  });
});

test("docs/settings.md is what the schemas say", () => {
  const plain = (text: string) => text.replace(/ +|-{2,}/g, (run) => run[0]!).replace(/\n+/g, "\n"); // the formatter aligns tables
  expect(plain(textOf("docs/settings.md")), "write it anew: npx tsx scripts/settings-page.ts").toBe(
    plain(settingsPage()),
  );
});

describe("docs/paper-to-code.md", () => {
  const page = textOf("docs/paper-to-code.md");
  const pattern =
    /^\| (.*?) +\| `(src\/[\w/.-]+)` +\| (`.*?) +\| (.*?) +\| `(test\/[\w/.-]+)` +\|$/gm;
  const rows = [...page.matchAll(pattern)].map(([, equation, file, functions, , tests]) => ({
    ...{ equation: equation!, file: file!, tests: tests! },
    functions: [...functions!.matchAll(/`(\w+)`/g)].map(([, name]) => name!),
  }));

  test("has a row for every equation", () => {
    expect(rows).toHaveLength(page.match(/^\| .*`src\//gm)!.length);
    expect(rows.length).toBeGreaterThan(20);
  });

  test.each(rows)("$file has $functions: $equation", ({ file, functions, tests }) => {
    expect(functions).not.toEqual([]);
    for (const name of functions)
      expect(textOf(file)).toMatch(
        new RegExp(`^export (?:async )?(?:function|const|class)\\*? ${name}\\b`, "m"),
      );
    expect(textOf(tests)).toContain(`/src/${file.slice("src/".length)}"`);
  });
});

test("docs/library.md names every function of the library", async () => {
  const page = textOf("docs/library.md");
  for (const name of Object.keys(await import("../src/index.ts")))
    expect(page).toContain(`\`${name}\``);
});

describe("names", () => {
  test("every link and every path of the repository leads somewhere", () => {
    for (const [page, link] of findAll(/\]\((?!https?:)([^)#]+)/g))
      expect(existsSync(join(dirname(page), link)), `${page}: ${link}`).toBe(true);
    for (const [page, path] of findAll(/`((?:src|docs|scripts|test|configs|native)\/[\w./-]*)`/g))
      expect(existsSync(path), `${page}: ${path}`).toBe(true);
  });

  test("every setting that is named exists", () => {
    const sections =
      "data|model|rollout|ppo|selfTraining|optimizer|training|evaluation|sandbox|checkpoint|alarms|logging";
    const named = findAll(
      new RegExp(`\`((?:${sections})\\.(?!(?:ts|md|jsonl?|safetensors|gguf)\\b)\\w+)[:\`]`, "g"),
    );
    expect(named.length).toBeGreaterThan(20);
    const isKnown = (path: string) =>
      (["sft", "reft", "rerank", "recipe"] as const).some((stage) => {
        const file = `configs/tiny/${stage}.yaml`;
        const overrides = [{ path, value: {}, source: "test" }];
        try {
          if (stage === "recipe") loadRecipe(file, overrides);
          else loadConfig(stage, file, overrides);
        } catch (error) {
          return !messageOf(error).includes("unknown key");
        }
        return true;
      });
    for (const [page, path] of named) expect(isKnown(path), `${page}: ${path}`).toBe(true);
  });
});

describe("metrics", () => {
  const home = temporaryFolder();
  let logged = new Set<string>();
  beforeAll(async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    vi.spyOn(process.stderr, "write").mockImplementation(() => true);
    writeTinySamples(home, writeTinyData(home));
    const names = ["sft", "reft", "rerank", "grpo", "self-training"];
    const folders = names.map((name) => join(home, name));
    const sft = tinySft(home);
    await trainSft({ ...sft, training: { ...sft.training, epochs: 1 } }, folders[0]!);
    const reft = tinyReft(home, folders[0]!);
    const data = { ...reft.data, test: join(home, "test.jsonl") };
    const training = { ...reft.training, maxSteps: 1 };
    await trainReft({ ...reft, paperParity: true, data, training }, folders[1]!);
    await trainRerank(tinyRerank(home, folders[0]!), folders[2]!);
    const { ppo, optimizer, ...others } = reft;
    const { valueHeadLearningRate, ...policyOptimizer } = optimizer;
    const { gamma, gaeLambda, valueClipRange, valueCoefficient, valueWarmupSteps, ...clipped } =
      ppo;
    const criticFree = { ...others, optimizer: policyOptimizer, training };
    const grpo = {
      ...{ ...clipped, advantages: "grpo" as const },
      ...{ entropyCoefficient: 0.01, dynamicSampling: { maxRounds: 2 } },
    };
    await trainReft({ ...criticFree, ppo: grpo }, folders[3]!);
    await trainReft({ ...criticFree, selfTraining: { epochs: 1, miniBatchSize: 4 } }, folders[4]!);
    const lines = folders.flatMap((folder) =>
      readFileSync(join(folder, "metrics.jsonl"), "utf8").trimEnd().split("\n"),
    );
    logged = new Set(lines.flatMap((line) => Object.keys(JSON.parse(line))));
  });

  test("docs/metrics.md explains every figure that training logs, and no other", () => {
    const rows = textOf(join("docs", "metrics.md")).matchAll(/^\| `(\w+\/\w+)` +\|/gm);
    const alarms = /## Alarms.*/s.exec(textOf(join("docs", "metrics.md")))![0];
    const explained = [...rows].map(([, name]) => name!);
    expect(explained.toSorted()).toEqual(
      [...logged].filter((name) => name.includes("/")).toSorted(),
    );
    explained.push("train/skippedUpdates"); // only in a step that skips some: beside the tables
    for (const [, name] of alarms.matchAll(/`(\w+\/\w+)`/g)) expect(explained).toContain(name);
  });
});
