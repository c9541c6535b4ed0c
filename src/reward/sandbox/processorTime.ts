// Processor time of another process, and a limit by it: what a program gets does not depend on how busy the machine is.
import { processStat } from "../../formats/processStat.ts";

const TICKS_PER_SECOND = 100; // USER_HZ, the same on all of Linux's architectures that Node runs on

/** A process that does not get to compute, as when somebody has stopped it, is given up after so many times its seconds. */
const WALL_CLOCK_FACTOR = 20;

// How soon it is worth looking again: two ticks.
const SHORTEST_WAIT_SECONDS = 0.02;

/**
 * Seconds that all threads of a process have computed, in steps of 0.01.
 * Reference: proc_pid_stat(5), fields 14 (utime) and 15 (stime).
 *
 * @returns undefined where there is no /proc, or no such process
 */
export function processorSeconds(pid: number): number | undefined {
  try {
    const fields = processStat(pid);
    return fields && (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}

/** What is limited: a process, or what stands for one. */
interface Limited {
  readonly processorSeconds: () => number | undefined;
  kill(): void;
}

/** Why a process was killed before it had done its work: it computed too long, or did not get to compute. */
export type Ended = "timeout" | "starved";

/**
 * Waits for what a process does, and kills the process once it has computed for `seconds` from now ("timeout"), or has had 20
 * times as long to do so ("starved"). Where its processor time cannot be read the clock counts.
 *
 * The waiting counts as planned, not by the clock: while this process itself is busy, a reply may be lying there unread.
 */
export async function withinProcessorTime<T>(
  limited: Limited,
  seconds: number,
  work: Promise<T>,
): Promise<T | Ended> {
  const start = limited.processorSeconds();
  let waited = 0;
  let ended: Ended | undefined;
  let timer: NodeJS.Timeout;
  const look = () => {
    const now = limited.processorSeconds();
    const used = start === undefined || now === undefined ? waited : now - start;
    if (used >= seconds) ended = "timeout";
    else if (waited >= WALL_CLOCK_FACTOR * seconds) ended = "starved";
    if (ended) limited.kill();
    else lookAfter(seconds - used);
  };
  const lookAfter = (rest: number) => {
    const pause = Math.max(rest, SHORTEST_WAIT_SECONDS);
    waited += pause;
    timer = setTimeout(look, pause * 1000);
  };
  lookAfter(seconds);
  try {
    return await work;
  } catch (error) {
    if (ended) return ended;
    throw error;
  } finally {
    clearTimeout(timer!);
  }
}
