// What goes wrong in a run while it goes on: said at once, and kept in alarms.jsonl.
import { UserError } from "../errors.ts";
import { say } from "../terminal.ts";
import { type CheckpointOwner, whatIsSafe } from "./checkpoint.ts";
import { type Alarm, logAlarm } from "./metrics.ts";

/** Warns of something at a step. */
export function raiseAlarm(run: CheckpointOwner, step: number, alarm: Alarm): void {
  logAlarm(run, step, alarm);
  say(`warning: step ${step}: ${alarm.message}`);
}

/** The error of a step that stops its run, which is then not kept. @param advice what to do about it */
export function stopsRun(
  run: CheckpointOwner,
  step: number,
  { message, ...alarm }: Alarm,
  advice: string,
): UserError {
  logAlarm(run, step, { ...alarm, message });
  return new UserError(`step ${step}: ${message}. ${whatIsSafe(run.folder)}. ${advice}`);
}

/** The error of a step that is not kept because of figures that are not finite. @param where says more of where they are */
export function notFinite(
  run: CheckpointOwner,
  step: number,
  figures: Alarm["figures"],
  where = "",
): UserError {
  const message = `${describeFigures(figures)}, expected finite numbers${where}; the step is not kept`;
  const advice =
    "Lower optimizer.learningRate and start again in another folder, from a checkpoint of this run (option fork) or from the start";
  return stopsRun(run, step, { name: "notFinite", figures, message }, advice);
}

function describeFigures(figures: Alarm["figures"]): string {
  const found = Object.entries(figures).map(([name, value]) => `${name} is ${value}`);
  return found.join(", ");
}

/** Steps of which updates were left out because a number in them is not finite. */
export interface Skips {
  /**
   * @param skipped the figures that are not finite, of each update that a step left out
   * @returns what the step logs of it
   * @throws UserError after more such steps in a row than a run may have
   */
  after(step: number, skipped: readonly Alarm["figures"][]): Alarm["figures"];
  /** Such steps up to now, without another one between. */
  inARow(): number;
}

/**
 * Counts the steps in a row that are skipped, warns of each, and stops the run after too many.
 *
 * @param most in a row: odd data makes one now and then, weights that have gone wrong make all
 * @param before in a row when the run goes on
 */
export function createSkips(run: CheckpointOwner, most = 3, before = 0): Skips {
  let inARow = before;
  return {
    after(step, skipped) {
      inARow = skipped.length > 0 ? inARow + 1 : 0;
      if (inARow === 0) return {};
      const figures: Alarm["figures"] = Object.assign({}, ...skipped);
      const times = inARow > 1 ? ` in ${inARow} steps in a row` : "";
      const where = `${times} (alarms.maxSkippedSteps is ${most})`;
      if (inARow > most) throw notFinite(run, step, figures, where);
      const updates = skipped.length === 1 ? "an update is" : `${skipped.length} updates are`;
      raiseAlarm(run, step, {
        ...{ name: "notFinite", figures },
        message: `${describeFigures(figures)}: ${updates} left out, weights and moments stay as they were`,
      });
      return { "train/skippedUpdates": skipped.length };
    },
    inARow: () => inARow,
  };
}
