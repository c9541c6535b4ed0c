// Commands that are killed, or whose disk fails, at chosen moments: the same command then ends up with the same bytes as a run to
// which nothing happened. `npm run test:faults` does the same at many more moments.
import { existsSync } from "node:fs";
import { describe, expect } from "vitest";
import { Rng } from "../../src/rng.ts";
import { testEqualRuns } from "../support/equalRuns.ts";
import {
  type Command,
  failTrial,
  faultsOf,
  killTrial,
  makeReference,
  type Reference,
  writeCommands,
} from "../support/faults.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const home = temporaryFolder();
const commands = writeCommands(home);

const references = new Map<string, Promise<Reference>>();

/** Made once, when a test needs it. */
function referenceOf(command: Command): Promise<Reference> {
  const reference = references.get(command.name) ?? makeReference(command, home);
  references.set(command.name, reference);
  return reference;
}

describe.skipIf(!existsSync("/proc/self/stat"))("ends up the same", () => {
  testEqualRuns.each(commands)("after two kills and a power cut: $name", async (command) => {
    const reference = await referenceOf(command);
    const kinds = ["SIGKILL", "power cut", "SIGKILL"] as const;
    const { happened, wrong } = await killTrial(reference, kinds, Rng.named(1, command.name));
    expect(happened.length).toBeGreaterThan(0);
    expect(wrong, happened.join(", then ")).toEqual([]);
  });

  const short = commands.filter(({ name }) => ["train-sft", "sample"].includes(name));
  testEqualRuns.each(short)("after operations that failed: $name", async (command) => {
    const reference = await referenceOf(command);
    for (const fault of faultsOf(reference, 3)) {
      const { happened, wrong } = await failTrial(reference, fault);
      expect(wrong, happened.join()).toEqual([]);
    }
  });
});
