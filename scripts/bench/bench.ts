// The benchmark: our side and PyTorch's take turns at the same work with the same weights and tokens. docs/performance.md.
//   npm run bench -- --help
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Precision } from "../../src/config.ts";
import { countFrom, readOptions, runScript } from "../script.ts";
import {
  allowFor,
  type Check,
  compareAnswers,
  compareLengths,
  compareTokens,
  compareUpdates,
  requireAgreement,
} from "./agreement.ts";
import { operationsOf, productOperations } from "./arithmetic.ts";
import { cache, chosen, modelFolder, root, startOurs, writeJob } from "./common.ts";
import { commit, describeMachine, load } from "./machine.ts";
import { preparePeer } from "./python.ts";
import { type Figures, type Result, saveResult, table } from "./report.ts";
import { type Reply, type Side, startSide, timeToOutput } from "./side.ts";
import {
  createJob,
  drawBatches,
  jobOf,
  type Kind,
  type ModelName,
  modelConfig,
  modelNames,
  unitsOf,
  type Variant,
  type Work,
  works,
} from "./workloads.ts";

const peerScript = join(import.meta.dirname, "peer.py");

/** Steps before the clock: compared between the sides, and enough to have traced every shape. */
const warmupSteps = 2;
/** Steps of matrix products alone, the first of which traces. */
const peakRounds = 6;
/** Prompts that are also continued greedily. */
const greedyPrompts = 4;

interface Options {
  /** The interpreter with the peer's packages, when there is to be a peer. */
  readonly python: string | undefined;
  readonly variants: readonly Variant[];
  readonly rounds: number;
  readonly threads: number;
  readonly precision: Precision;
}

/** Runs one piece of work on all sides, in turns. @throws Error when they disagree */
async function measure(work: Work, model: ModelName, options: Options): Promise<Result> {
  const { threads, precision, python, rounds } = options;
  const loadBefore = load();
  const batches = drawBatches(work, model);
  const arithmetic = work.kind !== "rewards" && {
    gigaOperations:
      operationsOf(work.kind as Kind, modelConfig(model), batches, work.trainsAdapter) / 1e9,
    peak: await measurePeak(model, options),
  };
  const jobPath = writeJob(jobOf(work, batches, { model: modelFolder(model), threads, precision }));
  const peerCommand = [python ?? "", peerScript, jobPath];
  const ours = startOurs(jobPath, threads);
  const peers = options.variants
    .filter((variant) => python && work.goals[variant] !== undefined)
    .map((variant) => ({
      variant,
      side: startSide(
        variant,
        variant === "compile" ? [...peerCommand, "--compile"] : peerCommand,
        threads,
      ),
    }));
  const sides = [ours, ...peers.map(({ side }) => side)];
  try {
    const first = new Map<Side, number>();
    const found: Check[] = [];
    for (let step = 0; step < warmupSteps; step++) {
      const reply = await ours.ask({ do: "step" });
      if (step === 0) first.set(ours, reply.seconds!);
      for (const { side } of peers) {
        // A ReFT step goes on from what our side sampled, so that its updates can be compared.
        const given = work.kind === "reft" ? { responses: reply.responses! } : {};
        const other = await side.ask({ do: "step", ...given });
        if (step === 0) first.set(side, other.seconds!);
        const wanted = batches.flat().map(({ response }) => response.length);
        found.push(...compare(work, wanted, reply, other));
        if (work.kind === "rollout" && step === 0)
          found.push(...(await compareText(ours, side, reply, precision)));
      }
    }
    const checks = allowFor(precision, found);
    requireAgreement(`${work.name} ${model}`, checks);
    // So far the peer has not sampled.
    if (work.kind === "reft") for (const side of sides) await side.ask({ do: "step" });

    const replies = new Map<Side, Reply[]>(sides.map((side) => [side, []]));
    for (let round = 0; round < rounds; round++) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed())
        replies.get(side)!.push(await side.ask({ do: "step" }));
    }
    const figuresOf = async (side: Side): Promise<Figures> => {
      const usage = await side.ask({ do: "usage" });
      const rolloutSeconds = replies.get(side)!.flatMap((reply) => reply.rolloutSeconds ?? []);
      return {
        seconds: replies.get(side)!.map(({ seconds }) => seconds!),
        // Programs run in other processes, whose time this is not.
        ...(work.kind !== "rewards" && {
          processorSeconds: replies.get(side)!.map(({ processorSeconds }) => processorSeconds!),
        }),
        firstSeconds: first.get(side)!,
        peakMegabytes: usage.peakMegabytes!,
        ...(usage.traces !== undefined && { traces: usage.traces }),
        ...(rolloutSeconds.length > 0 && { rolloutSeconds }),
      };
    };
    const peerFigures: Partial<Record<Variant, Figures>> = {};
    for (const { variant, side } of peers) peerFigures[variant] = await figuresOf(side);
    return {
      ...describe(work, model, loadBefore),
      units: unitsOf(work, batches),
      ...arithmetic,
      ours: await figuresOf(ours),
      peers: peerFigures,
      checks: worst(checks),
    };
  } finally {
    for (const side of sides) await side.close();
    rmSync(jobPath);
  }
}

function compare(work: Work, wanted: readonly number[], ours: Reply, peer: Reply): Check[] {
  switch (work.kind) {
    case "sft":
    case "rerank":
      return compareUpdates(ours, peer);
    case "rollout":
      return [compareLengths(ours, wanted), compareLengths(peer, wanted)];
    case "reft":
      return [
        compareLengths(ours, wanted),
        compareTokens("logprobs", ours, peer),
        compareTokens("values", ours, peer),
        compareAnswers("scores", ours, peer),
        ...compareUpdates(ours, peer),
      ];
    default:
      return [compareAnswers("answers", ours, peer)];
  }
}

/** What our side reaches with the model's largest matrix products and nothing else: 10^9 operations per second, the best of a few. */
async function measurePeak(model: ModelName, { threads, precision }: Options): Promise<number> {
  const jobPath = writeJob(
    createJob({ kind: "products", model: modelFolder(model), threads, precision, batches: [] }),
  );
  const side = startOurs(jobPath, threads);
  try {
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round < peakRounds; round++)
      least = Math.min(least, (await side.ask({ do: "step" })).seconds!);
    return productOperations(modelConfig(model)) / least / 1e9;
  } finally {
    await side.close();
    rmSync(jobPath);
  }
}

/** Log-probabilities of what we sampled, and whether what we call likeliest is so for the peer, up to rounding. */
async function compareText(
  ours: Side,
  peer: Side,
  sampled: Reply,
  precision: Precision,
): Promise<Check[]> {
  const scored = await peer.ask({ do: "score", responses: sampled.responses! });
  const mine = await ours.ask({ do: "greedy", prompts: greedyPrompts });
  const theirs = await peer.ask({ do: "greedy", prompts: greedyPrompts });
  const { gap } = await peer.ask({ do: "score", responses: mine.responses! });
  const [a, b] = [mine, theirs].map(({ responses }) => responses!.map((row) => row.join()));
  const greedyLimit = precision === "bf16" ? 4e-4 : 1e-4; // allowFor makes it 0.02; the peer's bf16 logits are 0.008 apart
  const different = a!.filter((row, i) => row !== b![i]).length;
  return [
    compareTokens("logprobs", sampled, scored),
    { name: "greedy tokens' log-probability and the largest", value: gap!, limit: greedyLimit },
    { name: "greedy responses", value: different, limit: 1 }, // one may break a tie the other way
  ];
}

/** Per name the check that was nearest to its limit. */
function worst(checks: readonly Check[]): Check[] {
  const byName = new Map<string, Check>();
  for (const check of checks) {
    if (check.value >= (byName.get(check.name)?.value ?? 0)) byName.set(check.name, check);
  }
  return [...byName.values()];
}

/** From the start of a process to the first token that it has written, as a user waits for it. */
async function measureLoading(work: Work, model: ModelName, options: Options): Promise<Result> {
  const { threads, python, rounds } = options;
  const loadBefore = load();
  const folder = modelFolder(model);
  const tokens = drawBatches(work, model)[0]![0]!.prompt;
  const [input, prompt, output] = ["prompt.jsonl", "prompt.json", "first-token"].map((name) =>
    join(cache, name),
  );
  writeFileSync(input!, `${JSON.stringify({ id: 1, promptTokens: tokens })}\n`);
  writeFileSync(prompt!, JSON.stringify(tokens));
  const commands = {
    ours: [
      ...[process.execPath, join(root, "dist", "cli.js"), "generate", "--model", folder],
      ...["--input", input!, "--output", output!, "--max-new-tokens", "1"],
    ],
    ...(python && { eager: [python, peerScript, "--load", folder, prompt!, output!] }),
  };
  const runs: Partial<Record<"ours" | "eager", { seconds: number; peakMegabytes: number }[]>> = {};
  const firstTokens = new Set<number>();
  for (let round = 0; round <= rounds; round++) {
    for (const [name, command] of Object.entries(commands) as ["ours" | "eager", string[]][]) {
      runs[name] = [...(runs[name] ?? []), await timeToOutput(command, output!, threads)];
      const written = JSON.parse(readFileSync(output!, "utf8"));
      firstTokens.add(name === "ours" ? written.responses[0].tokens[0] : written);
    }
  }
  const checks = [{ name: "first tokens", value: firstTokens.size - 1, limit: 0 }];
  requireAgreement(`${work.name} ${model}`, checks);
  /** The first round fills the page cache. */
  const figuresOf = (all: { seconds: number; peakMegabytes: number }[]): Figures => ({
    seconds: all.slice(1).map(({ seconds }) => seconds),
    firstSeconds: all[0]!.seconds,
    peakMegabytes: Math.max(...all.map(({ peakMegabytes }) => peakMegabytes)),
  });
  return {
    ...describe(work, model, loadBefore),
    units: 1,
    ours: figuresOf(runs.ours!),
    peers: runs.eager ? { eager: figuresOf(runs.eager) } : {},
    checks,
  };
}

function describe(work: Work, model: ModelName, loadBefore: number) {
  return {
    work: work.name,
    model,
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    load: [loadBefore, load()] as const,
  };
}

await runScript("bench", async () => {
  const names = works.map(({ name }) => name);
  const threads = String(availableParallelism());
  const values = readOptions("npm run bench --", {
    peer: { type: "boolean", default: false, describe: "Also PyTorch's side" },
    compile: { type: "boolean", default: false, describe: "Also PyTorch with torch.compile" },
    python: { type: "string", describe: "A Python with PyTorch's side's packages" },
    models: { type: "string", default: "tiny,small", describe: `Some of ${modelNames}` },
    work: { type: "string", describe: `Some of ${names} [default: all]` },
    rounds: { type: "string", default: "5", describe: "How often each side does the work" },
    threads: { type: "string", default: threads, describe: "Of each side" },
    precision: { type: "string", default: "float32", describe: "Of products: float32 or bf16" },
  });
  const models = chosen("models", values.models, modelNames);
  const [chosenPrecision] = chosen("precision", values.precision, ["float32", "bf16"]);
  const isOffered = ({ kind }: Work) =>
    chosenPrecision === "float32" || (kind !== "rewards" && kind !== "load"); // hardly any products
  const offered = works.filter(isOffered).map(({ name }) => name);
  const chosenWorks = values.work === undefined ? offered : chosen("work", values.work, offered);
  mkdirSync(cache, { recursive: true });
  const machine = describeMachine(countFrom("threads", values.threads));
  const options = {
    python: values.peer ? (values.python ?? preparePeer(cache)) : undefined,
    variants: values.compile ? (["eager", "compile"] as const) : (["eager"] as const),
    rounds: countFrom("rounds", values.rounds),
    threads: machine.threads,
    precision: chosenPrecision!,
  };
  console.log(
    `${machine.cpu} (${machine.extensions.join(" ")}), ${machine.threads} threads, Node ${machine.node}`,
  );
  if (load() > machine.threads / 2) {
    console.error(
      `warning: the load is ${load()}; processes that wait for each other's threads, PyTorch's above all, lose more than others`,
    );
  }
  if (options.precision === "bf16" && !machine.extensions.includes("amx_bf16"))
    console.error("warning: without AMX precision bf16 brings our side nothing");
  const results: Result[] = [];
  let path = "";
  for (const model of models) {
    for (const work of works.filter(({ name }) => chosenWorks.includes(name))) {
      // Rewards need no model: once is enough.
      if (work.kind === "rewards" && model !== models[0]) continue;
      console.error(`${work.title}, ${model}, load ${load()}`);
      const run = work.kind === "load" ? measureLoading : measure;
      const result = await run(work, model, options);
      results.push(result);
      path = saveResult(join(root, "bench", "results"), machine, options.precision, result);
    }
  }
  console.log(
    `\n${table(results)}\n\nload ${results[0]!.load[0]} to ${load()}; written to ${path}`,
  );
});
