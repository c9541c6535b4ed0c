// Trains by ReFT for hours, twice at once and from the same start: one run is left alone; the other is killed again and again, and in
// its sandbox a hostile program runs before every hundredth program. Then their weights, moments and figures must be the same:
//   npm run test:soak -- --hours 2 --kills 30
// Prints what docs/reliability.md says of it; what differed is kept and named, and the exit code is then 1.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { UserError } from "../src/errors.ts";
import { markdownTable } from "../src/evaluate/tables.ts";
import { Rng } from "../src/rng.ts";
import { checkpointsIn, type StepFolder, stepFolders } from "../src/run/checkpointFiles.ts";
import { withBait } from "../test/support/attacks/attack.ts";
import { attacks } from "../test/support/attacks/index.ts";
import { layBait } from "../test/support/attacks/run.ts";
import { contentOf, withoutClock } from "../test/support/faults.ts";
import { median } from "./bench/report.ts";
import { countFrom, readOptions, runScript } from "./script.ts";

const values = readOptions("npm run test:soak --", {
  hours: { type: "number", default: 2, describe: "How long the two runs train" },
  kills: { type: "string", default: "30", describe: "How often one of them is killed" },
  output: { type: "string", default: "runs/soak", describe: "Folder for all of it; a new one" },
  seed: { type: "number", default: 1, describe: "Chooses the moments of the kills" },
});

interface Sample {
  readonly name: string;
  /** Seconds since the script began. */
  readonly seconds: number;
  /** Seconds since the process began. */
  readonly age: number;
  readonly megabytes: number;
}
const memory: Sample[] = [];

/** None of the runs outlives the script. */
const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/** Steps between two checkpoints that are kept; the last one that both runs have is compared. */
const KEPT_STEPS = 100;
const home = resolve(values.output);
const program = resolve("dist/cli.js");
const start = performance.now();
const secondsSinceStart = () => (performance.now() - start) / 1000;

await runScript("test-soak", async () => {
  const kills = countFrom("kills", values.kills);
  if (existsSync(home)) throw new UserError(`--output: expected a new folder, found ${home}`);
  mkdirSync(home, { recursive: true });
  prepare();
  const host = await layBait();
  const hostile = join(home, "hostile.json");
  writeFileSync(hostile, JSON.stringify(attacks.map((attack) => withBait(attack, host.bait))));
  const seconds = values.hours * 3600;
  const until = secondsSinceStart() + seconds;
  const alone = begin("alone");
  await Promise.all([killAgainAndAgain(hostile, kills, until), leaveAlone(alone, until)]);
  const harm = host.harm("");
  host.remove();
  const compared = lastCommonCheckpoint();
  const wrong = [...harm, ...differencesAt(compared)];
  const [ofAlone, ofKilled] = ["alone", "killed"].map(
    (name) => stepFolders(outputOf(name))[0]?.step,
  );
  console.log(
    `${(seconds / 3600).toFixed(2)} hours: one run came to step ${ofAlone}; the other, killed ${kills} times, to step ${ofKilled}; compared at step ${compared.step}`,
  );
  console.log(`hostile programs: ${outcomesOfHostile()}`);
  console.log(memoryTable(until - seconds, seconds));
  if (wrong.length > 0) throw new UserError(`see ${home}:\n${wrong.join("\n")}`);
  console.log("weights, moments, figures and samples are the same");
});

/** Generated problems, and the warm-up that both runs start from. */
function prepare(): void {
  const sizes = ["--train", "500", "--answer-only", "20000", "--dev", "200", "--test", "20"];
  const data = ["--cot", "python", ...sizes, "--output", "data"];
  const warmup = ["--config", resolve("configs/tiny/warmup.yaml"), "--output", "warmup"];
  const files = ["--set", "data.train=data/train.jsonl", "--set", "data.dev=data/dev.jsonl"];
  for (const args of [
    ["prepare-data", "generated", ...data],
    ["train-sft", ...warmup, ...files],
  ]) {
    const { status } = spawnSync("node", [program, ...args], { cwd: home, stdio: "inherit" });
    if (status !== 0) throw new UserError(`${args[0]} ended with ${status}`);
  }
}

/** One thread for each run, so that both train at once on two cores; no bit depends on their number. */
function begin(name: string, hostile?: string): ChildProcess {
  const folder = join(home, name);
  mkdirSync(folder, { recursive: true });
  const settings = {
    "data.train": "../data/answers.jsonl",
    "data.dev": "../data/dev.jsonl",
    "model.init": "../warmup",
    "optimizer.learningRate": "2e-5",
    "ppo.klCoefficient": "0.05",
    "training.epochs": "1000",
    "training.maxSteps": "300000",
    "evaluation.everySteps": "500",
    "evaluation.questions": "200",
    "checkpoint.everySteps": "10",
    "checkpoint.keep.every": String(KEPT_STEPS),
    "sandbox.workers": "1",
    "sandbox.timeoutSeconds": "1",
  };
  const sets = Object.entries(settings).flatMap(([path, value]) => ["--set", `${path}=${value}`]);
  const train = ["train-reft", "--config", resolve("configs/tiny/reft.yaml"), "--output", "out"];
  const hooks = resolve("test/support/soak/registerHostile.mjs");
  const child = spawn(
    "node",
    [...(hostile ? ["--import", hooks] : []), program, ...train, ...sets],
    {
      cwd: folder,
      env: {
        ...process.env,
        TF_NUM_INTRAOP_THREADS: "1",
        TF_NUM_INTEROP_THREADS: "1",
        ...(hostile && { HOSTILE: hostileOptions(hostile) }),
      },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  child.stderr.pipe(createWriteStream(join(home, `${name}.log`), { flags: "a" }));
  children.add(child);
  watchMemory(name, child);
  return child;
}

function hostileOptions(programs: string): string {
  const sandbox = pathToFileURL(resolve("dist/reward/sandbox/sandbox.js")).href;
  return JSON.stringify({ sandbox, programs, every: 100, log: join(home, "hostile.log") });
}

/** Notes every ten seconds how much memory a process has. */
function watchMemory(name: string, { pid }: ChildProcess): void {
  const born = secondsSinceStart();
  const timer = setInterval(() => {
    const status = existsSync(`/proc/${pid}/status`)
      ? readFileSync(`/proc/${pid}/status`, "utf8")
      : "";
    const kilobytes = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
    if (kilobytes === 0) return clearInterval(timer);
    const seconds = secondsSinceStart();
    memory.push({ name, seconds, age: seconds - born, megabytes: (kilobytes * 1024) / 1e6 });
  }, 10_000);
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Resolves at once for one that has ended already. */
async function endOf(child: ChildProcess): Promise<void> {
  if (!hasEnded(child)) await once(child, "close");
}

/** Sends a signal, and waits for the end. @throws UserError for a run that somebody else, or it itself, has ended */
async function end(child: ChildProcess, name: string, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) throw new UserError(`the run ended by itself; see ${home}/${name}.log`);
  child.kill(signal);
  await endOf(child);
}

async function leaveAlone(child: ChildProcess, until: number): Promise<void> {
  await Promise.race([endOf(child), setTimeout(1000 * (until - secondsSinceStart()))]);
  await end(child, "alone", "SIGTERM"); // it stops after the step under way, with a checkpoint
}

/** Kills at one moment of each of so many equal spans of time. */
async function killAgainAndAgain(hostile: string, kills: number, until: number): Promise<void> {
  const chance = Rng.named(values.seed, "soak");
  const [first, span] = [secondsSinceStart(), (until - secondsSinceStart()) / kills];
  let child = begin("killed", hostile);
  for (let i = 0; i < kills; i++) {
    const moment = first + span * (i + chance.uniform());
    await Promise.race([endOf(child), setTimeout(1000 * (moment - secondsSinceStart()))]);
    await end(child, "killed", "SIGKILL");
    child = begin("killed", hostile);
  }
  await setTimeout(1000 * Math.max(0, until - secondsSinceStart()));
  await end(child, "killed", "SIGTERM");
}

function outputOf(name: string): string {
  return join(home, name, "out");
}

/** The newest checkpoint that both runs have. */
function lastCommonCheckpoint(): StepFolder {
  const ofKilled = stepFolders(outputOf("killed")).map(({ name }) => name);
  const common = stepFolders(outputOf("alone")).find(({ name }) => ofKilled.includes(name));
  if (common === undefined)
    throw new UserError("expected a checkpoint that both runs have, found none");
  return common;
}

/** Paths of files that the two runs have written otherwise up to a step. */
function differencesAt(checkpoint: StepFolder): string[] {
  const [alone, killed] = ["alone", "killed"].map((name) =>
    writtenUpTo(outputOf(name), checkpoint),
  );
  const paths = new Set([...alone!.keys(), ...killed!.keys()]);
  return [...paths].filter((path) => alone!.get(path) !== killed!.get(path));
}

function writtenUpTo(out: string, { name, step }: StepFolder): Map<string, string> {
  const metrics = withoutClock(
    "metrics.jsonl",
    readFileSync(join(out, "metrics.jsonl")),
  ).toString();
  const figures = metrics
    .split("\n")
    .filter((line) => line !== "" && Number(/"step":(\d+)/.exec(line)?.[1]) <= step);
  const samples = [...contentOf(join(out, "samples"))].filter(
    ([file]) => Number(/\d+/.exec(file)?.[0] ?? 0) <= step,
  );
  return new Map([
    ...contentOf(join(checkpointsIn(out), name)),
    ...figures.map((line, i): [string, string] => [`line ${i + 1} of metrics.jsonl`, line]),
    ...samples,
  ]);
}

function outcomesOfHostile(): string {
  const kinds = readFileSync(join(home, "hostile.log"), "utf8").trim().split("\n");
  const counts = [...new Set(kinds)].map(
    (kind) => `${kind} ${kinds.filter((other) => other === kind).length}`,
  );
  return `${kinds.length} (${counts.join(", ")})`;
}

/** The median memory of each run in each quarter of the time, of processes that are older than two minutes. */
function memoryTable(from: number, seconds: number): string {
  const rows = ["alone", "killed"].map((name) => {
    const medians = [0, 1, 2, 3].map((quarter) => {
      const own = memory.filter(
        (sample) =>
          sample.name === name &&
          sample.age > 120 &&
          Math.floor((4 * (sample.seconds - from)) / seconds) === quarter,
      );
      return own.length === 0 ? "" : median(own.map(({ megabytes }) => megabytes)).toFixed(0);
    });
    return [name, ...medians];
  });
  return markdownTable([["memory, MB", "first quarter", "second", "third", "fourth"], ...rows]);
}
