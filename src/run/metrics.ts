// What a run writes down as it goes: one line of figures per step, one per alarm, and samples of what the model wrote.
import * as fs from "node:fs";
import { join } from "node:path";
import { UserError, withPath } from "../errors.ts";
import { type Disk, replaceFile } from "../formats/disk.ts";

/** What of a run its records need. */
interface Recorder {
  readonly folder: string;
  readonly disk: Disk;
}

export interface StepPosition {
  /** Steps completed, this one included; 0 is the state before training. */
  readonly step: number;
  /** Passes over the data completed, with the fraction of the present one. */
  readonly epoch: number;
}

/** A line of metrics.jsonl. */
export interface MetricsRecord {
  readonly step: number;
  /** ISO 8601. */
  readonly time: string;
  /** Text where a figure is not finite. */
  readonly [name: string]: number | string;
}

/**
 * Appends `{step, epoch, time, ...metrics}` to metrics.jsonl. Call it before the step's checkpoint is saved.
 * JSON has no NaN and no infinities: they are written as text.
 *
 * @returns what the line says
 */
export function logMetrics(
  run: Recorder,
  { step, epoch }: StepPosition,
  metrics: Readonly<Record<string, number>>,
): MetricsRecord {
  const record = { step, epoch, time: new Date().toISOString(), ...metrics };
  run.disk.append(metricsIn(run.folder), lineOf(record));
  return record;
}

/** The lines of metrics.jsonl of a run that is open. */
export function readMetrics(runFolder: string): MetricsRecord[] {
  return linesOf(metricsIn(runFolder))
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** Something that a run warns of, or stops for. */
export interface Alarm {
  readonly name: string;
  /** What it was raised for. */
  readonly figures: Readonly<Record<string, number>>;
  readonly message: string;
}

/** Appends `{step, name, figures, message}` to alarms.jsonl, under the same rules as logMetrics. */
export function logAlarm(run: Recorder, step: number, { name, figures, message }: Alarm): void {
  run.disk.append(alarmsIn(run.folder), lineOf({ step, name, figures, message }));
}

function lineOf(record: object): string {
  const plain = (_: string, value: unknown) =>
    typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
  return `${JSON.stringify(record, plain)}\n`;
}

/**
 * Writes samples/step-000123.jsonl: what the model wrote at a step, with the outcomes.
 */
export function writeSamples(run: Recorder, step: number, samples: readonly object[]): void {
  writeRecords(run, "samples", step, samples);
}

/** Writes rollouts/step-000123.jsonl: responses that a step has learned from, with the figures of their rewards. */
export function writeRollouts(run: Recorder, step: number, responses: readonly object[]): void {
  writeRecords(run, "rollouts", step, responses);
}

/**
 * Writes calibration/step-000123.jsonl: a reliability table, one bin per line.
 */
export function writeCalibration(run: Recorder, step: number, bins: readonly object[]): void {
  writeRecords(run, "calibration", step, bins);
}

/** Folders of a run with one file per step, for some of the steps. */
const recordFolders = ["samples", "rollouts", "calibration"] as const;
type RecordKind = (typeof recordFolders)[number];

function writeRecords(
  run: Recorder,
  kind: RecordKind,
  step: number,
  records: readonly object[],
): void {
  const text = records.map((record) => `${JSON.stringify(record)}\n`).join("");
  run.disk.makeFolder(join(run.folder, kind));
  replaceFile(run.disk, recordsIn(run.folder, kind, step), text);
}

/** The file of a measurement's samples, which is there where something was measured. */
export function samplesIn(runFolder: string, step: number): string {
  return recordsIn(runFolder, "samples", step);
}

function recordsIn(runFolder: string, kind: RecordKind, step: number): string {
  return join(runFolder, kind, `step-${String(step).padStart(6, "0")}.jsonl`);
}

/**
 * Checks the lines of metrics.jsonl and alarms.jsonl that a run keeps when it goes on. What comes after them may be anything, as a crash leaves it.
 *
 * @param step of the checkpoint that it goes on from
 * @throws UserError when one of them is damaged or not there
 */
export function checkMetrics(runFolder: string, step: number): void {
  checkAlarms(runFolder, step);
  const steps = linesOf(metricsIn(runFolder)).map(stepOf);
  // A file that the user has moved away begins anew after the checkpoint from which the run went on.
  const isNew = steps.length === 0 || steps[0] === step + 1;
  const kept = steps.slice(0, 1 + steps.findLastIndex((other) => other <= step));
  const first = kept[0] ?? step;
  const wrong = [...kept, undefined].findIndex((other, i) => other !== first + i);
  if ((isNew && kept.length === 0) || (wrong === kept.length && kept.at(-1) === step)) return;
  const found = kept[wrong] ?? Number.POSITIVE_INFINITY;
  throw new UserError(
    `${metricsIn(runFolder)}:${wrong + 1}: expected the figures of step ${first + wrong}, because the checkpoint is of step ${step}, ` +
      `found ${Number.isFinite(found) ? `those of step ${found}` : "none that are whole"}; ` +
      "put the file back, or move it away to go on without the figures so far",
  );
}

/** An alarm may be missing where there was none, but what stands before a later one has to be whole. */
function checkAlarms(runFolder: string, step: number): void {
  const steps = linesOf(alarmsIn(runFolder)).map(stepOf);
  const wrong = steps.findIndex((other) => other > step);
  if (wrong === -1 || !steps.slice(wrong).some((other) => other <= step)) return;
  throw new UserError(
    `${alarmsIn(runFolder)}:${wrong + 1}: expected an alarm of step ${step} or before, because one follows, found none that is whole; ` +
      "put the file back, or move it away to go on without the alarms so far",
  );
}

/**
 * Drops the records of steps after the checkpoint that a run resumes from, which will be made again: the files then
 * end up as those of a run that was never stopped. A line cut off by a crash is such a record.
 */
export function dropRecordsAfter(run: Recorder, step: number): void {
  for (const path of logsIn(run.folder)) {
    const lines = linesOf(path);
    const kept = lines.filter((line) => stepOf(line) <= step);
    if (kept.length < lines.length - 1 || (lines.at(-1) ?? "") !== "")
      replaceFile(run.disk, path, kept.map((line) => `${line}\n`).join(""));
  }
  for (const kind of recordFolders) {
    const folder = join(run.folder, kind);
    for (const name of fs.existsSync(folder) ? fs.readdirSync(folder) : []) {
      const number = /^\.?step-(\d+)\.jsonl(\.tmp)?$/.exec(name)?.[1];
      if (number !== undefined && Number(number) > step) run.disk.remove(join(folder, name));
    }
  }
}

/** Waits until the device has the lines logged so far. */
export function syncMetrics(run: Recorder): void {
  for (const path of logsIn(run.folder)) if (fs.existsSync(path)) run.disk.sync(path);
}

/** The step of a line; a line that is not whole belongs to no step that was completed. */
function stepOf(line: string): number {
  try {
    const { step } = JSON.parse(line) as { step?: unknown };
    return typeof step === "number" ? step : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** The lines of a file, the last one empty where it ends as it should; none where there is no file. */
function linesOf(path: string): string[] {
  return fs.existsSync(path) ? withPath(path, () => fs.readFileSync(path, "utf8")).split("\n") : [];
}

export function metricsIn(runFolder: string): string {
  return join(runFolder, "metrics.jsonl");
}

/** The machine, and how long the data is: what about.ts writes. */
export function aboutIn(runFolder: string): string {
  return join(runFolder, "about.json");
}

export function alarmsIn(runFolder: string): string {
  return join(runFolder, "alarms.jsonl");
}

function logsIn(runFolder: string): string[] {
  return [metricsIn(runFolder), alarmsIn(runFolder)];
}
