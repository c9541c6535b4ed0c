// The frame of a training run, the same for every stage: take a step, write its figures down, measure and save now and then, show
// how far it is, stop on Ctrl-C. What a step does, and what is measured and saved, is the stage's.
import { join } from "node:path";
import type { JsonValue } from "../data/json.ts";
import { tracedFunctions } from "../engine/compile.ts";
import type { AdamW } from "../engine/optimizer.ts";
import { liveTensors } from "../engine/tf.ts";
import { UserError } from "../errors.ts";
import { makeFolder } from "../folders.ts";
import { createProgress, doing, type ProgressFields } from "../progress.ts";
import { gather, isLeader, onAnyRank, rankCount } from "../ranks.ts";
import { saveCheckpoint } from "./checkpoint.ts";
import { wayBack } from "./fork.ts";
import { InterruptedError, type Interrupts } from "./interrupts.ts";
import { type MemoryWatch, peakMegabytes } from "./memoryWatch.ts";
import { logMetrics, type StepPosition } from "./metrics.ts";
import type { Run } from "./run.ts";
import { openBoard } from "./tensorboard.ts";

/** Figures by their names in metrics.jsonl. */
export type Figures = Readonly<Record<string, number>>;

export interface StepPlan {
  /** Stands before the progress. */
  readonly label: string;
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  /** Whether what the run starts from is the first candidate for the best checkpoint. */
  readonly measuresStart: boolean;
  /** The last step is measured in any case. */
  readonly measureEverySteps: number;
  /** What is measured is saved in any case; null: nothing else. */
  readonly saveEverySteps: number | null;
  readonly memory: MemoryWatch;
  /** Takes the first so many steps alone: nothing is measured or saved. */
  readonly trialSteps?: number | undefined;
}

export interface Measurement {
  readonly figures: Figures;
  /** Whether it is the best so far. */
  readonly isBest: boolean;
}

/** Something for the user to decide on. */
export interface Pause {
  readonly message: string;
  /** Steps in a row for which it was so. */
  readonly steps: number;
}

/** What a stage brings to the frame. */
export interface StepParts {
  /** What the steps change. */
  readonly trained: Pick<AdamW, "fingerprint" | "sendMoments" | "endSending">;
  /** Takes one step, counted from 0. */
  step(step: number): Figures | Promise<Figures>;
  /** Measures the weights after so many steps. */
  measure(done: number): Measurement | Promise<Measurement>;
  /** Writes a checkpoint's model, and into the inner folder what only resuming needs. */
  save(folder: string, training: string): void;
  /** What a checkpoint remembers beside its files. Plain data. */
  state(): JsonValue;
  /** Why the run should pause after the step just taken; undefined where it should not. */
  pauses?(): Pause | undefined;
  /** Short figures beside the progress, after a step. */
  shown(figures: Figures): ProgressFields;
}

/**
 * Takes the steps that a run has not taken yet.
 *
 * @throws UserError where a step or a file fails, or a step that has been saved asks for a pause; InterruptedError after Ctrl-C, with a checkpoint of the step that was under way
 */
export async function runSteps(
  run: Run,
  interrupts: Interrupts,
  plan: StepPlan,
  parts: StepParts,
): Promise<void> {
  const { stepsPerEpoch, measureEverySteps, saveEverySteps, memory, trialSteps } = plan;
  const isTrial = trialSteps !== undefined;
  const totalSteps = Math.min(plan.totalSteps, trialSteps ?? plan.totalSteps);
  const save = (step: number, isBest: boolean, keepsAll = false) =>
    saveStep(run, parts, { step, isBest, keepsAll });
  const board = run.config.logging?.tensorboard && isLeader() ? openBoard(run) : undefined;
  const log = (position: StepPosition, figures: Figures) => {
    const record = logMetrics(run, position, figures);
    board?.add(record);
  };
  const firstStep = run.resumeFrom?.step ?? 0;
  if (run.startsFork) checkFork(firstStep, totalSteps);
  const takeStep = async (step: number) => {
    using _ = step === firstStep ? doing("compiling the first step") : undefined;
    return await parts.step(step);
  };
  const progress = createProgress(plan.label, totalSteps, { start: firstStep });
  try {
    if (!isTrial && (run.startsFork || (plan.measuresStart && !run.resumeFrom))) {
      const { figures } = await parts.measure(firstStep);
      log({ step: firstStep, epoch: firstStep / stepsPerEpoch }, figures);
      await save(firstStep, true);
    }
    for (let step = firstStep; step < totalSteps; step++) {
      const startedAt = performance.now();
      const taken = await takeStep(step);
      const done = step + 1;
      const costs = costsOf(startedAt, memory);
      const pause = isTrial ? undefined : parts.pauses?.();
      const stops = onAnyRank(await interrupts.requested()) || pause !== undefined;
      const isLast = done === totalSteps;
      const isMeasured = !isTrial && (isLast || done % measureEverySteps === 0);
      const measured = isMeasured ? await parts.measure(done) : undefined;
      const figures = { ...taken, ...costs, ...measured?.figures };
      log({ step: done, epoch: done / stepsPerEpoch }, figures);
      progress.update(done, { ...parts.shown(figures), memory: gigabytes(figures) });
      const isDue = saveEverySteps !== null && done % saveEverySteps === 0;
      if (!isTrial && (isMeasured || stops || isDue))
        await save(done, measured?.isBest ?? false, pause !== undefined);
      if (pause)
        throw new UserError(
          `step ${done}: ${pause.message}. ${wayBack(run, done - pause.steps)}. The step is saved: the same command goes on after it`,
        );
      if (stops && !isLast)
        throw new InterruptedError(
          isTrial
            ? "stopped; nothing of the run was begun"
            : `stopped after step ${done}; the same command goes on from there`,
        );
    }
  } finally {
    progress.stop();
  }
  if (!isTrial && firstStep < totalSteps) memory.report();
}

/** The first rank saves; the others go on when it has. */
async function saveStep(
  run: Run,
  parts: StepParts,
  which: { readonly step: number; readonly isBest: boolean; readonly keepsAll: boolean },
): Promise<void> {
  checkWeights(which.step, parts.trained);
  const save = () =>
    saveCheckpoint(run, {
      ...which,
      state: parts.state(),
      writeFiles: (folder) => {
        const training = join(folder, "training");
        makeFolder(training);
        parts.save(folder, training);
      },
    });
  if (!isLeader()) return parts.trained.sendMoments();
  await save();
  parts.trained.endSending();
}

/** @throws UserError when ranks that have made the same updates have different weights */
function checkWeights(step: number, trained: StepParts["trained"]): void {
  if (rankCount() === 1) return;
  const hashes = gather([trained.fingerprint()]);
  const other = hashes.findIndex((hash) => hash !== hashes[0]);
  if (other < 0) return;
  throw new UserError(
    `step ${step}: expected the same weights on all ranks, found other ones on rank ${other} than on rank 0: they have not computed ` +
      "the same, as unlike processors or memory that fails do not. Nothing of this step is saved; the same command goes on from the last checkpoint",
  );
}

/** @throws UserError for a fork that would have no step left */
function checkFork(firstStep: number, totalSteps: number): void {
  if (firstStep < totalSteps) return;
  throw new UserError(
    `fork: expected a checkpoint from before step ${totalSteps}, with which this run ends, found one of step ${firstStep}; ` +
      "raise training.epochs or training.maxSteps, or take an earlier one",
  );
}

/** What a step took. */
function costsOf(startedAt: number, memory: MemoryWatch): Figures {
  return {
    "time/stepSeconds": (performance.now() - startedAt) / 1000,
    "memory/peakMegabytes": peakMegabytes(),
    "memory/forecastMegabytes": memory.forecastMegabytes,
    "memory/numTensors": liveTensors(),
    "memory/tracedFunctions": tracedFunctions(),
  };
}

/** For the progress: so many tokens were learned from, or sampled, in the step of these figures. */
export function tokensPerSecond(tokens: number, figures: Figures): ProgressFields {
  return { "tok/s": (tokens / figures["time/stepSeconds"]!).toFixed(0) };
}

function gigabytes({ "memory/peakMegabytes": megabytes }: Figures): string {
  return `${(megabytes! / 1000).toFixed(1)}GB`;
}
