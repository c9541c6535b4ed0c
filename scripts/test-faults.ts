// Kills every command that goes on where it was stopped, and lets operations on its output fail; then the same command must end up
// with the same bytes as a run to which nothing happened:
//   npm run test:faults -- --kills 200 --faults 20
// Prints the table of docs/reliability.md; what differed is kept and named, and the exit code is then 1.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import { UserError } from "../src/errors.ts";
import { Rng } from "../src/rng.ts";
import {
  failTrial,
  faultsOf,
  killTrial,
  makeReference,
  type Reference,
  type Trial,
  writeCommands,
} from "../test/support/faults.ts";
import { countFrom, readOptions, runScript } from "./script.ts";

const values = readOptions("npm run test:faults --", {
  kills: { type: "string", default: "200", describe: "Kills, of all commands together" },
  faults: { type: "string", default: "20", describe: "Failing operations of each command" },
  only: { type: "string", default: "", describe: "Commands whose name contains this" },
  seed: { type: "number", default: 1, describe: "Chooses the moments of the kills" },
  jobs: { type: "string", default: "2", describe: "Processes at once" },
});

/** What happens to a run one after the other, before it may end. */
const kills = [
  ["SIGKILL", "SIGKILL", "SIGKILL"],
  ["power cut", "power cut", "SIGKILL"],
  ["at any time", "SIGTERM", "SIGHUP"],
  ["SIGKILL", "SIGINT", "SIGSTOP"],
] as const;

await runScript("test-faults", async () => {
  const wanted = countFrom("kills", values.kills);
  const faults = countFrom("faults", values.faults);
  const home = mkdtempSync(join(tmpdir(), "reft-faults-"));
  const atOnce = pLimit(countFrom("jobs", values.jobs));
  const commands = writeCommands(home).filter(({ name }) => name.includes(values.only));
  const rows = await Promise.all(
    commands.map(async (command) => {
      const reference = await atOnce(() => makeReference(command, home));
      const killed = killTrials(reference, Math.ceil(wanted / commands.length), atOnce);
      const failed = faultsOf(reference, faults).map((fault) =>
        atOnce(() => failTrial(reference, fault)),
      );
      return { reference, killed: await killed, failed: await Promise.all(failed) };
    }),
  );
  console.log(table(rows));
  const wrong = rows.flatMap(({ killed, failed }) =>
    [...killed, ...failed].filter((trial) => trial.wrong.length > 0),
  );
  for (const trial of wrong)
    console.error(`\n${trial.happened.join(", then ")}:\n${trial.wrong.join("\n")}`);
  if (wrong.length > 0) throw new UserError(`${wrong.length} trials went wrong; see ${home}`);
  rmSync(home, { recursive: true });
});

/** Kills runs until there were so many kills. */
async function killTrials(
  reference: Reference,
  count: number,
  atOnce: ReturnType<typeof pLimit>,
): Promise<Trial[]> {
  const trials: Trial[] = [];
  for (let left = count; left > 0; ) {
    const chance = Rng.named(values.seed, `${reference.command.name} ${trials.length}`);
    const kinds = kills[trials.length % kills.length]!.slice(0, left);
    const trial = await atOnce(() => killTrial(reference, kinds, chance));
    trials.push(trial);
    left -= Math.max(1, trial.happened.length);
  }
  return trials;
}

interface Row {
  readonly reference: Reference;
  readonly killed: readonly Trial[];
  readonly failed: readonly Trial[];
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(({ reference, killed, failed }) => {
    const equal = [...killed, ...failed].filter(({ wrong }) => wrong.length === 0).length;
    return [
      reference.command.name,
      reference.moments.length,
      killed.reduce((sum, { happened }) => sum + happened.length, 0),
      failed.length,
      `${equal} of ${killed.length + failed.length}`,
    ].join(" | ");
  });
  return [
    "command | moments | kills | failed operations | runs equal",
    "--- | --- | --- | --- | ---",
    ...lines,
  ]
    .map((line) => `| ${line} |`)
    .join("\n");
}
