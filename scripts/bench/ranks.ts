// What a second rank brings: a training on one rank, on two, and on two with twice the batch, a core for each rank and its sandbox. Two
// runs that know nothing of each other, one on each core, show what the machine allows; two ranks also exchange gradients, which is
// measured alone. Both together are the model of docs/distributed.md, whose table this prints.
//   npx tsx scripts/bench/ranks.ts --help
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../src/errors.ts";
import { markdownTable } from "../../src/evaluate/tables.ts";
import { linesOf, writeFileAtomically } from "../../src/formats/jsonl.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { parameterCount } from "../../src/model/model.ts";
import { resolveModelFolder } from "../../src/run/checkpoint.ts";
import { pointerIn } from "../../src/run/checkpointFiles.ts";
import { readMetrics } from "../../src/run/metrics.ts";
import { listeningPorts } from "../../src/run/place.ts";
import { readOptions, runScript } from "../script.ts";
import { chosen, root, set, tsx } from "./common.ts";
import { commit, describeMachine, load } from "./machine.ts";
import { median } from "./report.ts";

const home = join(root, ".cache", "bench", "ranks");
const data = join(home, "data");

interface Subject {
  readonly configs: { readonly sft: string; readonly reft: string };
  /** Flags of every training. */
  readonly flags: readonly string[];
  /** What the warm-up does in front of ReFT. */
  readonly warmup: { readonly examples: number; readonly epochs: number };
  /** Rows of an SFT step, questions of a ReFT step, answers to each, and their tokens at the most. */
  readonly batch: {
    readonly sft: number;
    readonly reft: number;
    readonly answers: number;
    readonly maxNewTokens: number;
  };
  /** A run takes so many; the first ones, which trace, do not count. */
  readonly steps: { readonly sft: number; readonly reft: number; readonly uncounted: number };
}

const tiny: Subject = {
  configs: { sft: "configs/tiny/warmup.yaml", reft: "configs/tiny-grpo/reft.yaml" },
  flags: [],
  warmup: { examples: 480, epochs: 2 },
  batch: { sft: 32, reft: 32, answers: 8, maxNewTokens: 64 },
  steps: { sft: 12, reft: 8, uncounted: 3 },
};

const subjects = {
  tiny,
  small: {
    ...tiny,
    steps: { sft: 8, reft: 3, uncounted: 1 },
    flags: set(
      ...["dim=384", "layers=6", "heads=6", "kvHeads=6", "ffnDim=1024", "initializerStd=0.02"].map(
        (setting) => `model.scratch.${setting}`,
      ),
    ),
  },
  smollm2: {
    configs: { sft: "configs/svamp-smollm2/warmup.yaml", reft: "configs/svamp-smollm2/reft.yaml" },
    flags: set("data.programPrefix=def"),
    warmup: { examples: 96, epochs: 1 },
    batch: { sft: 16, reft: 4, answers: 8, maxNewTokens: 32 },
    steps: { sft: 4, reft: 2, uncounted: 1 },
  },
} as const satisfies Record<string, Subject>;

type Name = keyof typeof subjects;
type Stage = "sft" | "reft";

/** How fast a run was: the median of the steps that count. */
interface Speed {
  /** SFT: completion tokens; ReFT: sampled tokens. */
  readonly tokensPerSecond: number;
  readonly stepSeconds: number;
  /** A ReFT step samples, runs programs and scores for so long; 0 in SFT. */
  readonly rolloutSeconds: number;
}

/** A model's training data: the first examples of the generated ones. */
function examples(count: number): string {
  const path = join(home, `first-${count}.jsonl`);
  const lines = [...linesOf(join(data, "train.jsonl"))].slice(0, count);
  writeFileAtomically(path, `${lines.join("\n")}\n`);
  return path;
}

const updatesOfRollout = 2;

/** What every training has, so that little is done besides the steps. */
const brief = set(
  ...["evaluation.questions=8", "evaluation.slots=8", "evaluation.maxNewTokens=8"],
  "sandbox.workers=1",
);

const oneThread = { TF_NUM_INTRAOP_THREADS: "1", TF_NUM_INTEROP_THREADS: "1" };

/** How many ranks train together, with how many times the batch; one rank on a core of its own. */
interface Setting {
  readonly ranks: 1 | 2;
  readonly times: 1 | 2;
  readonly core?: 0 | 1;
}

const [alone, other, two, twice] = [
  { ranks: 1, times: 1, core: 0 },
  { ranks: 1, times: 1, core: 1 },
  { ranks: 2, times: 1 },
  { ranks: 2, times: 2 },
] as const satisfies readonly Setting[];

/** Runs a command as the setting says; without one alone, on all cores. */
async function reft(args: readonly string[], setting?: Setting): Promise<void> {
  if (setting === undefined) await ended(start(["src/cli.ts", ...args]));
  else if (setting.ranks === 2)
    await ended(start(["src/cli.ts", "launch", "--processes", "2", "--", ...args], oneThread));
  else {
    // Programs of the sandbox would run on the other core otherwise.
    const onCore = ["taskset", "-c", String(setting.core)];
    await ended(start(["src/cli.ts", ...args], oneThread, onCore));
  }
}

function start(
  args: readonly string[],
  env: object = {},
  before: readonly string[] = [],
): ChildProcess {
  const [program, ...rest] = [...before, ...tsx, ...args];
  return spawn(program!, rest, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** @returns what the process wrote. @throws UserError when it fails, after what it said itself */
async function ended(child: ChildProcess): Promise<string> {
  let text = "";
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new UserError(`${child.spawnargs.join(" ")} ended with exit code ${code}`);
  return text;
}

/** Flags of an SFT on so many examples. */
function sftFlags(subject: Subject, init: string | undefined, count: number, output: string) {
  return [
    ...["train-sft", "--config", subject.configs.sft, "--output", output, ...subject.flags],
    ...(init === undefined ? [] : ["--init", init]),
    ...set(`data.train=${examples(count)}`, `data.dev=${join(data, "dev.jsonl")}`),
    ...[...brief, ...set("checkpoint.everySteps=null")],
  ];
}

async function measure(name: Name, stage: Stage, warmup: string, setting: Setting): Promise<Speed> {
  const { ranks, times, core } = setting;
  const subject: Subject = subjects[name];
  const { batch, steps, configs } = subject;
  const output = join(home, `${name}-${stage}-${ranks}-${times}-${core ?? "all"}`);
  rmSync(output, { recursive: true, force: true });
  const rows = times * batch[stage];
  const command =
    stage === "sft"
      ? [
          ...sftFlags(subject, initOf(name), rows * steps.sft, output),
          ...set(`training.batchSize=${rows}`, "training.epochs=1", "training.scheduleEpochs=10"),
        ]
      : [
          ...["train-reft", "--config", configs.reft, "--init", warmup, "--output", output],
          ...(name === "smollm2" ? subject.flags : []),
          ...set(`data.train=${join(data, "answers.jsonl")}`),
          ...set(`data.dev=${join(data, "dev.jsonl")}`, `rollout.questionsPerStep=${rows}`),
          ...set(`rollout.samplesPerQuestion=${batch.answers}`),
          ...set(`rollout.maxNewTokens=${batch.maxNewTokens}`),
          ...set(`training.maxSteps=${steps.reft}`, "evaluation.everySteps=1000"),
          ...[...brief, ...set("checkpoint.everySteps=1000")],
          ...set(`ppo.miniBatchSize=${(rows * batch.answers) / updatesOfRollout}`),
        ];
  await reft(command, setting);
  const counted = readMetrics(output)
    .filter(({ step }) => step > 0)
    .slice(steps.uncounted)
    .map((record) => record as unknown as Record<string, number>);
  const answers = rows * batch.answers;
  const tokensOf = (record: Record<string, number>) =>
    stage === "sft" ? record["sft/lossTokens"]! : answers * record["response/lengthTokens"]!;
  const of = (figure: (record: Record<string, number>) => number) => median(counted.map(figure));
  return {
    tokensPerSecond: of((record) => tokensOf(record) / record["time/stepSeconds"]!),
    stepSeconds: of((record) => record["time/stepSeconds"]!),
    rolloutSeconds: of((record) => record["time/rolloutSeconds"] ?? 0),
  };
}

/** What SFT begins with: undefined for a model of random weights. */
function initOf(name: Name): string | undefined {
  return name === "smollm2" ? "models/smollm2-135m-instruct" : undefined;
}

/** Seconds of an update of zeros on one rank, and on two: the difference is the exchange. */
async function exchangeSeconds(model: string): Promise<number> {
  const port = listeningPorts.first + (process.pid % (listeningPorts.count - 2));
  const secondsOf = async (hosts: readonly string[]) => {
    const ranks = hosts.map((_, rank) =>
      start(["scripts/bench/exchange.ts", model], {
        ...oneThread,
        REFT_RANK: String(rank),
        REFT_HOSTS: hosts.join(","),
        TF_CPP_MIN_LOG_LEVEL: "3",
      }),
    );
    const [first] = await Promise.all(ranks.map(ended));
    return Number(first);
  };
  const [one, two] = [port, port + 1].map((at) => `127.0.0.1:${at}`) as [string, string];
  return (await secondsOf([one, two])) - (await secondsOf([one]));
}

/** A warm-up that writes programs, made once. */
async function warmupOf(name: Name): Promise<string> {
  const subject: Subject = subjects[name];
  const output = join(home, `${name}-warmup`);
  if (existsSync(pointerIn(output, "last"))) return output;
  rmSync(output, { recursive: true, force: true });
  const { examples, epochs } = subject.warmup;
  await reft([
    ...sftFlags(subject, initOf(name), examples, output),
    ...set(`training.epochs=${epochs}`, "training.scheduleEpochs=10"),
  ]);
  return output;
}

await runScript("ranks", async () => {
  const names = Object.keys(subjects) as Name[];
  const values = readOptions("npx tsx scripts/bench/ranks.ts", {
    models: { type: "string", default: names.join(","), describe: `Some of ${names}` },
    stages: { type: "string", default: "sft,reft", describe: "Some of sft,reft" },
  });
  const stages = chosen("stages", values.stages, ["sft", "reft"] as const);
  mkdirSync(home, { recursive: true });
  if (!existsSync(join(data, "train.jsonl")))
    await reft([
      ...["prepare-data", "generated", "--cot", "python"],
      ...["--train", "500", "--output", data],
    ]);
  const machine = describeMachine(1);
  console.log(`${machine.cpu} (${machine.extensions.join(" ")}), commit ${commit()}`);
  const table: string[][] = [
    [
      ...["model", "stage", "one rank, s a step", "two ranks", "times as fast", "rollout alone"],
      ...["twice the batch on two ranks, times the tokens/s", "by the model"],
      ...["two runs apart, times the tokens/s", "exchange, s a step", "of a step of two", "load"],
    ],
  ];
  for (const name of chosen("models", values.models, names)) {
    const warmup = await warmupOf(name);
    const model = resolveModelFolder(warmup);
    const weights = parameterCount(readModelConfig(model));
    const exchange = await exchangeSeconds(model);
    for (const stage of stages) {
      const run = (setting: Setting) => measure(name, stage, warmup, setting);
      const one = await run(alone);
      const apart = await Promise.all([run(alone), run(other)]);
      const [strong, weak] = [await run(two), await run(twice)];
      const exchanged = exchange * (stage === "sft" ? 1 : updatesOfRollout);
      const apartSeconds = Math.max(...apart.map(({ stepSeconds }) => stepSeconds));
      table.push([
        `${name}, ${(weights / 1e6).toFixed(1)} M`,
        stage === "sft" ? "SFT" : "ReFT (GRPO)",
        one.stepSeconds.toPrecision(3),
        strong.stepSeconds.toPrecision(3),
        (one.stepSeconds / strong.stepSeconds).toFixed(2),
        stage === "sft" ? "" : (one.rolloutSeconds / strong.rolloutSeconds).toFixed(2),
        (weak.tokensPerSecond / one.tokensPerSecond).toFixed(2),
        ((2 * one.stepSeconds) / (apartSeconds + exchanged)).toFixed(2),
        ((2 * one.stepSeconds) / apartSeconds).toFixed(2),
        exchanged.toPrecision(2),
        `${((100 * exchanged) / strong.stepSeconds).toFixed(0)} %`,
        String(load()),
      ]);
      console.error(table.at(-1)!.join(" | "));
    }
  }
  console.log(`\n${markdownTable(table)}`);
});
