// Commands that are killed, or whose disk fails, at chosen moments: the same command then ends up with the same bytes as a run to
// which nothing happened. `npm run test:faults` does the same at many more moments.
import { existsSync } from "node:fs";
import pLimit from "p-limit";
import { describe, expect } from "vitest";
import { Rng } from "../../src/rng.ts";
import { testEqualRuns } from "../support/equalRuns.ts";
import {
  type Command,
  failTrial,
  killTrial,
  makeReference,
  type Reference,
  writeCommands,
} from "../support/faults.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const home = temporaryFolder();
const commands = writeCommands(home);
const alone = commands.filter(({ name }) => name !== "launch");

const references = new Map<string, Promise<Reference>>();

/** Made once, when a test needs it. */
function referenceOf(command: Command): Promise<Reference> {
  const reference = references.get(command.name) ?? atOnce(() => makeReference(command, home));
  references.set(command.name, reference);
  return reference;
}

/** As many at once as there are cores on a small machine: most of a command's time is its start. */
const atOnce = pLimit(2);

describe.skipIf(!existsSync("/proc/self/stat"))("ends up the same", { concurrent: true }, () => {
  testEqualRuns.each(alone)("after kills and a power cut: $name", async (command) => {
    const reference = await referenceOf(command);
    const all = ["power cut", "SIGKILL", "SIGKILL"] as const;
    const kinds = /GRPO|^run$/.test(command.name) ? all.slice(0, 1) : all; // what others show, too, or slow
    const chance = Rng.named(1, command.name);
    const { happened, wrong } = await atOnce(() => killTrial(reference, kinds, chance));
    expect(happened.length).toBeGreaterThan(0);
    expect(wrong, happened.join(", then ")).toEqual([]);
  });

  // `reft launch` or its first rank; test/tasks/launch.test.ts kills the second one. One run has all of the kills, each within
  // some two steps of the last one, so that few starts lead to no kill.
  testEqualRuns("after twenty kills: two ranks", { timeout: 900_000 }, async () => {
    const launch = commands.find(({ name }) => name === "launch")!;
    const steps = ["--set", "training.epochs=16", "--set", "evaluation.everyEpochs=16"];
    const long = { ...launch, name: "launch, long", args: [...launch.args, ...steps] };
    const reference = await atOnce(() => makeReference(long, home));
    const moments = reference.moments.slice(0, 2 * Math.ceil(reference.moments.length / 32));
    const kinds = [...Array(20).keys()].map(
      (i) => (["SIGKILL", "at any time", "power cut"] as const)[i % 3]!,
    );
    const { happened, wrong } = await atOnce(() =>
      killTrial(
        { ...reference, moments, milliseconds: reference.milliseconds / 4 },
        kinds,
        Rng.named(1, long.name),
      ),
    );
    expect(wrong, happened.join(", then ")).toEqual([]);
    expect(happened).toHaveLength(20);
  });

  // What each of them found wrong when it was written: the message named no path, or was a defect's.
  testEqualRuns.each([
    ["train-sft", "write metrics.jsonl", "EROFS", true],
    ["train-sft", "fsync checkpoints/.step-000001.tmp", "EIO", false],
    ["sample", "write .trial", "ENOSPC", false],
    ["sample", "write samples.jsonl", "ENOMEM", false],
  ] as const)("after an explained error: %s, %s, %s", async (name, operation, kind, lasting) => {
    const reference = await referenceOf(commands.find((command) => command.name === name)!);
    const at = 1 + reference.moments.findIndex((moment) => moment.startsWith(operation));
    expect(at).toBeGreaterThan(0);
    const trial = await atOnce(() => failTrial(reference, { at, kind, lasting }));
    expect(trial.wrong).toEqual([]);
  });
});
