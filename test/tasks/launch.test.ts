// Commands on several ranks: they end with the weights of one process, and when one of them fails all end, with one message.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import pLimit from "p-limit";
import { describe, expect } from "vitest";
import { testEqualRuns } from "../support/equalRuns.ts";
import { type Command, writeCommands } from "../support/faults.ts";
import { childrenOf, type EndedProcess, runNode } from "../support/ranks.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { contentOf, metricsOf, weightsIn } from "../support/tiny.ts";

const home = temporaryFolder();
const commands = writeCommands(home);
const atOnce = pLimit(1);

const named = (name: string) => commands.find((command) => command.name === name)!;

/** Runs a command in a folder of the name, as so many ranks; in place of none of them by itself. */
function run(
  { program, args }: Command,
  folder: string,
  ranks: number,
  {
    changes = [],
    ...options
  }: { changes?: readonly string[] } & Parameters<typeof runNode>[1] = {},
): Promise<EndedProcess> {
  const cwd = join(home, folder);
  mkdirSync(cwd, { recursive: true });
  const launch = ranks === 0 ? [] : ["launch", "--processes", String(ranks), "--"];
  return atOnce(() => runNode([program, ...launch, ...args, ...changes], { cwd, ...options }));
}

const output = (folder: string) => join(home, folder, "out");

function lastWeights(folder: string) {
  const checkpoints = join(output(folder), "checkpoints");
  const last = readdirSync(checkpoints)
    .filter((name) => name.startsWith("step-"))
    .toSorted()
    .at(-1)!;
  const file = readdirSync(join(checkpoints, last)).find((name) =>
    /model\.safetensors$/.test(name),
  )!;
  return weightsIn(join(checkpoints, last, file));
}

/** What a run leaves, but for what its memory is thought to be and the number of its tensors. */
function contentBesideMemory(folder: string): Record<string, string> {
  const { metrics, ...others } = contentOf(output(folder));
  return {
    ...others,
    metrics: metrics!.replace(/"memory\/(numTensors|forecastMegabytes)":[\d.]+/g, ""),
  };
}

/** The norm of the difference by that of the weights. */
function distance(one: Record<string, number[]>, other: Record<string, number[]>): number {
  let [square, size] = [0, 0];
  for (const [name, values] of Object.entries(one))
    values.forEach((value, i) => {
      square += (value - other[name]![i]!) ** 2;
      size += value ** 2;
    });
  return Math.sqrt(square / size);
}

/** A rank on each of two hosts, from a port on, started as on two machines. */
function runOnHosts(
  { program, args }: Command,
  changes: readonly string[],
  port: number,
  cwds: readonly string[],
) {
  const file = join(home, `hosts-${port}`);
  const names = ["127.0.0.1", "127.0.0.2"];
  writeFileSync(file, names.map((name, i) => `${name}:${port + i}\n`).join(""));
  return Promise.all(
    names.map((host, i) => {
      const launch = ["launch", "--processes", "1", "--hosts", file, "--host", host, "--"];
      const env = { REFT_JOIN_SECONDS: "60" };
      return runNode([program, ...launch, ...args, ...changes], { cwd: cwds[i]!, env });
    }),
  );
}

/** Two processes that are told their ranks by the environment, from a port on. */
function ranksOn(port: number, start: (env: object) => Promise<EndedProcess>) {
  const REFT_HOSTS = `127.0.0.1:${port},127.0.0.1:${port + 1}`;
  const env = { REFT_HOSTS, REFT_JOIN_SECONDS: "20", TF_CPP_MIN_LOG_LEVEL: "3" };
  return Promise.all([0, 1].map((rank) => start({ ...env, REFT_RANK: String(rank) })));
}

describe("ranks", () => {
  testEqualRuns.each(["train-sft", "train-reft, GRPO"])(
    "end as one process does, whatever their number: %s",
    async (name) => {
      const folder = (ranks: number) => `${name} on ${ranks}`;
      const samplesOf = (ranks: number) =>
        Object.entries(contentOf(output(folder(ranks)))).filter(([path]) =>
          path.startsWith("samples"),
        );
      const train = async (ranks: number) => {
        const { code, stderr } = await run(named(name), folder(ranks), ranks);
        expect(code, stderr).toBe(0);
        return lastWeights(folder(ranks));
      };
      const one = await train(0);
      for (const ranks of [2, 3, 4]) {
        expect(distance(one, await train(ranks)), `${ranks} ranks`).toBeLessThan(1e-6);
        expect(samplesOf(ranks), `${ranks} ranks`).toEqual(samplesOf(0));
      }
    },
  );

  testEqualRuns("repeat a run bit for bit, on two hosts, with moments shared out", async () => {
    const changes = ["--set", "training.shardOptimizer=true"];
    const cwd = join(home, "again");
    mkdirSync(cwd);
    const again = await runOnHosts(named("train-sft"), changes, 27_000, [cwd, cwd]);
    expect(
      again.map(({ code }) => code),
      again[1]!.stderr,
    ).toEqual([0, 0]);
    expect(contentBesideMemory("again")).toEqual(contentBesideMemory("train-sft on 2"));
    const forecastOf = (of: string) => metricsOf(output(of))[0]!["memory/forecastMegabytes"];
    expect(forecastOf("again")).toBeLessThan(forecastOf("train-sft on 2") as number);
  });

  testEqualRuns("plan together, and leave nothing", async () => {
    const changes = ["--dry-run"];
    const { code, stdout, stderr } = await run(named("train-sft"), "planned", 2, { changes });
    expect(code, stderr).toBe(0);
    expect(stdout.match(/, of each of 2 ranks:/g)).toHaveLength(1);
    expect(stdout).toMatch(/ exchange with other ranks +\d/);
    expect(stdout).toMatch(/\ntried: .* MB at the most/);
    expect(existsSync(output("planned"))).toBe(false);
  });

  testEqualRuns("goes on after a rank is killed, also as one process", async () => {
    const settings = ["training.epochs=10", "evaluation.everyEpochs=10", "checkpoint.everySteps=2"];
    const changes = settings.flatMap((setting) => ["--set", setting]);
    const killed = await run(named("train-sft"), "killed", 2, {
      changes,
      started: async (pid) => {
        const metrics = join(output("killed"), "metrics.jsonl");
        while (!existsSync(metrics) || readFileSync(metrics, "utf8").split("\n").length < 4)
          await setTimeout(20);
        process.kill(childrenOf(pid)[1]!, "SIGKILL");
      },
    });
    expect(killed.code).toBe(1);
    expect(killed.stderr.trimEnd().split("\n").at(-1)).toMatch(
      /^reft train-sft: rank 1 \(127\.0\.0\.1:\d+\) is gone; .* goes on from the last checkpoint$/,
    );
    expect((await run(named("train-sft"), "killed", 0, { changes })).code).toBe(0);
    expect(metricsOf(output("killed")).map(({ step }) => step)).toEqual(
      [...Array(20).keys()].map((step) => step + 1),
    );
  });

  testEqualRuns(
    "end when what has started them is killed before they have found each other",
    async () => {
      const changes = ["training.epochs=5000", "evaluation.everyEpochs=5000"];
      await run(named("train-sft"), "abandoned", 2, {
        changes: changes.flatMap((setting) => ["--set", setting]),
        started: async (pid) => {
          while (childrenOf(pid).length < 2) await setTimeout(1);
          process.kill(pid, "SIGKILL");
        },
      });
      const steps = existsSync(join(output("abandoned"), "metrics.jsonl"))
        ? metricsOf(output("abandoned"))
        : [];
      expect(steps.length).toBeLessThan(3);
    },
  );

  testEqualRuns("of which one reads another file end with its name", async () => {
    const train = readFileSync(join(home, "train.jsonl"), "utf8");
    const cwds = [train, train.replace("has", "had")].map((own, rank) => {
      const cwd = join(home, `host-${rank}`);
      mkdirSync(cwd);
      writeFileSync(join(cwd, "own.jsonl"), own);
      return cwd;
    });
    const changes = ["--set", "data.train=own.jsonl"];
    const planned = [...changes, "--dry-run"];
    const ended = [
      ...(await runOnHosts(named("train-sft"), changes, 27_100, cwds)),
      ...(await runOnHosts(named("train-sft"), planned, 27_150, cwds)),
    ];
    for (const { code, stderr } of ended) {
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /expected the same files on all ranks, found others on rank 1 than on rank 0:\n {2}train: "/,
      );
    }
  });

  testEqualRuns("that have gone astray end, and save nothing of it", async () => {
    const folder = join(home, "drift");
    const file = "test/support/driftingRank.ts";
    const ended = await ranksOn(27_200, (env) =>
      runNode(["--import", "tsx", file, folder], { env }),
    );
    for (const { code, stderr } of ended) {
      expect(code).toBe(1);
      // Whoever notices it later may be told by the other before it says so itself.
      expect(stderr).toMatch(/ended: (rank \d: )?step 2: expected the same weights on all ranks/);
    }
    expect(readdirSync(join(folder, "checkpoints"))).toContain("step-000001");
    expect(readdirSync(join(folder, "checkpoints"))).not.toContain("step-000002");
  });

  testEqualRuns("are not more than a machine can bear", async () => {
    const { code, stderr } = await run(named("train-sft"), "many", 1000);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^reft launch: --processes: expected at most \d+, 4 for each processor core, found 1000; .*\n$/,
    );
  });

  testEqualRuns(
    "wait so long for one that does not come, and say whose port is taken",
    async () => {
      const { program, args } = named("train-sft");
      const env = { REFT_RANK: "0", REFT_HOSTS: "127.0.0.1:27300,127.0.0.1:27301" };
      const alone = { ...env, REFT_JOIN_SECONDS: "2", TF_CPP_MIN_LOG_LEVEL: "3" };
      const late = await runNode([program, ...args], { cwd: home, env: alone });
      expect(late.code).toBe(1);
      expect(late.stderr).toContain(
        "rank 0: expected 2 ranks within 2 seconds (REFT_JOIN_SECONDS), found 1;",
      );
      const server = createServer().listen(27_300);
      const taken = await runNode([program, ...args], { cwd: home, env: alone });
      server.close();
      expect(taken.code).toBe(1);
      expect(taken.stderr).toContain("rank 0: expected the port of 127.0.0.1:27300 to be free");
    },
  );
});
