// Guests that take programs from one queue. A guest that dies or is retired is replaced; only its own program is lost.
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../errors.ts";
import type { Outcome } from "../outcome.ts";
import type { Guest, GuestReply } from "./guestProcess.ts";
import { withinProcessorTime } from "./processorTime.ts";

export interface Pool {
  /** @param isScore as `Guest.ask` */
  run(program: string, isScore?: boolean): Promise<Outcome>;
  /** Kills every guest; programs that have not ended become `infrastructure`. */
  close(): Promise<void>;
}

interface PoolOptions {
  readonly size: number;
  /** Start all guests at once and keep them; otherwise a guest starts with the first program it is needed for. */
  readonly keepWarm: boolean;
  /** Processor time that one program may use. */
  readonly timeoutSeconds: number;
  readonly boot: () => Promise<Guest>;
}

interface Job {
  readonly program: string;
  readonly isScore: boolean;
  readonly resolve: (outcome: Outcome) => void;
  retried: boolean;
}

// The limit is processor time; the longest boot, sympy without a snapshot, takes a third of it.
const BOOT_SECONDS = 60;
const BOOT_ATTEMPTS = 4;

/**
 * Starts guests until one is ready, waiting longer after each failure. From the second attempt on it boots without the
 * snapshot, which may be what is broken; the file, which others use, stays as it is.
 * @throws Error naming the last failure when no guest can boot.
 */
export async function bootGuest(
  start: (snapshot: string | undefined) => Guest,
  snapshot: string | undefined,
): Promise<Guest> {
  for (let attempt = 1; ; attempt++) {
    const guest = start(attempt === 1 ? snapshot : undefined);
    try {
      const booted = await withinProcessorTime(guest, BOOT_SECONDS, guest.ready);
      if (booted === undefined) return guest;
      throw new Error(`the guest was not ready after ${BOOT_SECONDS} s of processor time`);
    } catch (error) {
      if (attempt === BOOT_ATTEMPTS) throw error;
      await sleep(50 * 2 ** attempt);
    }
  }
}

const failures = { N: "no-answer", E: "error", X: "killed" } as const;

/** What the guest's reply means. A finite number travels as Python's shortest text, which is exact. */
export function outcomeOf({ kind, text }: GuestReply): Outcome {
  if (kind === "S") return { kind: "answer", value: text };
  if (kind !== "V") return { kind: failures[kind], message: text.replace(/\p{Cc}+/gu, " ") };
  const value = Number.parseFloat(text) + 0; // -0 + 0 is 0
  if (Number.isFinite(value)) return { kind: "answer", value };
  return { kind: "killed", message: "the program replaced its number by something that is none" };
}

/** Signals that a program inside the guest cannot raise: somebody else ended the process (out of memory, an operator). */
const OUTSIDE_SIGNALS = new Set(["SIGKILL", "SIGTERM", "SIGHUP", "SIGXCPU"]);

/** Runs one program on a guest; kills the guest when it is not to be used again. */
async function runOn(
  guest: Guest,
  { program, isScore }: Job,
  timeoutSeconds: number,
): Promise<Outcome> {
  try {
    const asked = guest.ask(program, isScore);
    const reply = await withinProcessorTime(guest, timeoutSeconds, asked);
    if (reply === "timeout") {
      const message = `no answer within ${timeoutSeconds} s of processor time`;
      return { kind: "timeout", message };
    }
    if (reply === "starved") {
      return { kind: "infrastructure", message: "the guest did not get to compute" };
    }
    if (reply.retire) guest.kill();
    return outcomeOf(reply);
  } catch (error) {
    const how = await guest.exited;
    const kind = OUTSIDE_SIGNALS.has(how) ? "infrastructure" : "killed";
    return { kind, message: messageOf(error) };
  }
}

/** Programs that wait for a guest, and guests that wait for a program. */
function createQueue() {
  const jobs: Job[] = [];
  const idle: (() => void)[] = [];
  let isClosed = false;
  return {
    push(job: Job): void {
      jobs.push(job);
      idle.pop()?.(); // the last one to fall idle has its guest already
    },
    putBack(job: Job): void {
      jobs.unshift(job);
      idle.pop()?.();
    },
    /** @returns undefined when the queue is closed */
    async next(): Promise<Job | undefined> {
      while (!isClosed) {
        const job = jobs.shift();
        if (job) return job;
        await new Promise<void>((wake) => idle.push(wake));
      }
      return undefined;
    },
    /** @returns what nobody takes any more */
    close(): Job[] {
      isClosed = true;
      for (const wake of idle.splice(0)) wake();
      return jobs.splice(0);
    },
  };
}

/** Starts `size` workers, each of which boots a guest and feeds it programs until the pool is closed. */
export function createPool({ size, keepWarm, timeoutSeconds, boot }: PoolOptions): Pool {
  const queue = createQueue();
  const guests = new Set<Guest>();
  let stopped: string | undefined; // why no program can run any more

  const stop = (reason: string) => {
    stopped ??= reason;
    for (const job of queue.close()) job.resolve({ kind: "infrastructure", message: stopped });
    for (const guest of guests) guest.kill();
  };

  const bootOne = async (): Promise<Guest | undefined> => {
    try {
      const guest = await boot();
      guests.add(guest);
      void guest.exited.then(() => guests.delete(guest));
      if (stopped) guest.kill();
      return guest;
    } catch (error) {
      stop(`the sandbox cannot start Python: ${messageOf(error)}`);
      return undefined;
    }
  };

  const settle = (job: Job, outcome: Outcome) => {
    if (outcome.kind === "infrastructure" && !job.retried && !stopped) {
      job.retried = true;
      queue.putBack(job);
    } else if (outcome.kind === "infrastructure" && stopped) {
      job.resolve({ kind: "infrastructure", message: stopped });
    } else job.resolve(outcome);
  };

  const work = async (): Promise<void> => {
    let guest: Guest | undefined;
    for (;;) {
      if (keepWarm && !guest?.isAlive()) guest = await bootOne();
      const job = await queue.next();
      if (!job) return;
      if (!guest?.isAlive()) guest = await bootOne();
      if (!guest) job.resolve({ kind: "infrastructure", message: stopped! });
      else settle(job, await runOn(guest, job, timeoutSeconds));
    }
  };

  const workers = Array.from({ length: size }, work);
  return {
    run(program, isScore = false) {
      return new Promise((resolve) => {
        if (stopped) return resolve({ kind: "infrastructure", message: stopped });
        queue.push({ program, isScore, resolve, retried: false });
      });
    },
    async close() {
      stop("the sandbox was closed");
      await Promise.all(workers);
      await Promise.all([...guests].map((guest) => guest.exited));
    },
  };
}
