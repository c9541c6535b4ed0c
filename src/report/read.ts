// A run's folder, read for a report. Nothing in it is changed, and what a run lacks that an older version made is left out.
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.ts";
import { linesOf } from "../formats/jsonl.ts";
import { readablePointer, stepFolders } from "../run/checkpointFiles.ts";
import { aboutIn, alarmsIn, metricsIn } from "../run/metrics.ts";
import { settingsByPath } from "../run/run.ts";
import { readSettings } from "../settings.ts";
import type { Alarm, Axes, CheckpointMark, Curve, DataFile, RunData } from "./data.ts";
import { figureOf } from "./figures.ts";
import { readableJson } from "./lenient.ts";
import { curveOf, short } from "./thin.ts";

/** A line of metrics.jsonl. What is not finite is text there. */
type Step = Readonly<Record<string, unknown>> & { readonly step: number };

/** By its path: `ppo.gamma`. */
export type Settings = ReadonlyMap<string, unknown>;

/** Is there a run in this folder? */
export function isRun(folder: string): boolean {
  return existsSync(configIn(folder)) && existsSync(join(folder, "checkpoints"));
}

/** Has a run taken its first step, or measured what it starts from? */
export function hasBegun(folder: string): boolean {
  const path = metricsIn(folder);
  return existsSync(path) && statSync(path).size > 0;
}

export function settingsOf(folder: string): Settings {
  return settingsByPath(readSettings(configIn(folder), []).values);
}

function configIn(folder: string): string {
  return join(folder, "config.yaml");
}

/** @throws UserError when it has no figures yet, or files that cannot be read */
export function readRun(folder: string, name: string): RunData {
  const settings = settingsOf(folder);
  const steps = stepsOf(folder);
  const axes = axesOf(steps, settings);
  const curves = curvesOf(steps);
  const limits = curves.flatMap((curve) => {
    const { limit = "" } = figureOf(curve.name) ?? {};
    const value = settings.get(limit);
    return typeof value === "number" ? [[curve.name, value] as const] : [];
  });
  const about = aboutOf(folder);
  const time = (step: Step | undefined) => (typeof step?.time === "string" ? step.time : "");
  return {
    name,
    folder,
    stage: String(settings.get("stage") ?? ""),
    began: time(steps[0]),
    ended: time(steps.at(-1)),
    axes,
    epochs: short(Number(steps.at(-1)!.epoch ?? 0)),
    curves,
    limits: Object.fromEntries(limits),
    alarms: alarmsOf(folder),
    checkpoints: checkpointsOf(folder),
    data: dataOf(settings, about?.files ?? []),
    machine: about?.machine ?? {},
  };
}

function stepsOf(folder: string): Step[] {
  const path = metricsIn(folder);
  if (!existsSync(path))
    throw new UserError(
      `${path}: expected a run's figures, found no such file; let the run go on until its first step`,
    );
  const steps = jsonLines(path, stepSchema);
  if (steps.length > 0) return steps;
  throw new UserError(
    `${path}: expected a line of figures per step, found none; let the run go on until its first step`,
  );
}

const stepSchema = z.looseObject({ step: z.int() });
const alarmSchema = z.looseObject({
  step: z.int(),
  name: z.string().default("alarm"),
  message: z.string(),
});

/** The values of the lines that are whole: a run may be writing the last one. */
function jsonLines<T>(path: string, schema: z.ZodType<T>): T[] {
  return [...linesOf(path)].flatMap((line) => readableJson(line, schema) ?? []);
}

function axesOf(steps: readonly Step[], settings: Settings): Axes {
  let [minutes, samples] = [0, 0];
  const perStep = samplesPerStep(settings);
  const columns = steps.map((figures, i) => {
    const seconds = figures["time/stepSeconds"];
    minutes += typeof seconds === "number" ? seconds / 60 : 0;
    const rounds = figures["rollout/rounds"];
    const taken = figures.step - (steps[i - 1]?.step ?? 0);
    samples += taken * perStep * (typeof rounds === "number" ? rounds : 1);
    return { step: figures.step, minutes: short(minutes), samples };
  });
  return {
    step: columns.map(({ step }) => step),
    samples: columns.map((column) => column.samples),
    minutes: columns.map((column) => column.minutes),
  };
}

/** Examples of an update, or responses of a rollout. */
function samplesPerStep(settings: Settings): number {
  const number = (path: string) => Number(settings.get(path) ?? Number.NaN);
  const batch = number("training.batchSize");
  const rollout = number("rollout.questionsPerStep") * number("rollout.samplesPerQuestion");
  return [rollout, batch].find((size) => Number.isFinite(size)) ?? 1;
}

const notFigures = ["step", "epoch", "time"];

function curvesOf(steps: readonly Step[]): Curve[] {
  const names = new Set(steps.flatMap((step) => Object.keys(step)));
  const places = steps.map(({ step }) => step);
  return [...names]
    .filter((name) => !notFigures.includes(name))
    .map((name) =>
      curveOf(
        name,
        steps.map((step) => numberOf(step[name])),
        places,
      ),
    );
}

/** JSON has no NaN and no infinities: they are written as text. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" ? Number(value) : undefined;
}

/** Older versions wrote none. */
function alarmsOf(folder: string): Alarm[] {
  const path = alarmsIn(folder);
  if (!existsSync(path)) return [];
  return jsonLines(path, alarmSchema).map(({ step, name, message }) => ({ step, name, message }));
}

function checkpointsOf(folder: string): CheckpointMark[] {
  const [best, last] = [readablePointer(folder, "best"), readablePointer(folder, "last")];
  return stepFolders(folder)
    .toReversed()
    .map(({ name, step }) => ({
      step,
      isBest: best?.folder === name,
      isLast: last?.folder === name,
    }));
}

const manifestSchema = z.looseObject({
  files: z.record(z.string(), z.looseObject({ rows: z.int() })),
});

const lengthsSchema = z.looseObject({ median: z.int(), at95: z.int(), most: z.int() });
const aboutSchema = z.looseObject({
  machine: z.record(z.string(), z.string()),
  files: z.array(
    z.looseObject({
      setting: z.string(),
      rows: z.int(),
      tooLong: z.int(),
      prompt: lengthsSchema,
      completion: lengthsSchema.optional(),
    }),
  ),
});

/** Older versions wrote none. */
function aboutOf(folder: string): z.infer<typeof aboutSchema> | undefined {
  const path = aboutIn(folder);
  return existsSync(path) ? readableJson(readFileSync(path, "utf8"), aboutSchema) : undefined;
}

function dataOf(settings: Settings, files: z.infer<typeof aboutSchema>["files"]): DataFile[] {
  return [...settings]
    .filter(([path]) => /^data\.(train|dev|test|samples|devSamples)$/.test(path))
    .map(([setting, path]) => ({
      setting,
      path: String(path),
      rows: rowsOf(String(path)),
      read: files.find((file) => file.setting === setting) ?? null,
    }));
}

/** As the manifest that prepare-data wrote beside a file counts it. */
function rowsOf(path: string): number | null {
  const manifest = join(dirname(path), "manifest.json");
  if (!existsSync(manifest)) return null;
  const data = readableJson(readFileSync(manifest, "utf8"), manifestSchema);
  return data?.files[basename(path)]?.rows ?? null;
}
