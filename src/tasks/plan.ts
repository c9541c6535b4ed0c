// A training before it runs: what it will take, and with which settings it would take less.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config, ReftConfig, RerankConfig, SftConfig } from "../config.ts";
import { UserError } from "../errors.ts";
import { isRunning } from "../folders.ts";
import { forecastReft, readReftStart, reftSteps } from "../ppo/start.ts";
import { trainReft } from "../ppo/train.ts";
import { isLeader, onAnyRank, rankCount } from "../ranks.ts";
import { forecastRerank, readRerankStart, rerankSteps } from "../rerank/start.ts";
import { trainRerank } from "../rerank/train.ts";
import { type Forecast, type StepCount, togetherOf } from "../run/forecast.ts";
import { machineMemory } from "../run/machineMemory.ts";
import { metricsIn } from "../run/metrics.ts";
import { forecastSft, readSftStart, sftSteps } from "../sft/start.ts";
import { trainSft } from "../sft/train.ts";
import {
  type DiskUse,
  describeFit,
  describeForecast,
  gigabytes,
  type Saving,
} from "./forecastPage.ts";

/** A training whose data has been read. */
interface Plan {
  readonly config: Config;
  /** Of these settings, with the data that was read. */
  readonly forecast: (config: Config) => Forecast;
  readonly steps: StepCount;
  /** How often it is measured, and bytes of the answers that one measurement writes, at the most. */
  readonly samples: { readonly measurements: number; readonly bytes: number };
  /** Takes the first steps in a folder. */
  readonly trial: (folder: string, steps: number) => Promise<unknown>;
  /** The least training.microBatchTokens that takes the longest sequence. */
  readonly leastTokens: number;
  /** How many responses can be in the making at once: in a rollout, in an evaluation. */
  readonly mostSlots: { readonly rollout?: number; readonly evaluation?: number };
}

/** Reads a training's data, but no weights. @throws UserError for settings, data or a model that cannot be used */
function planTraining(config: Config): Plan {
  switch (config.stage) {
    case "sft":
      return planSft(config);
    case "reft":
      return planReft(config);
    case "rerank":
      return planRerank(config);
  }
}

function planSft(config: SftConfig): Plan {
  const start = readSftStart(config, config.reward);
  const steps = sftSteps(config, start);
  const { data, evaluation, training } = config;
  const questions = start.dev.questions.length;
  return {
    ...{ config, steps },
    forecast: (changed) => forecastSft(changed as SftConfig, start),
    samples: {
      measurements:
        Math.ceil(training.epochs / evaluation.everyEpochs) +
        Number(config.model.init !== undefined),
      bytes: answersBytes(questions, evaluation.maxNewTokens),
    },
    trial: (folder, trialSteps) => trainSft(config, folder, { trialSteps }),
    leastTokens: data.maxPromptTokens + data.maxCompletionTokens,
    mostSlots: { evaluation: questions },
  };
}

function planReft(config: ReftConfig): Plan {
  const start = readReftStart(config, config.reward);
  const steps = reftSteps(config, start);
  const { data, rollout, evaluation } = config;
  // A step in which the value head alone learns says nothing of the others.
  const tried =
    config.ppo?.advantages === "gae" ? changed(config, "ppo.valueWarmupSteps", 0) : config;
  const questions = start.dev.questions.length;
  return {
    ...{ config, steps },
    forecast: (changed) => forecastReft(changed as ReftConfig, start),
    samples: {
      measurements: Math.ceil(steps.total / evaluation.everySteps) + 1,
      bytes: answersBytes(questions, evaluation.maxNewTokens),
    },
    trial: (folder, trialSteps) => trainReft(tried as ReftConfig, folder, { trialSteps }),
    leastTokens: data.maxPromptTokens + rollout.maxNewTokens,
    mostSlots: {
      rollout: rollout.questionsPerStep * rollout.samplesPerQuestion,
      evaluation: questions,
    },
  };
}

function planRerank(config: RerankConfig): Plan {
  const start = readRerankStart(config);
  const steps = rerankSteps(config, start);
  return {
    ...{ config, steps },
    forecast: (changed) => forecastRerank(changed as RerankConfig, start),
    samples: {
      measurements: Math.ceil(config.training.epochs / config.evaluation.everyEpochs),
      bytes: 80 * start.dev.sequences.length,
    },
    trial: (folder, trialSteps) => trainRerank(config, folder, { trialSteps }),
    leastTokens: config.data.maxTokens,
    mostSlots: {},
  };
}

/** Of a file of answers at the most: some 500 bytes of question, outcome and names, and 4 bytes a token. */
export function answersBytes(questions: number, maxNewTokens: number): number {
  return questions * (500 + 4 * maxNewTokens);
}

/** What the run's folder takes. */
function diskUse({ trained, parameters }: Forecast, { config, samples, steps }: Plan): DiskUse[] {
  const model = 4 * (config.adapter ? trained : parameters);
  const { last = 1, every } = config.checkpoint.keep ?? {};
  // The best, the newest, those of every so many steps, and the one that is being written before an old one is removed.
  const count = 2 + last + (every === undefined ? 0 : Math.floor(steps.total / every));
  return [
    { name: `checkpoints, up to ${count} at once`, bytes: count * (model + 8 * trained) },
    { name: "answers to dev questions, at most", bytes: samples.measurements * samples.bytes },
  ];
}

const titles = { sft: "SFT", reft: "ReFT", rerank: "Rerank" } as const;

/** Steps that a dry run takes: the first one is slow, because it is compiled. */
const trialSteps = 2;

/**
 * Says what a training will take. Where its memory is there, two steps are taken in a temporary folder.
 *
 * @returns the page to print, and what the training would end with, where those steps showed it
 * @throws UserError for settings, data or a model that cannot be used
 */
export async function describeTraining(
  config: Config,
): Promise<{ page: string; failure: UserError | undefined }> {
  const plan = planTraining(config);
  const { steps, samples } = plan;
  const forecast = plan.forecast(config);
  const memory = machineMemory();
  // Ranks look at different moments, or on different machines, and have to come to the same.
  const fits = !onAnyRank(!forecast.isOnGpu && togetherOf(forecast) > memory.free);
  const epochs = (steps.total / steps.perEpoch).toFixed(1).replace(/\.0$/, "");
  const tried = fits ? await tryOut(plan, forecast) : { line: "no step was tried" };
  const page = [
    ...describeForecast(titles[config.stage], forecast, diskUse(forecast, plan)),
    `steps: ${steps.total.toLocaleString("en")} (${epochs} epochs of ${steps.perEpoch}), ${samples.measurements} evaluations`,
    ...describeFit(forecast, memory, savingsOf(plan)),
    tried.line,
  ].join("\n");
  return { page, failure: tried.failure };
}

/** Takes the first steps, and says how long they took and how much memory. */
async function tryOut(
  { trial, steps }: Plan,
  forecast: Forecast,
): Promise<{ line: string; failure?: UserError | undefined }> {
  const folder = makeTrialFolder();
  try {
    await trial(folder, trialSteps);
    if (!isLeader()) return { line: "" }; // which has written nothing
    const lines = readFileSync(metricsIn(folder), "utf8").trimEnd().split("\n");
    const taken = lines.map((line) => JSON.parse(line) as Record<string, number>);
    const seconds = taken.map((line) => line["time/stepSeconds"]!);
    const peak = taken.at(-1)!["memory/peakMegabytes"]!;
    const minutes = (steps.total * seconds.at(-1)!) / 60;
    const share = `${((100 * peak) / (forecast.bytes / 1e6)).toFixed(0)} % of the forecast`;
    const line =
      `tried: ${seconds.map((s) => `${s.toFixed(1)} s`).join(", ")} (the first step is compiled, too), so ` +
      `${Number(minutes.toPrecision(2))} minutes for all steps, without evaluations; ${peak.toFixed(0)} MB at the most` +
      (forecast.isOnGpu ? " of the host's memory" : `, ${share}`);
    return { line };
  } catch (error) {
    if (!(error instanceof UserError) || rankCount() > 1) throw error; // other ranks may wait
    return { line: "no step could be tried", failure: error };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A folder of this process for a trial. Those of trials that were killed are removed. */
function makeTrialFolder(): string {
  for (const name of readdirSync(tmpdir())) {
    const pid = /^reft-trial-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    try {
      rmSync(join(tmpdir(), name), { recursive: true });
    } catch {
      // Another user's: it is theirs to remove.
    }
  }
  return mkdtempSync(join(tmpdir(), `reft-trial-${process.pid}-`));
}

/** The same settings with another value at a path. */
function changed(config: Config, path: string, value: unknown): Config {
  const [section, key] = path.split(".") as [keyof Config, string | undefined];
  const inner = config[section] as object | undefined;
  return { ...config, [section]: key === undefined ? value : { ...inner, [key]: value } } as Config;
}

/** Settings that would take at least a hundredth less, the most first. */
function savingsOf({ config, forecast, leastTokens }: Plan): Saving[] {
  const { bytes, guests } = forecast(config);
  const total = bytes + guests;
  const fewer = (path: string, now: number, to: number) => ({ path, from: now, to });
  const { training } = config;
  const slots = "evaluation" in config && "slots" in config.evaluation ? config.evaluation : null;
  const tries: { path: string; from: unknown; to: unknown; says?: string }[] = [
    fewer(
      "training.microBatchTokens",
      training.microBatchTokens,
      Math.max(leastTokens, Math.floor(training.microBatchTokens / 2)),
    ),
    ...(slots ? [fewer("evaluation.slots", slots.slots, Math.ceil(slots.slots / 4))] : []),
    { path: "training.recompute", from: training.recompute ?? false, to: true },
    {
      path: "adapter",
      from: config.adapter && "one",
      to: config.adapter ?? { rank: 16, alpha: 32, targets: "all" },
      says: "adapter: { rank: 16, alpha: 32, targets: all }, which trains an adapter alone,",
    },
  ];
  if (config.adapter)
    tries.push({ path: "model.weights", from: config.model.weights ?? "float32", to: "bf16" });
  if (rankCount() > 1)
    tries.push({
      path: "training.shardOptimizer",
      from: config.training.shardOptimizer ?? false,
      to: true,
    });
  if (config.stage === "reft") {
    tries.push(fewer("rollout.slots", config.rollout.slots, Math.ceil(config.rollout.slots / 4)));
    if (config.ppo)
      tries.push({ path: "ppo.klCoefficient", from: config.ppo.klCoefficient, to: 0 });
  }
  if ("sandbox" in config) tries.push(fewer("sandbox.workers", config.sandbox.workers, 1));
  return tries
    .map(({ path, from, to, says }) => {
      const then = forecast(changed(config, path, to));
      const text = says ?? `${path} ${from} -> ${to}`;
      return { text, bytes: total - then.bytes - then.guests };
    })
    .filter((saving) => saving.bytes >= total / 100)
    .toSorted((a, b) => b.bytes - a.bytes);
}

/** Values of settings, by path. */
export type Chosen = readonly { readonly path: string; readonly value: number }[];

/** Most tokens of a microbatch, and most slots, that --memory-gib takes: beyond them little is gained. */
const enoughTokens = 4096;
export const enoughSlots = 128;

/**
 * Chooses `training.microBatchTokens` and the slots so that the forecast is at most so many GiB: first as many slots as fit beside small
 * microbatches, because generation gains most, then as large microbatches as fit. It depends on settings and data alone.
 *
 * @throws UserError, with the parts, where even the least does not fit
 */
export function fitTraining(
  config: Config,
  gibibytes: number,
): { chosen: Chosen; forecast: Forecast } {
  const { forecast, leastTokens, mostSlots } = planTraining(config);
  const limit = gibibytes * 2 ** 30;
  const chosenOf = (tokens: number, slots: number): Chosen => [
    { path: "training.microBatchTokens", value: tokens },
    ...Object.entries(mostSlots).map(([section, most]) => ({
      path: `${section}.slots`,
      value: Math.min(slots, most),
    })),
  ];
  const forecastOf = (chosen: Chosen) =>
    forecast(chosen.reduce((now, { path, value }) => changed(now, path, value), config));
  const fits = (tokens: number, slots: number) => {
    const { bytes, guests } = forecastOf(chosenOf(tokens, slots));
    return bytes + guests <= limit;
  };
  if (!fits(leastTokens, 1)) {
    const least = forecastOf(chosenOf(leastTokens, 1));
    throw new UserError(
      `memoryGib: expected at least ${((least.bytes + least.guests) / 2 ** 30).toFixed(1)}, which the smallest batches and one response at ` +
        `a time take, found ${gibibytes}: ${partsOf(least)}; train an adapter, with recompute, or raise it`,
    );
  }
  const slots = largestThat(1, enoughSlots, (count) => fits(leastTokens, count));
  const tokens = largestThat(leastTokens, enoughTokens, (count) => fits(count, slots));
  const chosen = chosenOf(tokens, slots);
  return { chosen, forecast: forecastOf(chosen) };
}

function partsOf({ parts, guests }: Forecast): string {
  const all = [...parts, { name: "the sandbox's guests", bytes: guests }];
  return all
    .filter(({ bytes }) => bytes > 0)
    .map(({ name, bytes }) => `${name} ${gigabytes(bytes)}`)
    .join(", ");
}

/** The largest of a number and its doubles, up to another, that holds before one does not; the first does. */
export function largestThat(least: number, most: number, holds: (n: number) => boolean): number {
  return 2 * least <= most && holds(2 * least) ? largestThat(2 * least, most, holds) : least;
}
