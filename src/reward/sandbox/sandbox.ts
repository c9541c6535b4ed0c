// Runs generated Python programs where they can do no harm. What it stops, and what not: docs/sandbox.md.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { JsonValue } from "../../data/json.ts";
import { messageOf, UserError } from "../../errors.ts";
import { madeBySetup } from "../../setup.ts";
import type { Outcome } from "../outcome.ts";
import { selfTest } from "./breakouts.ts";
import { type GuestKind, plainGuest, sympyGuest, ZONES_WHEEL } from "./guestKinds.ts";
import { type Guest, startGuest } from "./guestProcess.ts";
import { bootGuest, createPool, type Pool } from "./pool.ts";
import { withinProcessorTime } from "./processorTime.ts";
import { cachedSnapshot } from "./snapshot.ts";

export interface SandboxOptions {
  /** Processor time that one program may use; with 20 times as much by the clock it ends in any case. */
  readonly timeoutSeconds: number;
  /** Guests that run at the same time; each takes about 250 MB. */
  readonly workers: number;
  /** Limit of Python's memory in one guest; beyond it a program gets a MemoryError. */
  readonly memoryMegabytes: number;
}

export interface Sandbox {
  /** Runs one program and calls its `solution()`. Never rejects. */
  run(program: string): Promise<Outcome>;
  /**
   * Calls `score(answer, row)` of a Python file. What it gets is data, whatever it says: it can neither become a part of the
   * program nor choose the guest. An outcome that is an answer has the result as JSON. Never rejects.
   */
  score(source: string, answer: string, row: JsonValue): Promise<Outcome>;
  /** Ends every guest; programs still waiting become `infrastructure`. */
  close(): Promise<void>;
}

// Written there by the set-up, pinned by hash.
const wheelFolder = madeBySetup("python");

// Comparing all of memory takes the time of five programs.
const VERIFY_EVERY = 1000;

// The limit is processor time; the self-test takes a tenth of a second.
const SELF_TEST_SECONDS = 30;
const SELF_TEST_ATTEMPTS = 3;

const mentionsSympy = (program: string) => /\b(sympy|mpmath)\b/.test(program);
const mentionsZones = (program: string) => /\b(zoneinfo|tzdata)\b/.test(program);

function checkOptions({ timeoutSeconds, workers, memoryMegabytes }: SandboxOptions): void {
  const within = (name: string, value: number, low: number, high: number) => {
    if (value >= low && value <= high) return;
    throw new UserError(`${name}: expected ${low} to ${high}, found ${value}`);
  };
  within("timeoutSeconds", timeoutSeconds, 0.05, 120);
  within("workers", workers, 1, 256);
  within("memoryMegabytes", memoryMegabytes, 64, 4096);
  if (!Number.isInteger(workers)) {
    throw new UserError(`workers: expected a whole number, found ${workers}`);
  }
}

/**
 * A program that returns what `score(answer, row)` gives, as JSON; what JSON cannot say, as NaN, in Python's own words. What JSON
 * quotes, Python reads as the same text.
 */
function scoring(source: string, answer: string, row: JsonValue): string {
  const values = JSON.stringify(JSON.stringify([answer, row]));
  return `${source}

def solution():
    import json
    result = score(*json.loads(${values}))
    try:
        return json.dumps(result, allow_nan=False, default=repr)
    except ValueError:
        return json.dumps(repr(result))
`;
}

/** How guests of one kind are started; the snapshot is looked up, or made, once. */
function guestStarter(
  kind: GuestKind,
  maxMemoryBytes: number,
  verifyEvery: number,
): () => Promise<Guest> {
  const settings = { ...kind, maxMemoryBytes, verifyEvery };
  let snapshot: Promise<string | undefined> | undefined;
  return async () => {
    snapshot ??= cachedSnapshot(settings);
    return bootGuest(
      (path) => startGuest({ ...settings, ...(path && { snapshot: path }) }),
      await snapshot,
    );
  };
}

/** Starts guests for programs that need the standard library and time zones only, outside any pool. */
export const plainGuestStarter = (
  maxMemoryBytes: number,
  verifyEvery = VERIFY_EVERY,
  wheels = wheelFolder,
): (() => Promise<Guest>) => guestStarter(plainGuest(wheels), maxMemoryBytes, verifyEvery);

/** Boots one guest, attacks it, and throws it away. A guest that ends before the attacks do gives way to another. */
async function proveClosed(boot: () => Promise<Guest>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const guest = await boot().catch((error) => {
      throw new UserError(
        `the sandbox cannot start Python: ${messageOf(error)}. Expected node_modules/pyodide, permission to start ` +
          "processes and about 250 MB of memory for each; if they are there, run the set-up again.",
      );
    });
    try {
      const ask = async (program: string) => (await guest.ask(program)).text;
      const passed = await withinProcessorTime(guest, SELF_TEST_SECONDS, selfTest(ask));
      if (passed === undefined) return;
      throw new Error(`no end within ${SELF_TEST_SECONDS} s of processor time`);
    } catch (error) {
      if (error instanceof UserError) throw error;
      if (attempt < SELF_TEST_ATTEMPTS) continue;
      throw new UserError(
        `the sandbox's self-test failed ${attempt} times: ${messageOf(error)}. Expected about 250 MB of free memory for a ` +
          "guest, and nothing that ends it; run the command again, on a less busy machine.",
      );
    } finally {
      guest.kill();
    }
  }
}

/**
 * Starts `workers` guests and proves on one more that the known ways out are closed.
 * Programs that mention sympy run in guests of their own, started when first needed. They, and programs that mention
 * zoneinfo, get an `infrastructure` outcome where the set-up has not brought what they need.
 * @throws UserError for options out of range, when Python cannot start, or when a way out is open.
 */
export async function createSandbox(
  options: SandboxOptions,
  wheels = wheelFolder,
): Promise<Sandbox> {
  checkOptions(options);
  const { workers: size, timeoutSeconds } = options;
  const maxMemoryBytes = options.memoryMegabytes * 1024 * 1024;
  const boot = plainGuestStarter(maxMemoryBytes, VERIFY_EVERY, wheels);
  const plain = createPool({ size, keepWarm: true, timeoutSeconds, boot });
  await proveClosed(boot).catch(async (error) => {
    await plain.close();
    throw error;
  });
  const hasZones = existsSync(join(wheels, ZONES_WHEEL));
  let sympy: Pool | undefined;
  const sympyPool = (): Pool | undefined => {
    const kind = sympyGuest(wheels);
    if (!kind.wheels.every((wheel) => existsSync(wheel))) return undefined;
    const bootSympy = guestStarter(kind, maxMemoryBytes, VERIFY_EVERY);
    return createPool({ size, keepWarm: false, timeoutSeconds, boot: bootSympy });
  };

  const missing = (what: string): Outcome => ({
    kind: "infrastructure",
    message: `the program uses ${what}, which is not in ${wheels}: run the set-up`,
  });

  /** @param written the part of the program that decides what it needs */
  const runProgram = async (program: string, written: string, isScore: boolean) => {
    if (mentionsZones(written) && !hasZones) return missing("tzdata");
    if (!mentionsSympy(written)) return plain.run(program, isScore);
    sympy ??= sympyPool();
    return sympy ? sympy.run(program, isScore) : missing("sympy");
  };

  return {
    run: (program) => runProgram(program, program, false),
    score: (source, answer, row) => runProgram(scoring(source, answer, row), source, true),
    async close() {
      await Promise.all([plain.close(), sympy?.close()]);
    },
  };
}
