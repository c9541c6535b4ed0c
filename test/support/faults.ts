// Runs commands that are killed, or whose disk fails, and then the same commands again: what they leave must be what a run leaves
// to which nothing happened.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { jsonText } from "../../src/formats/jsonl.ts";
import type { Rng } from "../../src/rng.ts";
import {
  tinyReft,
  tinyRerank,
  tinySft,
  writeTinyData,
  writeTinyModel,
  writeTinySamples,
} from "./tiny.ts";

/** A command line that writes into the folder `out` of the folder that it is called from. */
export interface Command {
  readonly name: string;
  /** The compiled src/cli.ts. */
  readonly program: string;
  readonly args: readonly string[];
}

/** Compiles src/ into a folder, beside links to what else a checkout has: without tsx a process starts in a third of the time. */
function compile(home: string): string {
  mkdirSync(".cache", { recursive: true });
  for (const name of ["node_modules", ".engine", ".cache", "package.json"])
    symlinkSync(resolve(name), join(home, name));
  const tsc = ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"];
  const { status, stdout } = spawnSync("node", [...tsc, "--outDir", join(home, "dist")]);
  if (status !== 0) throw new Error(String(stdout));
  return join(home, "dist", "cli.js");
}

/**
 * Writes what the commands read into a folder, and returns them: all that go on where they were stopped, with tiny models and few
 * steps, one of them on two ranks. Two run programs; the others take seconds, because no sandbox has to start.
 */
export function writeCommands(home: string): Command[] {
  const program = compile(home);
  const problems = writeTinyData(home, 8, 4);
  const [model, textModel] = [join(home, "model"), join(home, "text-model")];
  writeTinyModel(model, problems);
  writeTinySamples(home, problems);
  cpSync(model, textModel, { recursive: true });
  const format = { cotKind: "text", sampling: { programPrefix: "none", continuation: "" } };
  writeFileSync(join(textModel, "reft.json"), jsonText(format));
  const reward = { use: "format", pattern: "def [^]*|([^][^])*" }; // a program, or an even number of characters

  const configured = (command: string, name: string, config: object): Command => {
    const file = join(home, `${name}.yaml`);
    writeFileSync(file, JSON.stringify(config)); // which is YAML, too
    return {
      name: name === command ? name : `${command}, ${name}`,
      program,
      args: [command, "--config", file, "--output", "out"],
    };
  };
  const checkpoint = { everySteps: 1 };
  const ofText = { cotKind: "text", programPrefix: "none" } as const;
  const tiny = tinySft(home);
  const sft = { ...tiny, data: { ...tiny.data, ...ofText }, reward, checkpoint };
  const reft = tinyReft(home, model);
  const gae = {
    ...{ ...reft, checkpoint },
    training: { ...reft.training, maxSteps: 3 },
    evaluation: { ...reft.evaluation, everySteps: 2 },
  };
  const { valueHeadLearningRate: _, ...optimizer } = reft.optimizer;
  const grpo = {
    ...{ ...gae, optimizer, reward },
    model: { init: textModel },
    data: { ...gae.data, ...ofText },
    ppo: {
      ...{ advantages: "grpo", ppoEpochs: 2, miniBatchSize: 4, clipRange: 0.2 },
      ...{ klCoefficient: 0.1, partialReward: 0 },
    },
  };
  const recipe = {
    seeds: [1],
    precision: "float32",
    data: { folder: home, reft: "train.jsonl", rerank: "train.jsonl" },
    stages: {
      warmup: { config: "train-sft.yaml", set: { training: { epochs: 1 } } },
      sft: { config: "train-sft.yaml", set: { training: { epochs: 1 } } },
      reft: { config: "GRPO.yaml", set: { training: { maxSteps: 1 } } },
      rerankSft: { config: "train-rerank.yaml", set: { training: { epochs: 1 } } },
      rerankReft: { config: "train-rerank.yaml", set: { training: { epochs: 1 } } },
    },
    samples: { perQuestion: 4, questions: null, devQuestions: null },
    evaluation: { samples: 4, questions: null },
    answers: { maxNewTokens: 6, slots: 2 },
    sandbox: tiny.sandbox,
  };
  const trainSft = configured("train-sft", "train-sft", sft);
  const asking = ["--max-new-tokens", "6", "--slots", "2", "--workers", "1", "--samples", "8"];
  return [
    trainSft,
    configured("train-reft", "GAE", gae),
    configured("train-reft", "GRPO", grpo),
    configured("train-reft", "LoRA", { ...grpo, adapter: { rank: 2, alpha: 4, targets: "all" } }),
    configured("train-rerank", "train-rerank", tinyRerank(home, model)),
    {
      name: "sample",
      program,
      args: [
        ...["sample", "--model", textModel, "--data", join(home, "train.jsonl")],
        ...["--reward", JSON.stringify(reward), ...asking, "--output", "out/samples.jsonl"],
      ],
    },
    {
      name: "evaluate",
      program,
      args: [
        ...["evaluate", "--model", model, "--data", join(home, "test.jsonl")],
        ...[...asking, "--output", "out"],
      ],
    },
    configured("run", "run", recipe),
    { name: "launch", program, args: ["launch", "--processes", "2", "--", ...trainSft.args] },
  ];
}

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  /** The operations on its output that it came to, each with its path. */
  readonly moments: readonly string[];
}

const faultyDisk = resolve("test/support/faultyDisk.mjs");

interface Fault {
  /** The moment, counted from 1; none where they are only written down. */
  readonly at?: number;
  /**
   * A signal that the process gets; a power cut, which kills it and takes back what was written and not synced; or the code of the
   * error that this operation fails with.
   */
  readonly kind?: string;
  /** All later operations fail, too. */
  readonly lasting?: boolean;
}

/** Runs a command in a folder, once. @param killAfter milliseconds */
export async function run(
  { program, args }: Command,
  folder: string,
  fault: Fault = {},
  killAfter?: number,
): Promise<Ended> {
  const [root, log] = [join(folder, "out"), join(folder, "moments")];
  const temporary = join(folder, "tmp");
  for (const made of [folder, temporary]) mkdirSync(made, { recursive: true });
  writeFileSync(log, "");
  const child = spawn(process.execPath, ["--import", faultyDisk, program, ...args], {
    cwd: folder,
    detached: true, // a group of its own, in which orphans are found
    env: { ...process.env, TMPDIR: temporary, FAULT: JSON.stringify({ root, log, ...fault }) },
    stdio: ["ignore", "ignore", "pipe"],
  });
  // A process that runs is not changed by this.
  const wake = fault.kind === "SIGSTOP" ? setInterval(() => child.kill("SIGCONT"), 100) : undefined;
  if (killAfter !== undefined)
    globalThis.setTimeout(() => child.kill("SIGKILL"), killAfter).unref();
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((end) =>
    child.on("close", (...how) => end(how)),
  );
  clearInterval(wake);
  await waitForOthers(child.pid!, folder);
  const moments = readFileSync(log, "utf8").split("\n").slice(0, -1);
  return { code, signal, stderr, moments };
}

/** Guests and ranks end a moment after the process that started them. @throws when one is still there after ten seconds */
async function waitForOthers(group: number, folder: string): Promise<void> {
  for (let waited = 0; waited < 10_000; waited += 10) {
    if (!groups().includes(group) && !workingFolders().includes(folder)) return;
    await setTimeout(10);
  }
  throw new Error(`a process of the group ${group}, or in ${folder}, outlived it`);
}

/** Of all processes that can be looked at. */
function workingFolders(): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) ? [readlinkSync(`/proc/${pid}/cwd`)] : [];
    } catch {
      return []; // it has ended meanwhile, or is another user's
    }
  });
}

/** The process groups of all processes that have not ended. */
function groups(): number[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return state === "Z" ? [] : [Number(group)];
    } catch {
      return []; // it has ended meanwhile
    }
  });
}

/**
 * The differences of what two runs have left: paths of files. Left out is what depends on the clock or on how much one process has
 * done: of metrics.jsonl time, time/*, memory/peakMegabytes and memory/tracedFunctions, the seconds of a recipe's stages, and which
 * checkpoint was the one before, since a run that is asked to stop saves one more.
 */
export function differences(reference: string, folder: string): string[] {
  const [expected, found] = [contentOf(join(reference, "out")), contentOf(join(folder, "out"))];
  return [...new Set([...expected.keys(), ...found.keys()])].filter(
    (path) => expected.get(path) !== found.get(path),
  );
}

/** Hashes of all files of a folder by their paths, without what depends on the clock. */
export function contentOf(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  return new Map(
    files.map((file) => {
      const content = withoutClock(file, readFileSync(join(folder, file)));
      return [file, createHash("sha256").update(content).digest("hex")];
    }),
  );
}

/** A file's content without what depends on the clock. */
export function withoutClock(file: string, content: Buffer): string | Buffer {
  if (file.endsWith("metrics.jsonl"))
    return content
      .toString()
      .replace(/"(time(\/\w+)?|memory\/(peakMegabytes|tracedFunctions))":("[^"]*"|[^,}]*)/g, "");
  if (/checkpoint\.json$/.test(file))
    return content.toString().replace(/"previous": ?("\w+"|null)/, "");
  if (/(last|best)\.json$/.test(file))
    return content.toString().replace(/"manifestSha256": ?"\w+"/, "");
  if (dirname(file).startsWith("stages")) return content.toString().replace(/"seconds": .*/, "");
  return content;
}

/** A run of a command to which nothing happens, for trials of it to be compared with. */
export interface Reference {
  readonly command: Command;
  readonly folder: string;
  readonly moments: readonly string[];
  readonly milliseconds: number;
}

export async function makeReference(command: Command, home: string): Promise<Reference> {
  const folder = join(home, command.name.replace(/\W+/g, "-"));
  const start = performance.now();
  const { code, stderr, moments } = await run(command, folder);
  if (code !== 0) throw new Error(`${command.name} failed: ${stderr}`);
  return { command, folder, moments, milliseconds: performance.now() - start };
}

/** What happened to a run, and what was wrong about it; nothing is expected to be. */
export interface Trial {
  readonly happened: readonly string[];
  readonly wrong: readonly string[];
}

/**
 * Kills a run at a random moment, the run that goes on from there, and so on; then lets it end.
 *
 * @param kinds one for each: a signal, of which SIGSTOP is followed by SIGCONT, a power cut, or a SIGKILL at any time
 * @param chance of the moments
 */
export async function killTrial(
  { command, folder: reference, moments, milliseconds }: Reference,
  kinds: readonly (
    | "SIGKILL"
    | "SIGTERM"
    | "SIGHUP"
    | "SIGINT"
    | "SIGSTOP"
    | "power cut"
    | "at any time"
  )[],
  chance: Rng,
): Promise<Trial> {
  const folder = `${reference}-trial-${chance.bits()}`;
  const happened: string[] = [];
  for (const kind of kinds) {
    const {
      code,
      signal,
      stderr,
      moments: reached,
    } = kind === "at any time"
      ? await run(command, folder, {}, chance.uniform() * milliseconds)
      : await run(command, folder, { kind, at: drawMoment(moments, chance) });
    if (kind === "SIGSTOP" && code === 0) happened.push(kind);
    if (code === 0) break; // it ended before that moment
    const isAsked = code === 1 && /the same command goes on|interrupted; what/.test(stderr);
    if (signal !== "SIGKILL" && !isAsked) return { happened, wrong: [`${kind}: ${stderr}`] };
    happened.push(`${kind} at ${reached.length} ${reached.at(-1) ?? "the start"}`);
  }
  return { happened, wrong: await endOf(command, reference, folder) };
}

/** Most moments are those between the tensors of a file: each operation on each file is as likely as another. */
function drawMoment(moments: readonly string[], chance: Rng): number {
  const plain = moments.map((moment) => moment.replace(/\.\d+\.tmp$/, ""));
  const kinds = [...new Set(plain)];
  const kind = kinds[chance.integer(kinds.length)];
  const places = plain.flatMap((moment, i) => (moment === kind ? [i + 1] : []));
  return places[chance.integer(places.length)]!;
}

const errors = ["ENOSPC", "EROFS", "EACCES", "EMFILE", "ENOMEM", "EIO"];

/** Failing operations spread evenly over a run, all of them where there are no more; half of them last. */
export function faultsOf({ moments }: Reference, count: number) {
  const step = Math.max(1, moments.length / count);
  return Array.from({ length: Math.min(count, moments.length) }, (_, i) => {
    const at = 1 + Math.floor((i + 0.5) * step);
    const lasting = Math.floor(at / errors.length) % 2 === 1;
    return { at, kind: errors[at % errors.length]!, lasting };
  });
}

/** Lets one operation of a run fail, and with `lasting` all that come after it; then the same command has to put it right. */
export async function failTrial(
  { command, folder: reference }: Reference,
  fault: { readonly kind: string; readonly at: number; readonly lasting: boolean },
): Promise<Trial> {
  const { kind, at, lasting } = fault;
  const folder = `${reference}-trial-${kind}-${at}-${lasting}`;
  const { code, stderr, moments } = await run(command, folder, fault);
  const happened = [`${kind} at ${at} ${moments[at - 1]}${lasting ? " and later" : ""}`];
  const isExplained = code === 1 && !stderr.includes("\n    at ") && explanation.test(stderr);
  const wrong = code === 0 || isExplained ? [] : [`exit code ${code}: ${stderr}`];
  return { happened, wrong: [...wrong, ...(await endOf(command, reference, folder))] };
}

/** The last line: which command, what was refused where, and what to do. */
const explanation = /(^|\n)(reft|train)[ -][\w-]+: [^\n]*'[^\n]*'[^\n]*\n$/;

/** Runs a command for the last time. Returns what is wrong then, and removes the folder where nothing is. */
async function endOf(command: Command, reference: string, folder: string): Promise<string[]> {
  const { code, stderr } = await run(command, folder);
  if (code !== 0) return [`exit code ${code}: ${stderr}`];
  const wrong = differences(reference, folder).map((path) => `${folder}/out/${path} differs`);
  if (wrong.length === 0) rmSync(folder, { recursive: true });
  return wrong;
}
