// `train-sft`, `train-reft` and `train-rerank`: a config, flags that override it, a run's folder.
import { join } from "node:path";
import type { CommandModule } from "yargs";
import { type ConfigOf, loadConfig, type Override, parseOverride, type Stage } from "../config.ts";
import { UserError } from "../errors.ts";
import { isThere } from "../folders.ts";
import { trainReft } from "../ppo/train.ts";
import { trainRerank } from "../rerank/train.ts";
import { amongRanks } from "../run/amongRanks.ts";
import { readablePointer } from "../run/checkpointFiles.ts";
import type { ForkOptions } from "../run/fork.ts";
import { defaultRunFolder } from "../run/run.ts";
import { readSettings, valueAt } from "../settings.ts";
import { trainSft } from "../sft/train.ts";
import { gigabytes } from "../tasks/forecastPage.ts";
import { type Chosen, describeTraining, fitTraining } from "../tasks/plan.ts";
import { print, say } from "../terminal.ts";
import { forecastFlags } from "./flags.ts";
import { printNext } from "./next.ts";
import { fromProject } from "./project.ts";

interface TrainArguments {
  readonly config?: string | undefined;
  readonly set?: readonly string[] | undefined;
  readonly init?: string | undefined;
  readonly epochs?: number | undefined;
  readonly samples?: string | undefined;
  readonly "dev-samples"?: string | undefined;
  readonly output?: string | undefined;
  readonly fork?: string | undefined;
  readonly "dry-run"?: boolean | undefined;
  readonly "memory-gib"?: number | undefined;
}

const options = {
  config: {
    type: "string",
    describe: "YAML file with every setting of the run [default: the stage's file of a project]",
  },
  set: {
    type: "string",
    array: true,
    nargs: 1,
    describe: "Override a setting: training.epochs=3 (repeatable)",
  },
  init: {
    type: "string",
    describe: "Model or run to start from, in place of the file's model",
  },
  epochs: { type: "number", describe: "Passes over the data (training.epochs)" },
  output: {
    type: "string",
    describe:
      "The run's folder; the same command goes on where it was stopped [default: runs/<experiment>-<stage>]",
  },
  fork: {
    type: "string",
    describe:
      "Begin where another run was, with these settings: RUN@STEP, RUN@best or RUN@last; needs --output",
  },
  ...forecastFlags,
} as const;

/** Flags with names of their own, then `--set`, later ones winning. */
function overridesOf(args: TrainArguments): Override[] {
  const { init, epochs, samples, "dev-samples": devSamples, set = [] } = args;
  const flags: Override[] = [
    { path: "model.init", value: init, source: "--init" },
    { path: "training.epochs", value: epochs, source: "--epochs" },
    { path: "data.samples", value: samples, source: "--samples" },
    { path: "data.devSamples", value: devSamples, source: "--dev-samples" },
  ];
  // A model to start from takes the place of one from scratch.
  const without = { path: "model.scratch", value: undefined, source: "--init" };
  return [
    ...(init === undefined ? [] : [without]),
    ...flags.filter(({ value }) => value !== undefined),
    ...set.map(parseOverride),
  ];
}

/** A fork has to be told its folder: the usual one is most often that of the run that it begins from. */
function folderOf({ output, fork }: TrainArguments, file: string): string {
  if (fork !== undefined && output === undefined)
    throw new UserError(
      "--output: expected a folder for the run that --fork begins, found none; give one",
    );
  return output ?? defaultRunFolder(file);
}

/** Settings of the run; with --memory-gib those of them that decide about memory are chosen, once for a folder. */
function settingsOf<S extends Stage>(
  stage: S,
  file: string,
  args: TrainArguments,
  folder: string,
): ConfigOf<S> {
  const overrides = overridesOf(args);
  const config = loadConfig(stage, file, overrides);
  const gibibytes = args["memory-gib"];
  if (gibibytes === undefined) return config;
  const { chosen: fitting, forecast } = fitTraining(config, gibibytes);
  const chosen = chosenBefore(folder, fitting) ?? fitting;
  const size =
    chosen === fitting
      ? `by the forecast ${gigabytes(forecast.bytes + forecast.guests)}`
      : `as the run in ${folder} began`;
  say(
    `--memory-gib ${gibibytes}: ${chosen.map(({ path, value }) => `${path} ${value}`).join(", ")}, ${size}`,
  );
  const source = "--memory-gib";
  return loadConfig(stage, file, [
    ...overrides,
    ...chosen.map((setting) => ({ ...setting, source })),
  ]);
}

/** What the run of the folder has at these paths: settings may have grown since, and the choice would be another one. */
function chosenBefore(folder: string, chosen: Chosen): Chosen | undefined {
  const path = join(folder, "config.yaml");
  if (!isThere(path)) return undefined;
  const { values } = readSettings(path, []);
  return chosen.map(({ path, value }) => {
    const before = valueAt(values, path.split("."));
    return { path, value: typeof before === "number" ? before : value };
  });
}

/** Runs a stage in its folder, or says what it would take. */
async function runStage<S extends Stage>(
  stage: S,
  args: TrainArguments,
  usualFile: string,
  train: (config: ConfigOf<S>, folder: string, options: ForkOptions) => Promise<number>,
  what?: string,
): Promise<void> {
  const file = fromProject("config", args.config, [usualFile]);
  const folder = folderOf(args, file);
  if (args["dry-run"] && args.fork !== undefined)
    throw new UserError(
      "--dry-run: expected no --fork, because a fork takes what the run from model.init takes, and fewer steps; leave one of them out",
    );
  const config = settingsOf(stage, file, args, folder);
  await amongRanks(async () => {
    if (args["dry-run"]) {
      const { page, failure } = await describeTraining(config);
      print(page);
      if (failure) throw failure;
      return;
    }
    report(folder, await train(config, folder, { fork: args.fork }), what);
    printNext(file, folder, config);
  });
}

function report(folder: string, bestAccuracy: number, what = "greedy accuracy"): void {
  const best = readablePointer(folder, "best");
  const which =
    best?.step === 0 ? ", that of the model it began with: no later step was better" : "";
  print(
    `done: best ${what} on dev ${(100 * bestAccuracy).toFixed(1)} %${which}; figures, samples and checkpoints in ${folder}`,
  );
}

export const trainSftCommand: CommandModule<object, TrainArguments> = {
  command: "train-sft",
  describe: "Fine-tune on worked solutions: the warm-up of ReFT",
  builder: (yargs) => yargs.options(options),
  handler: (args) => runStage("sft", args, "warmup.yaml", trainSft),
};

export const trainReftCommand: CommandModule<object, TrainArguments> = {
  command: "train-reft",
  describe: "Improve a model by rewards for its own answers: PPO, GRPO, RLOO, self-training",
  builder: (yargs) => yargs.options(options),
  handler: (args) => runStage("reft", args, "reft.yaml", trainReft),
};

export const trainRerankCommand: CommandModule<object, TrainArguments> = {
  command: "train-rerank",
  describe: "Train a classifier that tells right answers from wrong ones",
  builder: (yargs) =>
    yargs.options({
      ...options,
      samples: { type: "string", describe: "Samples to learn from (data.samples)" },
      "dev-samples": {
        type: "string",
        describe: "Samples that choose the best checkpoint (data.devSamples)",
      },
    }),
  handler: (args) =>
    runStage(
      "rerank",
      args,
      "rerank.yaml",
      trainRerank,
      "accuracy of the choice among all samples",
    ),
};
