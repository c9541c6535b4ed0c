// Stages that build on one another, each in a folder of its own: what is done stays, what has changed is made anew together with
// all that reads from it, and nothing else. A former folder is moved aside, never removed.
import { existsSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { sha256 } from "../data/hash.ts";
import { makeFolder } from "../folders.ts";
import { jsonText, parseJson, readText, writeFileAtomically } from "../formats/jsonl.ts";
import type { InputHashes } from "../run/inputs.ts";
import { InterruptedError, takeInterrupt } from "../run/interrupts.ts";
import { describeDifference, differences } from "../run/run.ts";

/** What came out of a stage, by name. */
type Figures = Readonly<Record<string, number>>;

export interface RecipeStage {
  /** Also its folder within the recipe's: `seed-1/reft`. */
  readonly name: string;
  /** All that it is told, without the paths of what it reads: a recipe's folder may be moved. */
  readonly settings: unknown;
  /** What it reads that no stage makes. */
  readonly inputs: InputHashes;
  /** Names of the stages that it reads from; they come before it. */
  readonly reads: readonly string[];
  /** Does the work, or goes on with it in a folder where it was stopped. Returns figures that tell how it went. */
  readonly run: (folder: string) => Promise<Figures>;
}

const recordSchema = z.strictObject({
  key: z.string(),
  settings: z.unknown(),
  inputs: z.record(z.string(), z.string()),
  reads: z.record(z.string(), z.string()), // keys, by the names of the stages
  seconds: z.number(), // added up over interruptions
  result: z.record(z.string(), z.number()).optional(), // of a stage that is done
});
type StageRecord = z.infer<typeof recordSchema>;

/** A stage as it stands in a recipe's folder. */
export interface PlannedStage {
  readonly stage: RecipeStage;
  /** "unfinished" goes on from where it was stopped. */
  readonly state: "done" | "unfinished" | "new";
  /** Why what is there has to be made anew; empty where nothing is, or nothing changed. */
  readonly changes: readonly string[];
  readonly record: StageRecord;
}

/**
 * Compares the stages with what `<folder>/stages/<name>.json` says of earlier calls. Changes nothing.
 *
 * @param stages every one after those that it reads from
 */
export function planStages(folder: string, stages: readonly RecipeStage[]): PlannedStage[] {
  const keys = new Map<string, string>();
  return stages.map((stage) => {
    const planned = planStage(folder, stage, keys);
    keys.set(stage.name, planned.record.key);
    return planned;
  });
}

function planStage(
  folder: string,
  stage: RecipeStage,
  keys: ReadonlyMap<string, string>,
): PlannedStage {
  const reads = Object.fromEntries(stage.reads.map((name) => [name, keys.get(name)!]));
  const told = { settings: stage.settings, inputs: stage.inputs, reads };
  const path = recordIn(folder, stage.name);
  const before = existsSync(path) ? parseJson(readText(path), path, recordSchema) : undefined;
  const changes = before ? changesBetween(before, told) : [];
  const isSame = before !== undefined && changes.length === 0;
  const isThere = before !== undefined && existsSync(join(folder, stage.name));
  if (isSame && isThere)
    return { stage, state: "result" in before ? "done" : "unfinished", changes, record: before };
  // Made again of the same, it comes out the same, and what was made from it stays.
  const record = { key: isSame ? before.key : sha256(JSON.stringify(told)), ...told, seconds: 0 };
  return { stage, state: "new", changes: isThere ? changes : [], record };
}

function changesBetween(
  before: StageRecord,
  now: Pick<StageRecord, "settings" | "inputs" | "reads">,
): string[] {
  return [
    ...differences(before.settings, now.settings)
      .filter(({ path }) => !/^(alarms|checkpoint\.keep)\b/.test(path)) // a run goes on with others
      .map(describeDifference),
    ...differences(before.inputs, now.inputs).map(({ path }) => `${path} has other content`),
    ...differences(before.reads, now.reads).map(({ path }) => `${path} changed`),
  ];
}

/**
 * Runs what is not done, in the order given.
 *
 * @param say told what is about to happen
 * @throws what a stage throws, and InterruptedError after Ctrl-C; the same call then goes on with that stage
 */
export async function runStages(
  folder: string,
  planned: readonly PlannedStage[],
  say: (text: string) => void,
): Promise<void> {
  takeInterrupt(); // one of an earlier call is over
  for (const { stage, state, changes, record } of planned) {
    if (state === "done") continue;
    if (takeInterrupt())
      throw new InterruptedError(`stopped before ${stage.name}; the same command goes on with it`);
    say(`\n${stage.name}`);
    if (changes.length > 0) say(`what was there before is now in ${moveAside(folder, stage.name)}`);
    const path = recordIn(folder, stage.name);
    const keep = (result?: Figures) => {
      const seconds = record.seconds + (performance.now() - begin) / 1000;
      const kept = { ...record, seconds, ...(result !== undefined && { result }) };
      writeFileAtomically(path, jsonText(kept));
    };
    const begin = performance.now();
    keep(); // before the stage's folder is there, so that whatever is found in it has a record
    try {
      makeFolder(join(folder, stage.name));
      keep(await stage.run(join(folder, stage.name)));
    } catch (error) {
      keep();
      throw error;
    }
  }
}

/** Returns the new place of a stage's folder; its record lies beside it. */
function moveAside(folder: string, name: string): string {
  let copy = 1;
  const place = () => join(folder, "replaced", `${name}-${copy}`);
  while (existsSync(place()) || existsSync(`${place()}.json`)) copy++;
  makeFolder(dirname(place()));
  renameSync(join(folder, name), place());
  renameSync(recordIn(folder, name), `${place()}.json`);
  return place();
}

function recordIn(folder: string, name: string): string {
  return join(folder, "stages", `${name}.json`);
}

/** One line per stage: what will be done and why, or what came out and how long it took. */
export function describePlan(planned: readonly PlannedStage[]): string {
  const width = Math.max(...planned.map(({ stage }) => stage.name.length));
  return planned
    .map(({ stage, state, changes, record }) => {
      const told = state === "done" ? outcomeOf(record) : changes.join("; ");
      const plan = changes.length > 0 ? "anew" : plans[state];
      return `  ${plan.padEnd(7)}  ${stage.name.padEnd(width)}  ${told}`.trimEnd();
    })
    .join("\n");
}

const plans = { done: "done", unfinished: "goes on", new: "to do" } as const;

function outcomeOf({ result = {}, seconds }: StageRecord): string {
  const figures = Object.entries(result).map(
    ([name, value]) => `${name} ${Number(value.toPrecision(4))}`,
  );
  return [...figures, `${seconds.toFixed(0)} s`].join(", ");
}
