// Which checkpoint a run goes on from, and which one is its best. The pointers say so; where one is lost or wrong, the folders
// themselves do. Nothing is changed before all of it has been read, and only what is provably superseded is ever removed.
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { UserError } from "../errors.ts";
import {
  adviceFor,
  type Checkpoint,
  type CheckpointOwner,
  loadCheckpoint,
  writePointer,
} from "./checkpoint.ts";
import {
  checkpointsIn,
  compareAge,
  damageOf,
  type Manifest,
  manifestName,
  parseName,
  pointerIn,
  readablePointer,
  readManifest,
  readPointer,
  type StepFolder,
  stepFolders,
  unfinishedIn,
} from "./checkpointFiles.ts";
import { keptBy } from "./keep.ts";

/** What a run goes on from, and what has to be put right for that. */
export interface Resumption {
  readonly checkpoint: Checkpoint;
  readonly manifest: Manifest;
  /** Does last.json name another checkpoint, or none? */
  readonly isFound: boolean;
  /** The folder that best.json has to name, null where it must name none, undefined where it can stay as it is. */
  readonly best: string | null | undefined;
  /** A newer checkpoint whose save was cut off before it became the last one: the run comes to it again. */
  readonly cutOff: string | undefined;
  /** For the user: what was found other than the pointers say. */
  readonly notes: readonly string[];
}

/**
 * Finds the checkpoint to go on from, and the best one. Changes nothing.
 *
 * A run ends up the same whichever of its checkpoints it goes on from. So the newest whole one is taken when last.json is lost,
 * wrong or older. Where a still newer one is known to have been there, but is damaged or was not copied, the user decides.
 *
 * @returns undefined when the run has no checkpoint yet
 * @throws UserError that says what is wrong with the newest one, and how to go on from another one
 */
export function findResumption(runFolder: string): Resumption | undefined {
  const { folder, cutOff } = newestCheckpoint(runFolder);
  if (folder === undefined) return undefined;
  const manifest = readManifest(folder);
  const { step, state } = manifest;
  const name = basename(folder);
  const isFound = readablePointer(runFolder, "last")?.folder !== name;
  const best = findBest(runFolder, manifest);
  const found = `${pointerIn(runFolder, "last")} does not name the newest checkpoint; going on from ${name}, which is whole`;
  return {
    ...{ checkpoint: { folder, step, state }, manifest, isFound, best: best.name, cutOff },
    notes: [...(isFound ? [found] : []), ...(best.note === undefined ? [] : [best.note])],
  };
}

function newestCheckpoint(runFolder: string): { folder?: string; cutOff?: string } {
  const last = readablePointer(runFolder, "last");
  if (last === undefined) return { ...newestUnnamed(runFolder) };
  const home = checkpointsIn(runFolder);
  // One that is damaged does not count: the user may have pointed at an older one because of that.
  const newer = stepFolders(runFolder)
    .filter((folder) => compareAge(folder, parseName(last.folder)!) > 0)
    .find(({ name }) => damageOf(join(home, name)) === undefined);
  if (newer === undefined) return { folder: loadCheckpoint(runFolder, "last")!.folder };
  const isCutOff = readManifest(join(home, newer.name)).previous === last.manifestSha256;
  if (isCutOff && damageOf(join(home, last.folder), last) === undefined)
    return { folder: join(home, last.folder), cutOff: newer.name };
  return { folder: join(home, newer.name) };
}

/** Without last.json: the newest of the folders and of what best.json names. */
function newestUnnamed(runFolder: string): { folder?: string } {
  const best = readablePointer(runFolder, "best");
  const known: StepFolder[] = [
    ...stepFolders(runFolder),
    ...(best ? [parseName(best.folder)!] : []),
  ];
  const [newest] = known.toSorted((a, b) => compareAge(b, a));
  if (newest === undefined) {
    for (const which of ["last", "best"] as const) readPointer(runFolder, which); // or it throws
    return {};
  }
  const folder = join(checkpointsIn(runFolder), newest.name);
  const damage = damageOf(folder, best?.folder === newest.name ? best : {});
  if (damage === undefined) return { folder };
  throw new UserError(`${damage}. ${adviceFor(runFolder, newest.name)}`);
}

/** The best checkpoint as the one says it that a run goes on from, whose state has its score. */
function findBest(
  runFolder: string,
  { step, best }: Manifest,
): { name?: string | null; note?: string } {
  const path = pointerIn(runFolder, "best");
  const named = readablePointer(runFolder, "best")?.folder;
  const isThere = (name: string) => existsSync(join(checkpointsIn(runFolder), name, manifestName));
  const namedStep = named !== undefined && isThere(named) ? parseName(named)!.step : undefined;
  if (best === undefined || best === namedStep) return {}; // or a checkpoint from before it said so
  const isCutOff = namedStep !== undefined && namedStep > step; // the run comes to it again
  if (best === null) {
    if (!existsSync(path)) return {};
    const note = `${path} is removed: up to step ${step} there is no best checkpoint`;
    return { name: null, ...(!isCutOff && { note }) };
  }
  const folder = stepFolders(runFolder).find((other) => other.step === best && isThere(other.name));
  if (folder === undefined) {
    const note = `the best checkpoint, of step ${best}, is gone; only a better one takes its place`;
    return isCutOff ? {} : { note };
  }
  const note = `${path} does not name the best checkpoint, which is ${folder.name}; it does from now on`;
  return { name: folder.name, ...(!isCutOff && { note }) };
}

/** Puts the pointers right, the best one first as when a checkpoint is saved, and removes what is superseded or unfinished. */
export function settleCheckpoints(run: CheckpointOwner, resumption: Resumption | undefined): void {
  const remove = (names: readonly string[]) => {
    for (const name of names) run.disk.remove(join(checkpointsIn(run.folder), name));
  };
  remove(unfinishedIn(run.folder));
  if (resumption === undefined) return;
  const { best, isFound, checkpoint } = resumption;
  if (best === null) run.disk.remove(pointerIn(run.folder, "best"));
  else if (best !== undefined) writePointer(run, "best", best);
  if (isFound) writePointer(run, "last", basename(checkpoint.folder));
  remove(supersededIn(run, resumption));
}

/** Checkpoints older than the last one that no rule keeps, if the best one is known and whole, and one whose save was cut off. */
function supersededIn(run: CheckpointOwner, resumption: Resumption): string[] {
  const { folder: runFolder, config } = run;
  const { checkpoint, manifest, cutOff } = resumption;
  const last = parseName(basename(checkpoint.folder))!;
  const best = readablePointer(runFolder, "best");
  const all = stepFolders(runFolder);
  const kept = keptBy(config.checkpoint.keep, all, last);
  const others = all
    .filter((folder) => compareAge(folder, last) < 0 || folder.name === cutOff)
    .map(({ name }) => name)
    .filter((name) => name !== best?.folder && !kept.includes(name));
  if (others.length === 0 || manifest.best === null) return others;
  if (best === undefined || parseName(best.folder)!.step !== (manifest.best ?? best.step))
    return [];
  return damageOf(join(checkpointsIn(runFolder), best.folder), best) === undefined ? others : [];
}
