// Which checkpoints stay although neither pointer names them: what `checkpoint.keep` says.
import type { Config } from "../config.ts";
import { compareAge, type StepFolder } from "./checkpointFiles.ts";

/**
 * @param folders of a run's checkpoints
 * @param newest the last checkpoint: the newest that counts
 * @returns the names of those that stay; of two copies of a step the newer one
 */
export function keptBy(
  keep: Config["checkpoint"]["keep"],
  folders: readonly StepFolder[],
  newest: StepFolder,
): string[] {
  if (keep === undefined) return [];
  const { last = 0, every } = keep;
  const steps = folders
    .filter((folder) => compareAge(folder, newest) <= 0)
    .toSorted((a, b) => compareAge(b, a))
    .filter(({ step }, i, all) => step !== all[i - 1]?.step);
  const isKept = ({ step }: StepFolder, i: number) =>
    i < last || (every !== undefined && step > 0 && step % every === 0);
  return steps.filter(isKept).map(({ name }) => name);
}
