// How cost grows: throughput and peak memory of our side against weights, length, batch and samples per prompt.
//   npx tsx scripts/bench/scaling.ts --help
// Each point is a process of its own. Writes docs/scaling.md and docs/scaling.svg.
import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { markdownTable } from "../../src/evaluate/tables.ts";
import { writeFileAtomically } from "../../src/formats/jsonl.ts";
import type { Sequence } from "../../src/model/batch.ts";
import { parameterCount } from "../../src/model/model.ts";
import { countFrom, readOptions, runScript } from "../script.ts";
import { chosen, modelFolder, root, startOurs, writeJob } from "./common.ts";
import { type Axis, growthPicture, type Point } from "./growthPicture.ts";
import { commit, describeMachine, load } from "./machine.ts";
import { median } from "./report.ts";
import { createJob, drawRow, type ModelName, modelConfig, modelNames } from "./workloads.ts";

/** What is run at one point. */
interface Case {
  readonly at: number;
  readonly model: ModelName;
  readonly kind: "sft" | "rollout";
  readonly rows: readonly Sequence[];
}

/** The same batch for every point but for what the axis changes; SFT counts all tokens, a rollout those that it writes. */
function casesOf(axis: AxisName, model: ModelName): readonly Case[] {
  const rowsOf = (count: number, prompt: number, response: number, of = model) =>
    Array.from({ length: count }, (_, i) => drawRow(of, `row ${i}`, prompt, response));
  const doubling = (from: number, to: number) =>
    Array.from({ length: Math.log2(to / from) + 1 }, (_, i) => from * 2 ** i);
  switch (axis) {
    case "weights":
      return modelNames.map((name) => ({
        at: parameterCount(modelConfig(name)),
        model: name,
        kind: "sft",
        rows: rowsOf(8, 100, 80, name),
      }));
    case "length":
      return doubling(128, 1024).map((length) => ({
        at: length,
        model,
        kind: "sft",
        rows: rowsOf(8, length / 2, length / 2),
      }));
    case "batch":
      return doubling(1, 64).map((rows) => ({
        at: rows,
        model,
        kind: "sft",
        rows: rowsOf(rows, 100, 80),
      }));
    case "samples":
      return doubling(1, 16).map((samples) => ({
        at: samples,
        model,
        kind: "rollout",
        rows: rowsOf(8, 100, 80).flatMap((row) => Array.from({ length: samples }, () => row)),
      }));
  }
}

const axes = {
  weights: { title: "SFT step, 8 x (100 + 80) tokens", xLabel: "weights" },
  length: { title: "SFT step, 8 sequences", xLabel: "tokens of a sequence" },
  batch: { title: "SFT step, 100 + 80 tokens", xLabel: "sequences of a batch" },
  samples: { title: "rollout, 8 prompts, 100 + 80 tokens", xLabel: "samples per prompt" },
} as const;

type AxisName = keyof typeof axes;

async function measure(
  { at, model, kind, rows }: Case,
  threads: number,
  rounds: number,
): Promise<Point> {
  const job = createJob({ kind, model: modelFolder(model), threads, batches: [rows] });
  const jobPath = writeJob(job);
  const side = startOurs(jobPath, threads);
  try {
    await side.ask({ do: "step" });
    const seconds: number[] = [];
    for (let round = 0; round < rounds; round++)
      seconds.push((await side.ask({ do: "step" })).seconds!);
    const { peakMegabytes } = await side.ask({ do: "usage" });
    const tokens = rows.reduce(
      (sum, { prompt, response }) => sum + response.length + (kind === "sft" ? prompt.length : 0),
      0,
    );
    return { at, tokensPerSecond: tokens / median(seconds), peakMegabytes: peakMegabytes! };
  } finally {
    await side.close();
    rmSync(jobPath);
  }
}

/** A Markdown table per axis. The last column is 1 where cost is linear. */
function tables(measured: readonly Axis[]): string {
  return measured
    .map(({ title, xLabel, points, name }) => {
      const cost = ({ at, tokensPerSecond }: Point) =>
        (name === "weights" ? 1 / at : 1) / tokensPerSecond;
      const rows = points.map((point) => [
        String(point.at),
        point.tokensPerSecond.toPrecision(3),
        point.peakMegabytes.toFixed(0),
        (cost(point) / cost(points[0]!)).toFixed(2),
      ]);
      const per = name === "weights" ? "token and weight" : "token";
      const heads = [xLabel, "tokens/s", "peak memory, MB", `seconds per ${per}, first row 1`];
      return `## ${title}\n\n${markdownTable([heads, ...rows])}\n`;
    })
    .join("\n");
}

await runScript("scaling", async () => {
  const names = Object.keys(axes) as AxisName[];
  const values = readOptions("npx tsx scripts/bench/scaling.ts", {
    axes: { type: "string", default: names.join(","), describe: "What grows" },
    model: { type: "string", default: "tiny", describe: `One of ${modelNames}` },
    points: { type: "string", default: "100", describe: "The first points of each axis alone" },
    rounds: { type: "string", default: "3", describe: "Steps per point" },
  });
  const [model] = chosen("model", values.model, modelNames) as [ModelName];
  const points = countFrom("points", values.points);
  const rounds = countFrom("rounds", values.rounds);
  const machine = describeMachine(availableParallelism());
  const loadBefore = load();
  const measured: Axis[] = [];
  for (const name of chosen("axes", values.axes, names)) {
    const axis: Point[] = [];
    for (const one of casesOf(name, model).slice(0, points)) {
      console.error(`${axes[name].xLabel} ${one.at}, load ${load()}`);
      axis.push(await measure(one, machine.threads, rounds));
    }
    measured.push({ name, ...axes[name], points: axis });
  }
  const page = [
    "# How cost grows",
    "",
    `Written by \`npx tsx scripts/bench/scaling.ts\`: ${machine.cpu} (${machine.extensions.join(" ")}), ${machine.threads} ` +
      `threads, load ${loadBefore} to ${load()}, ${new Date().toISOString().slice(0, 10)}, commit ${commit()}; model ${model} ` +
      `where nothing else is said, median of ${rounds} steps after one that traced.`,
    "",
    "![Throughput and memory](scaling.svg)",
    "",
    tables(measured),
  ].join("\n");
  writeFileAtomically(join(root, "docs", "scaling.md"), page);
  writeFileAtomically(join(root, "docs", "scaling.svg"), growthPicture(measured));
  console.log(page);
});
