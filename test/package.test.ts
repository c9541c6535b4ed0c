// The packed package as a user has it: installed with npm into an empty folder, with an empty home, scripts on. Of the set-up's work
// the files are linked from this checkout's, so nothing is downloaded but packages that npm's cache lacks, and nothing is compiled.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { temporaryFolder } from "./support/temporaryFolder.ts";
import { tinySft, writeTinyData } from "./support/tiny.ts";

/** Ends what hangs: npm's installation and a dozen processes take longer than other tests on a busy machine. */
const timeLimit = 600_000;
const checkout = resolve(".");
const [project, home] = [temporaryFolder(), temporaryFolder()];
const installed = join(project, "node_modules/reft");

/** npm's settings, cache included, are the environment's own, although the home is empty. */
const npmSettings = Object.fromEntries(
  ["cache", "userconfig"].map((key) => {
    const { stdout } = spawnSync("npm", ["config", "get", key], { encoding: "utf8" });
    return [`npm_config_${key}`, stdout.trim()];
  }),
);

/** Runs a program in the user's project; returns what it printed. (ADBLOCK keeps core-js from asking for money.) */
function run(command: string, ...args: string[]) {
  const env = {
    ...process.env,
    HOME: home,
    ...npmSettings,
    npm_config_ignore_scripts: "false",
    ADBLOCK: "1",
  };
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: project,
    env,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

const npx = (...args: string[]) => run("npx", "--no-install", ...args);

const program = (text: string) => run(process.execPath, "--input-type=module", "-e", text);

beforeAll(() => {
  // Without prepack: the set-up has built dist/, and other tests are using it.
  const pack = ["pack", checkout, "--ignore-scripts", "--silent"];
  const { stdout: archive } = run("npm", ...pack);
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline"];
  expect(run("npm", "install", ...quiet, `./${archive.trim()}`)).toMatchObject({ status: 0 });
}, timeLimit);

test("has what runs, and neither tests nor what only a checkout needs", () => {
  const { stdout } = run(
    "find",
    installed,
    "-type",
    "f",
    "-not",
    "-path",
    "*/node_modules/reft/node_modules/*",
  );
  const files = stdout
    .trim()
    .split("\n")
    .map((file) => file.slice(installed.length + 1));
  const roots = new Set(files.map((file) => file.split("/")[0]));
  expect([...roots].toSorted()).toEqual([
    "LICENSE",
    "README.md",
    "configs",
    "dist",
    "native",
    "package.json",
    "scripts",
  ]);
  expect(files.filter((file) => /\.test\.|\.map$|^scripts\/(?!setup)/.test(file))).toEqual([]);
});

test("says how to set it up before that is done, in one message", () => {
  const advice = /TensorFlow could not be loaded .* Run `npx reft setup`\.$/m;
  expect(program('await import("reft")').stderr).toMatch(advice);
  const { status, stderr } = npx("train-sft", "--help");
  expect(status).toBe(1);
  expect(stderr).toMatch(advice);
  const asked = npx("reft", "doctor");
  expect(asked).toMatchObject({ status: 1, stdout: "", stderr: expect.stringMatching(advice) });
  const listed = npx("reft");
  expect(listed).toMatchObject({ status: 0, stderr: "" });
  expect(listed.stdout).toContain("reft setup");
});

test("works once it is set up: commands, library and types", { timeout: timeLimit }, () => {
  linkSetUp();
  expect(npx("reft", "setup")).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^Set up: TensorFlow \S+ for the [CG]PU\.\n$/),
    stderr: "",
  });

  writeFileSync(
    join(project, "programs.jsonl"),
    '{"id": "a", "program": "import sympy\\ndef solution():\\n    return sympy.Integer(6) * 7"}\n',
  );
  const execute = ["execute", "--input", "programs.jsonl", "--output", "outcomes.jsonl"];
  expect(npx("reft", ...execute)).toMatchObject({ status: 0, stderr: "" });
  expect(readFileSync(join(project, "outcomes.jsonl"), "utf8")).toContain("42");

  writeTinyData(project);
  const config = { ...tinySft("."), training: { ...tinySft(".").training, epochs: 1 } };
  writeFileSync(join(project, "tiny.yaml"), JSON.stringify(config));
  const trained = npx("train-sft", "--config", "tiny.yaml", "--output", "runs/tiny");
  expect(trained).toMatchObject({ status: 0, stdout: expect.stringMatching(/^done: best /) });

  expect(program('await import("reft")')).toEqual({ status: 0, stdout: "", stderr: "" });
  writeFileSync(join(project, "use.mts"), use);
  const types = ["--module", "nodenext", "--target", "es2022", "--lib", "es2023,esnext.disposable"];
  const compiler = join(checkout, "node_modules/typescript/bin/tsc");
  // As for all that builds on tfjs: its own declarations do not compile.
  const flags = ["--strict", "--skipLibCheck", "--types", "node", "use.mts"];
  mkdirSync(join(project, "node_modules/@types"), { recursive: true });
  for (const name of ["@types/node", "undici-types"]) linkPackage(name);
  const compiled = run(process.execPath, compiler, ...types, ...flags);
  expect(compiled).toMatchObject({ status: 0, stdout: "" });
  expect(run(process.execPath, "use.mjs")).toEqual({ status: 0, stdout: "SFT 2 8\n", stderr: "" });
});

const use = `
import { readFileSync } from "node:fs";
import { generate, loadModel, parseConfig, type SftConfig, trainSft } from "reft";

const config: SftConfig = parseConfig("sft", readFileSync("tiny.yaml", "utf8"));
const labels: string[] = [];
const best: number = await trainSft(config, "runs/library", {
  onProgress: ({ label }) => labels.push(label),
});
if (!(best >= 0)) throw new Error("no accuracy");
const model = loadModel("runs/library");
const samples = await generate(model, ["Tom has 3 apples."], { samples: 2, maxNewTokens: 8 });
console.log(labels[0], samples[0]!.length, config.evaluation.maxNewTokens);
model[Symbol.dispose]();
`;

/** What the set-up makes, as hard links, or as copies where those cannot be. */
function linkSetUp(): void {
  const [from, to] = [join(checkout, ".engine"), join(installed, ".engine")];
  if (run("cp", "-al", from, to).status === 0) return;
  run("rm", "-rf", to);
  expect(run("cp", "-a", from, to).status).toBe(0);
}

/** Packages of a user's own. */
function linkPackage(name: string): void {
  const link = join(project, "node_modules", name);
  run("rm", "-rf", link);
  symlinkSync(join(checkout, "node_modules", name), link);
}
