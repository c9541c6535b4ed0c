// Runs the commands of the README and of docs/ as a reader would type them, each in a short form (docs/shorten.ts), in a folder of its own:
//   npm run docs
// SVAMP, GSM8K and CodeLlama's tokenizer are read from ../shared/data or $REFT_DATA; tiny models with the real tokenizers stand in for pretrained
// ones. What is not run is printed with the reason. The pages of docs/results/, and one that reads
// what they make, need nothing of the others, so they are run beside them.
import { execFile } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { groupBy } from "../src/data/groupBy.ts";
import { UserError } from "../src/errors.ts";
import { writeJsonl } from "../src/formats/jsonl.ts";
import { type Block, blocksOf } from "./docs/pages.ts";
import { makeStandIn } from "./docs/standIn.ts";
import { runScript } from "./script.ts";

const project = resolve(import.meta.dirname, "..");
const realData = process.env.REFT_DATA ?? join(project, "..", "shared", "data");
const smollm2 = join(project, "models", "smollm2-135m-instruct");
const realInputs = [
  ...["svamp", "gsm8k", "codellama"].map((name) => join(realData, name)),
  smollm2,
];

const notRun: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/\b(SOURCE|CHECKPOINT)\b/, "it has a placeholder"],
  [/reft watch/, "it goes on until Ctrl-C"],
  [/--hosts |--processes 8/, "it wants several machines or GPUs"],
  [/scripts\/bench\/|report-opening|training\.epochs=480/, "it is a measurement, which takes long"],
  [/svamp-tiny\/recipe/, "configs/tiny/recipe.yaml runs the same stages on other files"],
  [/reproduce-generated|g400/, "npm run demo runs the same, shorter"],
  [/runs\/demo|report-pictures/, "it reads what npm run demo makes"],
  [
    /tf32 --set data\.dev=data\/dev\.jsonl/,
    "it has a dozen trainings, or reads what they wrote; each command is like one of another page",
  ],
];
const notRunPages: Readonly<Record<string, string>> = {
  "docs/own-data.md":
    "other pages run each of its commands, and test/tasks/initProject.test.ts runs them in a project's folder",
  "docs/codellama-7b.md": "it takes 24 GB and days",
};
const readsRealInputs = /downloads|svamp|smollm2|codellama|gsm8k|data\/(plain|distractors)/i;

await runScript("run-docs", async () => {
  const missing = realInputs.filter((path) => !existsSync(path));
  const blocks = pagesOf(project).flatMap((page) => blocksOf(join(project, page), page));
  const skipped: string[] = [];
  const seen = new Map<string, string>();
  const typed = blocks.filter(({ page, line, code: written }) => {
    const code = written.trim();
    const readsThem = page.startsWith("docs/results/") || readsRealInputs.test(code);
    const reason =
      notRunPages[page] ??
      notRun.find(([pattern]) => pattern.test(code))?.[1] ??
      (readsThem && missing.length > 0 ? `there is no ${missing.join(", ")}` : undefined) ??
      (seen.has(code) ? `it is what ${seen.get(code)} says` : undefined);
    if (reason === undefined) seen.set(code, `${page}:${line}`);
    else skipped.push(`${page}:${line}: not run, because ${reason}`);
    return reason === undefined;
  });
  const folder = mkdtempSync(join(tmpdir(), "reft-docs-"));
  const [guides, results] = ["guides", "results"].map((name) => join(folder, name)) as [
    string,
    string,
  ];
  try {
    await prepare(guides, missing.length === 0);
    cpSync(guides, results, { recursive: true });
    const isResult = ({ page }: Block) => /^docs\/(results\/|architecture)/.test(page);
    const failures = await Promise.all([
      runAll(
        guides,
        typed.filter((block) => !isResult(block)),
      ),
      runAll(results, typed.filter(isResult)),
    ]);
    for (const line of skipped) console.log(line);
    const failed = failures.flat();
    if (failed.length > 0) throw new UserError(`these commands failed:\n${failed.join("\n")}`);
    console.log(
      `run-docs: all ${typed.length} blocks of commands ran, ${skipped.length} were not run`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function pagesOf(folder: string): string[] {
  const names = readdirSync(join(folder, "docs"), { recursive: true, encoding: "utf8" });
  const pages = names.filter((name) => name.endsWith(".md")).toSorted();
  return ["README.md", ...pages.map((name) => join("docs", name))];
}

/** The folder as a reader's is: configurations, downloads, models, and the files that examples of formats stand for. */
async function prepare(folder: string, hasRealInputs: boolean): Promise<void> {
  for (const name of ["configs", "docs"])
    cpSync(join(project, name), join(folder, name), { recursive: true });
  writeShims(join(folder, "bin"));
  writeJsonl(join(folder, "prompts.jsonl"), [{ id: "a", prompt: "Question:\nHow many?\n" }]);
  writeJsonl(join(folder, "pairs.jsonl"), [{ id: "a", prompt: "Tom has", completion: " 2 pens." }]);
  writeJsonl(join(folder, "programs.jsonl"), [{ id: 1, program: "def solution():\n    return 2" }]);
  cpSync(
    join(project, "test/golden/gguf/grouped-query.gguf"),
    join(folder, "downloads/SmolLM2-135M-Instruct.gguf"),
  );
  if (!hasRealInputs) return;
  cutDownloads(folder);
  const type = (command: string) => typeOrThrow(folder, command);
  for (const [dataset, tokenizer, model] of [
    ["svamp", smollm2, "smollm2-135m-instruct"],
    ["gsm8k", join(realData, "codellama"), "CodeLlama-7b-hf"],
  ] as const) {
    const data = join("stand-ins", dataset);
    await type(
      `npx reft prepare-data ${dataset} --cot python --from downloads/${dataset} --output ${data}`,
    );
    const paths = {
      data: join(folder, data, "train.jsonl"),
      output: join(folder, "models", model),
    };
    await makeStandIn({ tokenizer, ...paths }, (config, run) =>
      type(`node "${project}/dist/bin/train-sft.js" --config "${config}" --output "${run}"`),
    );
  }
}

/** Programs that take the place of npx and npm. What npm runs here is either done already or runs apart. */
function writeShims(bin: string): void {
  mkdirSync(bin, { recursive: true });
  const node = `"${process.execPath}" --import "${import.meta.resolve("tsx")}"`;
  const shims = { npx: `exec ${node} "${project}/scripts/docs/npx.ts" "$@"`, npm: 'echo "npm $*"' };
  for (const [name, command] of Object.entries(shims))
    writeFileSync(join(bin, name), `#!/bin/sh\n${command}\n`, { mode: 0o755 });
}

/** Copies some records of each file: enough to train on, and for the dev questions of a short form. */
function cutDownloads(folder: string): void {
  for (const dataset of ["svamp", "gsm8k"]) {
    const target = join(folder, "downloads", dataset);
    mkdirSync(target, { recursive: true });
    for (const name of readdirSync(join(realData, dataset))) {
      const text = readFileSync(join(realData, dataset, name), "utf8");
      if (name.endsWith(".jsonl")) {
        const records = text.split("\n").filter((line) => line !== "");
        const cut = alike(records, (line) => line.split("####").at(-1)!.trim());
        writeFileSync(join(target, name), cut.join("\n"));
      } else if (name.endsWith(".json")) {
        const records: { answer_value: unknown }[] = JSON.parse(text);
        const cut = alike(records, ({ answer_value }) => String(answer_value));
        writeFileSync(join(target, name), JSON.stringify(cut));
      }
    }
  }
}

/** 160 records with the answers that most records have, so that who knows some answers is right now and then. */
function alike<T>(records: readonly T[], answerOf: (record: T) => string): T[] {
  const byAnswer = groupBy(records, answerOf);
  return byAnswer
    .toSorted((a, b) => b.length - a.length)
    .flat()
    .slice(0, 160);
}

/** Runs all blocks. One that needs what a later one makes is run again after that. Returns what is wrong with those that never ran through. */
async function runAll(folder: string, blocks: readonly Block[]): Promise<string[]> {
  let waiting = blocks;
  for (;;) {
    const failures: string[] = [];
    const failed: Block[] = [];
    for (const block of waiting) {
      const started = performance.now();
      const problem = await type(folder, filledIn(block.code));
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      const place = `${block.page}:${block.line}`;
      console.log(`${place}: ${problem === undefined ? "ran" : "failed"} (${seconds} s)`);
      if (problem === undefined) continue;
      console.log(problem);
      failures.push(`${place}: ${problem}`);
      failed.push(block);
    }
    if (failed.length === 0 || failed.length === waiting.length) return failures;
    waiting = failed;
  }
}

/** A reader's own folder in the place of what stands for one. */
function filledIn(code: string): string {
  return code.replaceAll("--from FOLDER", "--from downloads/svamp");
}

/** @returns what went wrong: the end of what was printed */
async function type(folder: string, code: string): Promise<string | undefined> {
  const env = { ...process.env, PATH: `${join(folder, "bin")}:${process.env.PATH}` };
  const options = { cwd: folder, env, maxBuffer: 1e9 };
  try {
    await promisify(execFile)("bash", ["-eo", "pipefail", "-c", code], options);
    return undefined;
  } catch (error) {
    const { code: status, stdout, stderr } = error as Record<"code" | "stdout" | "stderr", string>;
    const end = `${stdout}${stderr}`.trimEnd().split("\n").slice(-12).join("\n");
    return `exit code ${status}\n${end}`;
  }
}

async function typeOrThrow(folder: string, code: string): Promise<void> {
  const problem = await type(folder, code);
  if (problem !== undefined) throw new UserError(`${code}\n${problem}`);
}
