// A run that begins where another one was: its weights, its optimizer's moments and its position in the data, with settings of its
// own. The other run is read and never changed.
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Config } from "../config.ts";
import { show, UserError } from "../errors.ts";
import { adapterOf } from "../model/adapter.ts";
import { readClassifierConfig } from "../model/classifier.ts";
import { checkHoldsModel } from "../model/model.ts";
import { shellFlags } from "../terminal.ts";
import {
  type Checkpoint,
  type CheckpointOwner,
  loadCheckpoint,
  resolveModelFolder,
} from "./checkpoint.ts";
import {
  checkpointsIn,
  damageOf,
  fingerprint,
  type Manifest,
  manifestName,
  readablePointer,
  readManifest,
  stepFolders,
  type Which,
} from "./checkpointFiles.ts";

/** How a training may begin. */
export interface ForkOptions {
  /** Begin where another run was: `RUN@STEP` for a checkpoint that it keeps, `RUN@best` or `RUN@last`. */
  readonly fork?: string | undefined;
}

/** Where a run began, as its checkpoints keep it. */
export type Origin = NonNullable<Manifest["forkedFrom"]>;

interface Place {
  readonly run: string;
  readonly which: Which | number;
}

/** @throws UserError for what names no checkpoint of a run */
function parsePlace(fork: string): Place {
  const [, run, which] = /^(.+)@(best|last|\d+)$/.exec(fork) ?? [];
  if (run === undefined)
    throw new UserError(
      `fork: expected RUN@STEP, RUN@best or RUN@last, for example runs/tiny-reft@30, found ${show(fork)}`,
    );
  return { run, which: which === "best" || which === "last" ? which : Number(which) };
}

/**
 * Finds and checks the checkpoint to begin from. Changes nothing.
 *
 * @param config of the run that begins there
 * @returns the checkpoint, without the state, which is the other run's
 * @throws UserError when it is not kept or damaged, or what it trains is not what the settings train
 */
export function findFork(
  fork: string,
  config: Config,
): { readonly checkpoint: Checkpoint; readonly origin: Origin } {
  const { run, which } = parsePlace(fork);
  if (!existsSync(checkpointsIn(run)))
    throw new UserError(
      `fork: expected a run's folder, with checkpoints/, at ${run}, found none there; check the path`,
    );
  const folder = folderOf(run, which);
  const damage = damageOf(folder);
  if (damage !== undefined) throw new UserError(`fork: ${damage}. ${keptIn(run)}`);
  const { step, config: before } = readManifest(folder);
  checkTrains(fork, folder, before as Config, config);
  const manifestSha256 = fingerprint(join(folder, manifestName)).sha256;
  return {
    checkpoint: { folder, step, state: undefined },
    origin: { run, step, manifestSha256 },
  };
}

function folderOf(run: string, which: Which | number): string {
  const found =
    typeof which === "number"
      ? stepFolders(run).find(({ step }) => step === which)?.name
      : loadCheckpoint(run, which)?.folder;
  if (found !== undefined) return join(checkpointsIn(run), basename(found));
  const wanted = typeof which === "number" ? `of step ${which}` : `named ${which}`;
  throw new UserError(
    `fork: expected a checkpoint ${wanted} in ${run}, found none. ${keptIn(run)}. ` +
      "checkpoint.keep says which ones a run keeps",
  );
}

/** `It keeps those of steps 30 (best), 60 (last)` */
function keptIn(run: string): string {
  const named = (name: string) =>
    (["best", "last"] as const).filter((which) => readablePointer(run, which)?.folder === name);
  const kept = stepFolders(run).map(({ name, step }) => {
    const names = named(name);
    return names.length > 0 ? `${step} (${names.join(", ")})` : String(step);
  });
  return kept.length > 0
    ? `It keeps those of steps ${kept.toReversed().join(", ")}`
    : "It has no checkpoint";
}

/** @throws UserError when weights and moments are not those of what the settings train */
function checkTrains(fork: string, folder: string, before: Config, now: Config): void {
  const refuse = (what: string, expected: unknown, found: unknown) => {
    throw new UserError(
      `fork: ${fork} was made with ${what} ${show(expected)}, but the settings have ${show(found)}: ` +
        "give it the same, or take its weights alone (model.init)",
    );
  };
  if (before.stage !== now.stage) refuse("stage", before.stage, now.stage);
  const adapters = [before, now].map(({ adapter }) =>
    adapter ? JSON.stringify(adapterOf(adapter)) : "none",
  );
  if (adapters[0] !== adapters[1]) refuse("adapter", adapters[0], adapters[1]);
  const advantages = [before, now].map((config) =>
    "ppo" in config && config.ppo ? config.ppo.advantages : "none",
  );
  const hasValueHead = advantages.map((way) => way === "gae");
  if (hasValueHead[0] !== hasValueHead[1]) refuse("ppo.advantages", advantages[0], advantages[1]);
  if (before.model.init !== undefined && before.model.init === now.model.init) return;
  const scratch = "scratch" in now.model ? now.model.scratch : undefined;
  const wanted = scratch ?? checkHoldsModel(resolveModelFolder(now.model.init!));
  const found = now.stage === "rerank" ? readClassifierConfig(folder) : checkHoldsModel(folder);
  for (const size of ["vocabSize", "dim", "layers", "heads", "kvHeads", "ffnDim"] as const)
    if (wanted[size] !== found[size]) refuse(`a model of ${size}`, found[size], wanted[size]);
}

/** How to go back to before something went wrong. @param step the last one before it */
export function wayBack({ folder, config }: CheckpointOwner, step: number): string {
  const lower = "a lower optimizer.learningRate";
  const home = checkpointsIn(folder);
  const from = stepFolders(folder)
    .filter((other) => other.step <= step)
    .find(({ name }) => damageOf(join(home, name)) === undefined);
  if (from === undefined)
    return `No checkpoint from before it is kept (checkpoint.keep): start again with ${lower}`;
  const flags = {
    config: join(folder, "config.yaml"),
    fork: `${folder}@${from.step}`,
    output: `${folder}-from-${from.step}`,
    set: `optimizer.learningRate=${config.optimizer.learningRate / 2}`,
  };
  return (
    `Step ${from.step} is the newest checkpoint from before it; from there with ${lower}: ` +
    `npx train-${config.stage} ${shellFlags(flags)}`
  );
}

/** @throws UserError when a run that goes on did not begin where it is said to have begun */
export function checkOrigin(folder: string, origin: Origin | undefined, fork: string): void {
  const { run, which } = parsePlace(fork);
  const isSameStep = typeof which !== "number" || which === origin?.step;
  if (origin && isSameStep && resolve(run) === resolve(origin.run)) return;
  const found = origin ? `one from ${origin.run}@${origin.step}` : "one that is no fork";
  throw new UserError(
    `${folder}: expected a run forked from ${fork}, or a new folder for it, found ${found}; give another folder`,
  );
}
