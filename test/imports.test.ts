// The linter's import rules, tried on a copy of the folders in which every file imports one file of every other folder.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "./support/temporaryFolder.ts";

const lowest = ["errors.ts", "rng.ts", "settings.ts", "config.ts", "folders.ts", "terminal.ts"];
const parts = ["engine", "data", "model", "reward", "generate"];

/** Who may import whom, as docs/architecture.md draws it; the lowest files are open to all. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  "errors.ts": [],
  "rng.ts": [],
  "settings.ts": [],
  "config.ts": [],
  "folders.ts": [],
  "terminal.ts": [],
  "engine/tf.ts": ["@tensorflow/tfjs-node-gpu"],
  "engine/ops.ts": [],
  "data/batch.ts": ["engine"],
  "data/datasets/svamp.ts": ["engine"],
  "model/model.ts": ["engine", "data"],
  "reward/score.ts": ["data"],
  "reward/sandbox/pool.ts": ["data"],
  "generate/generate.ts": ["engine", "data", "model", "reward"],
  "run/run.ts": ["engine", "data", "model"],
  "recipe/stages.ts": ["engine", "data", "model", "run"],
  "sft/loss.ts": parts,
  "sft/train.ts": [...parts, "run", "evaluate"],
  "ppo/loss.ts": parts,
  "ppo/train.ts": [...parts, "run", "evaluate"],
  "rerank/loss.ts": parts,
  "rerank/train.ts": [...parts, "run", "evaluate"],
  "evaluate/evaluate.ts": [...parts, "run"],
  "commands/trainSft.ts": [...parts, "run", "evaluate", "sft", "ppo", "rerank", "recipe"],
  "cli.ts": [...parts, "run", "evaluate", "sft", "ppo", "rerank", "recipe", "commands", "bin"],
};

const targets = [
  ...lowest,
  ...[...parts, "run", "sft", "ppo", "rerank", "evaluate", "recipe", "commands", "bin"].map(
    (name) => `${name}/any.ts`,
  ),
  "cli.ts",
  "@tensorflow/tfjs-node-gpu",
];

function specifier(from: string, to: string): string {
  if (to.startsWith("@")) return to;
  const path = relative(dirname(from), to);
  return path.startsWith(".") ? path : `./${path}`;
}

/** Does one file's import of another break the drawing? */
function isWrong(from: string, to: string): boolean {
  const [home, folder] = [from.split("/")[0]!, to.startsWith("@") ? to : to.split("/")[0]!];
  if (home === folder || (lowest.includes(folder) && !lowest.includes(home))) return false;
  if (lowest.includes(home) && lowest.includes(folder)) return false;
  return !mayImport[from]!.includes(folder);
}

/** "from to" of every import that the linter reports in these files. */
function reported(folder: string): string[] {
  const biome = resolve("node_modules/.bin/biome");
  const args = [
    "lint",
    "--only=style/noRestrictedImports",
    "--reporter=json",
    "--max-diagnostics=none",
    ".",
  ];
  const { stdout } = spawnSync(biome, args, { cwd: folder, encoding: "utf8" });
  const { diagnostics } = JSON.parse(stdout) as {
    diagnostics: { location: { path: string; start: { line: number } } }[];
  };
  return diagnostics.map(({ location: { path, start } }) => {
    const line = readFileSync(join(folder, path), "utf8").split("\n")[start.line - 1]!;
    const to = /"(.*)"/.exec(line)![1]!;
    const from = relative("src", path);
    return `${from} -> ${to.startsWith("@") ? to : join(dirname(from), to)}`;
  });
}

test.each([
  ["static", (to: string) => `import "${to}";`],
  ["dynamic", (to: string) => `await import("${to}");`],
  ["type", (to: string) => `import type { A } from "${to}";`],
])("the linter refuses every %s import that goes up, and no other", (_, statement) => {
  const folder = temporaryFolder();
  const { overrides, linter } = JSON.parse(readFileSync("biome.json", "utf8"));
  writeFileSync(join(folder, "biome.json"), JSON.stringify({ overrides, linter }));
  const wrong: string[] = [];
  for (const from of Object.keys(mayImport)) {
    const others = targets.filter((to) => to !== from);
    mkdirSync(join(folder, "src", dirname(from)), { recursive: true });
    const lines = others.map((to) => statement(specifier(from, to)));
    writeFileSync(join(folder, "src", from), `${lines.join("\n")}\n`);
    wrong.push(...others.filter((to) => isWrong(from, to)).map((to) => `${from} -> ${to}`));
  }
  expect(wrong.length).toBeGreaterThan(100);
  expect(reported(folder).toSorted()).toEqual(wrong.toSorted());
});
