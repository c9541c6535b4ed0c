// Lets hundreds of hostile programs loose on the sandbox, each with honest ones behind it, in the three ways in which programs run:
// one after the other in guests whose whole memory is compared after each, as rewards in Python, and through `reft execute`; then
// measures how much slower honest programs become where every twentieth is hostile, and runs honest ones while the machine is
// overloaded and guests are killed and stopped.
//   npm run test:attacks
// Prints the tables of docs/sandbox.md; what did harm is named, and the exit code is then 1.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "../src/errors.ts";
import type { Outcome } from "../src/reward/outcome.ts";
import { createPool } from "../src/reward/sandbox/pool.ts";
import { createSandbox, plainGuestStarter } from "../src/reward/sandbox/sandbox.ts";
import { type Attack, withBait } from "../test/support/attacks/attack.ts";
import { asReward, honest, honestReward } from "../test/support/attacks/honest.ts";
import { attacks } from "../test/support/attacks/index.ts";
import { type Fought, fight, type Host, harmOf, layBait } from "../test/support/attacks/run.ts";
import { guestProcesses } from "../test/support/guestProcesses.ts";
import { readOptions, runScript } from "./script.ts";

const values = readOptions("npm run test:attacks --", {
  only: { type: "string", default: "", describe: "Groups whose name contains this" },
  ways: {
    type: "string",
    default: "guest,reward,execute,throughput,overload",
    describe: "Ways in which they run",
  },
});

const timeoutSeconds = 1;
const memoryMegabytes = 512;
/** Programs of which the throughput is measured. */
const PROGRAMS = 600;
const kinds = ["answer", "no-answer", "error", "killed", "timeout"] as const;
const chosen = attacks.filter(({ group }) => group.includes(values.only));

let harmful = 0;
function report({ group, name }: Attack, harm: readonly string[]): void {
  for (const what of harm) console.error(`${group}, ${name}: ${what}`);
  harmful += harm.length;
}

await runScript("test-attacks", async () => {
  const ways = values.ways.split(",");
  const host = await layBait();
  try {
    if (ways.includes("guest")) console.log(groupTable(await inGuests(host)));
    if (ways.includes("reward")) console.log(await asRewards(host));
    if (ways.includes("execute")) console.log(throughExecute(host));
    if (ways.includes("throughput")) console.log(await throughput(host));
    if (ways.includes("overload")) console.log(await overload());
  } finally {
    host.remove();
  }
  console.log(`Node ${process.versions.node}: ${chosen.length} attacks, ${harmful} times harm`);
  if (harmful > 0) throw new UserError("attacks did harm, which stands above");
});

/** Each of them in a guest that goes on where it can; all memory is compared after every program. */
async function inGuests(host: Host): Promise<Map<string, { fought: Fought[]; guests: number }>> {
  let guests = 0;
  const start = plainGuestStarter(memoryMegabytes * 2 ** 20, 1);
  const boot = () => {
    guests++;
    return start();
  };
  const pool = createPool({ size: 1, keepWarm: true, timeoutSeconds, boot });
  const groups = new Map<string, { fought: Fought[]; guests: number }>();
  for (const name of new Set(chosen.map(({ group }) => group))) {
    const before = guests;
    const fought = await fight(
      chosen.filter(({ group }) => group === name),
      host,
      (program) => pool.run(program),
      ({ attack, harm }) => report(attack, harm),
    );
    groups.set(name, { fought, guests: guests - before });
  }
  await pool.close();
  return groups;
}

function groupTable(groups: Awaited<ReturnType<typeof inGuests>>): string {
  const rows = [...groups].map(([name, { fought, guests }]): Row => {
    const counts = kinds.map((kind) => fought.filter((one) => one.kind === kind).length || "");
    return [name, fought.length, ...counts, guests || ""];
  });
  return table(["attacks on", "number", ...kinds, "guests replaced"], rows);
}

type Row = readonly (string | number)[];

function table(head: Row, rows: readonly Row[]): string {
  const lines = [head, head.map(() => "---"), ...rows];
  return lines.map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** Each of them as a reward in Python, and an honest reward behind it. */
async function asRewards({ bait, harm }: Host): Promise<string> {
  const sandbox = await createSandbox({ timeoutSeconds, workers: 1, memoryMegabytes });
  const expected = JSON.stringify({ score: 1, vote: "FOUR" });
  for (const attack of chosen) {
    const outcome = await sandbox.score(asReward(withBait(attack, bait)), "four", { answer: 4 });
    const isScore = { ...attack, may: [...attack.may, "answer"] as const };
    report(attack, [...(outcome.kind === "answer" ? [] : harmOf(isScore, outcome))]);
    report(attack, harm(JSON.stringify(outcome)));
    const next = await sandbox.score(honestReward, "four", { answer: 4 });
    const score = next.kind === "answer" && JSON.stringify(JSON.parse(String(next.value)));
    if (score !== expected) report(attack, [`then an honest reward is ${JSON.stringify(next)}`]);
  }
  await sandbox.close();
  return `${chosen.length} as rewards, each with an honest one behind it`;
}

/** All of them in one file for `reft execute`, an honest program behind each. */
function throughExecute(host: Host): string {
  const folder = mkdtempSync(join(tmpdir(), "attacks-"));
  const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")];
  const programs = chosen.flatMap((attack, index) => [
    { id: `attack ${index}`, program: withBait(attack, host.bait) },
    { id: `honest ${index}`, program: honest[index % honest.length]![0] },
  ]);
  writeFileSync(input, programs.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const limits = [`--timeout-seconds=${timeoutSeconds}`, `--memory-megabytes=${memoryMegabytes}`];
  const files = [`--input=${input}`, `--output=${output}`];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", "tsx", "src/cli.ts", "execute", ...files, ...limits],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new UserError(`reft execute ended with ${status}: ${stderr}`);
  const rows = readFileSync(output, "utf8").trim().split("\n");
  for (const [index, attack] of chosen.entries()) {
    const [hostile, next] = [rows[2 * index], rows[2 * index + 1]].map(
      (row) => JSON.parse(row ?? "null") as { id: string; outcome: Outcome },
    );
    report(attack, [...harmOf(attack, hostile!.outcome), ...host.harm(rows[2 * index]!)]);
    const { id, outcome } = next!;
    const isRight =
      outcome.kind === "answer" && outcome.value === honest[index % honest.length]![1];
    if (id !== `honest ${index}` || !isRight)
      report(attack, [`then an honest program is ${JSON.stringify(next)}`]);
  }
  report(chosen[0]!, host.harm(stdout + stderr));
  rmSync(folder, { recursive: true });
  return stdout.trim();
}

/** Programs per second where 5 % are hostile, by group, beside the same programs without, measured before and after. */
async function throughput({ bait }: Host): Promise<string> {
  const sandbox = await createSandbox({ timeoutSeconds, workers: 2, memoryMegabytes });
  const rate = async (hostile: readonly Attack[]): Promise<number> => {
    const programs = Array.from({ length: PROGRAMS }, (_, index) => {
      const attack = index % 20 === 0 ? hostile[(index / 20) % hostile.length] : undefined;
      return attack ? withBait(attack, bait) : honest[index % honest.length]![0];
    });
    const start = performance.now();
    await Promise.all(programs.map(sandbox.run));
    return (1000 * PROGRAMS) / (performance.now() - start);
  };
  await rate([]); // both guests have had programs
  let before = await rate([]);
  const rows: Row[] = [];
  for (const [name, hostile] of mixtures()) {
    const slowed = await rate(hostile);
    const after = await rate([]);
    const without = (before + after) / 2;
    rows.push([name, without.toFixed(0), slowed.toFixed(0), (slowed / without).toFixed(2)]);
    before = after;
  }
  await sandbox.close();
  return table(["5 % hostile", "without, programs/s", "with, programs/s", "ratio"], rows);
}

/** Each group, and what is spread over all but those that wait for a limit. */
function mixtures(): [name: string, hostile: readonly Attack[]][] {
  const groups = [...new Set(chosen.map(({ group }) => group))];
  const quick = chosen.filter(({ group }) => group !== "time" && group !== "memory");
  return [
    ...groups.map((name): [string, Attack[]] => [name, chosen.filter((a) => a.group === name)]),
    ["all but memory and time", quick.filter((_, index) => index % (quick.length >> 5) === 0)],
  ];
}

/** Honest programs beside 8 busy loops, while guests are killed and stopped one after the other. */
async function overload(): Promise<string> {
  const untilAlone = "const { ppid } = process; while (process.ppid === ppid);";
  const loops = Array.from({ length: 8 }, () => spawn(process.execPath, ["-e", untilAlone]));
  const sandbox = await createSandbox({ timeoutSeconds: 0.5, workers: 2, memoryMegabytes });
  let harmed = 0;
  let known: readonly number[] = [];
  const timer = setInterval(() => {
    const guests = guestProcesses();
    const booted = guests.find((guest) => known.includes(guest)); // one that is stopped while it boots is awaited for minutes
    known = guests;
    if (booted !== undefined) process.kill(booted, harmed++ % 2 === 0 ? "SIGKILL" : "SIGSTOP");
  }, 5000);
  const start = performance.now();
  let [programs, right, masked] = [0, 0, 0];
  while (harmed < 6) {
    const outcomes = await Promise.all(honest.map(([text]) => sandbox.run(text)));
    programs += outcomes.length;
    right += outcomes.filter((o, i) => o.kind === "answer" && o.value === honest[i]![1]).length;
    masked += outcomes.filter(({ kind }) => kind === "infrastructure").length;
  }
  clearInterval(timer);
  await sandbox.close();
  for (const loop of loops) loop.kill("SIGKILL");
  harmful += programs - right - masked;
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  return `beside 8 busy loops, ${harmed} guests killed or stopped in ${seconds} s: of ${programs} honest programs ${right} right, ${masked} infrastructure`;
}
