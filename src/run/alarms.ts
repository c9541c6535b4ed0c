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
