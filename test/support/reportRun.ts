// Folders of runs and evaluations as a report finds them, made without training.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeJsonl } from "../../src/formats/jsonl.ts";

interface MadeRun {
  /** Lines of metrics.jsonl, step and time added. */
  readonly figures: readonly Readonly<Record<string, unknown>>[];
  /** Completions by the step at which they were measured. */
  readonly completions?: Readonly<Record<number, readonly object[]>>;
  readonly alarms?: readonly object[];
  /** Settings beside the usual ones, as YAML. */
  readonly settings?: string;
}

const usual = `stage: reft
data: { train: data/train.jsonl, dev: data/dev.jsonl, cotKind: python }
rollout: { questionsPerStep: 8, samplesPerQuestion: 4 }
alarms: { maxLogprobGap: 0.01, minExtractedFraction: 0.5 }
`;

/** A run's folder, without weights. The first line of figures is of step 0. */
export function makeRun(folder: string, { figures, completions = {}, alarms, settings }: MadeRun) {
  mkdirSync(join(folder, "checkpoints"), { recursive: true });
  writeFileSync(join(folder, "config.yaml"), `${usual}${settings ?? ""}`);
  const lines = figures.map((values, step) => ({
    ...{ step, epoch: step / 10, time: new Date(Date.UTC(2026, 0, 1, 0, step)).toISOString() },
    ...values,
  }));
  writeJsonl(join(folder, "metrics.jsonl"), lines);
  for (const [step, records] of Object.entries(completions))
    writeJsonl(join(folder, "samples", `step-${step.padStart(6, "0")}.jsonl`), records);
  if (alarms !== undefined) writeJsonl(join(folder, "alarms.jsonl"), alarms);
  return folder;
}

/** A checkpoint of a run by its name alone, and what the pointers say. */
export function makeCheckpoint(run: string, step: number, pointers: readonly ("best" | "last")[]) {
  const name = `step-${String(step).padStart(6, "0")}`;
  mkdirSync(join(run, "checkpoints", name), { recursive: true });
  for (const which of pointers)
    writeFileSync(
      join(run, "checkpoints", `${which}.json`),
      JSON.stringify({ step, folder: name, manifestSha256: "" }),
    );
}

/** A judged completion of a Python program. */
export function completion(
  id: string,
  text: string,
  outcome: object,
  more: Readonly<Record<string, unknown>> = {},
) {
  const correct = (outcome as { value?: unknown }).value === 7;
  return {
    ...{
      id,
      question: `What is ${id}?`,
      answer: 7,
      text,
      outcome,
      score: Number(correct),
      correct,
    },
    ...{ isTruncated: false, ...more },
  };
}
