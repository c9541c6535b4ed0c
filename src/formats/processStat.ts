// What Linux says of a process. Reference: proc_pid_stat(5).
import { readFileSync } from "node:fs";
import { isErrno } from "../errors.ts";

/**
 * The fields of /proc/PID/stat from the third, the state, on; the second, the name in parentheses, may hold blanks.
 *
 * @returns undefined where there is no /proc, or no such process
 */
export function processStat(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch (error) {
    // ESRCH: a process that ended while its file was read.
    if (isErrno(error, "ENOENT") || isErrno(error, "ESRCH")) return undefined;
    throw error;
  }
}
