// How much memory runs take, beside what was forecast: the tables of docs/memory.md.
//   npx tsx scripts/bench/memory.ts             # needs SmolLM2 (npm run model:smollm2)
//   npx tsx scripts/bench/memory.ts --size 7b   # needs models/random-7b, which scripts/random-model.ts makes
// Peaks do not depend on what else the machine does, as long as it has the memory.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../src/errors.ts";
import { markdownTable } from "../../src/evaluate/tables.ts";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import { pointerIn } from "../../src/run/checkpointFiles.ts";
import { readMetrics } from "../../src/run/metrics.ts";
import { readOptions, runScript } from "../script.ts";
import { root, set } from "./common.ts";
import { commit } from "./machine.ts";

const { size } = readOptions("npx tsx scripts/bench/memory.ts", {
  size: { choices: ["small", "7b"] as const, default: "small" as const, describe: "Of the models" },
});

interface Run {
  readonly described: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Who says what it will take: its figures, its dry run, or nobody. */
  readonly forecast: "figures" | "dry run" | "none";
  /** It is killed when the checkpoint of its first step is there; what is measured is the same command, given again. */
  readonly isKilled?: boolean;
}

const home = join(root, ".cache", "bench", "memory");
const inHome = (name: string) => join(home, name);
const rows = (name: string) => set(`data.train=${inHome(name)}`, `data.dev=${inHome("dev.jsonl")}`);

/** @param name of its output */
function training(
  { name, command, config, more }: Readonly<Record<"name" | "command" | "config" | "more", string>>,
  flags: readonly string[],
): Run {
  const args = ["--config", `configs/${config}`, "--output", inHome(name), ...flags];
  return {
    described: `\`${command}\`, \`configs/${config}\`${more}`,
    command,
    args,
    forecast: "figures",
  };
}

function small(): Run[] {
  const programs = rows("train.jsonl");
  const once = set("training.epochs=1", "evaluation.questions=8", "data.programPrefix=def");
  const answers = [
    ...rows("answers.jsonl"),
    ...set("evaluation.questions=8", "training.maxSteps=2", "data.programPrefix=def"),
  ];
  const eight = set("evaluation.slots=8");
  const sixteen = set(
    ...["rollout.slots=16", "rollout.questionsPerStep=4", "rollout.samplesPerQuestion=4"],
    ...["rollout.maxNewTokens=32", "ppo.miniBatchSize=16"],
  );
  const larger = ["dim=384", "layers=6", "heads=6", "kvHeads=6", "ffnDim=1024"];
  const samples = inHome("samples.jsonl");
  const asked = [
    ...[
      "--model",
      "models/smollm2-135m-instruct",
      "--data",
      inHome("dev.jsonl"),
      "--cot",
      "python",
    ],
    ...["--program-prefix", "def", "--max-new-tokens", "32", "--samples", "2"],
  ];
  return [
    training(
      {
        name: "tiny",
        command: "train-sft",
        config: "tiny/warmup.yaml",
        more: "",
      },
      programs,
    ),
    training(
      {
        name: "larger",
        command: "train-sft",
        config: "tiny/warmup.yaml",
        more: " with 11.0 M weights",
      },
      [...[...programs, ...once], ...set(...larger.map((setting) => `model.scratch.${setting}`))],
    ),
    training(
      {
        name: "all",
        command: "train-sft",
        config: "svamp-smollm2/warmup.yaml",
        more: ", `evaluation.slots=8`",
      },
      [...programs, ...once, ...eight],
    ),
    training(
      {
        name: "lora",
        command: "train-sft",
        config: "svamp-smollm2-lora/warmup.yaml",
        more: ", `evaluation.slots=8`",
      },
      [...programs, ...once, ...eight],
    ),
    training(
      {
        name: "all-reft",
        command: "train-reft",
        config: "svamp-smollm2/reft.yaml",
        more: ", 16 answers of 32 tokens at the most in 16 slots",
      },
      ["--init", inHome("all"), ...answers, ...sixteen, ...eight],
    ),
    training(
      {
        name: "lora-reft",
        command: "train-reft",
        config: "svamp-smollm2-lora/reft.yaml",
        more: ", likewise",
      },
      ["--init", inHome("lora"), ...answers, ...sixteen, ...eight],
    ),
    training(
      {
        name: "tiny-reft",
        command: "train-reft",
        config: "tiny/reft.yaml",
        more: ", `ppo.valueWarmupSteps=0`",
      },
      ["--init", inHome("tiny"), ...answers, ...set("ppo.valueWarmupSteps=0")],
    ),
    training(
      {
        name: "rerank",
        command: "train-rerank",
        config: "svamp-smollm2/rerank.yaml",
        more: "",
      },
      [
        ...["--init", inHome("all"), ...set(`data.samples=${samples}`)],
        ...set(`data.devSamples=${samples}`, "training.epochs=1"),
      ],
    ),
    {
      described: "`reft sample`, SmolLM2-135M, 16 slots",
      command: "sample",
      args: [...asked, "--slots", "16", "--output", inHome("smollm2.jsonl")],
      forecast: "dry run",
    },
    {
      described: "`reft evaluate`, SmolLM2-135M, 8 slots",
      command: "evaluate",
      args: [...asked, "--slots", "8", "--output", inHome("results")],
      forecast: "dry run",
    },
  ];
}

function sevenBillion(): Run[] {
  const model = ["--model", "models/random-7b"];
  // Weights that have learned nothing write no programs, so something that they do write is rewarded.
  const parity = inHome("parity.mjs");
  writeFileSync(parity, "export default ({ text }) => text.length % 2;\n");
  const questions = Array.from({ length: 8 }, (_, id) => ({
    id,
    prompt: `${id} apples and 7 more`,
  }));
  writeJsonl(inHome("prompts.jsonl"), questions);
  writeJsonl(inHome("text.jsonl"), [{ id: 0, prompt: "How many?", completion: " 7 apples" }]);
  const brief = set(
    ...["evaluation.questions=2", "evaluation.maxNewTokens=32", "data.programPrefix=def"],
  );
  return [
    {
      described: "`reft score`, one text",
      command: "score",
      args: [...model, "--input", inHome("text.jsonl"), "--output", inHome("scores.jsonl")],
      forecast: "none",
    },
    {
      described: "`reft generate`, 8 prompts, 32 tokens",
      command: "generate",
      args: [
        ...[...model, "--input", inHome("prompts.jsonl"), "--output", inHome("texts.jsonl")],
        ...["--max-new-tokens", "32"],
      ],
      forecast: "none",
    },
    training(
      {
        name: "warmup",
        command: "train-sft",
        config: "gsm8k-codellama-7b-lora/warmup.yaml",
        more: ", one step of 4 examples, 2 questions of 32 tokens before and after, checkpoints",
      },
      [
        ...["--init", "models/random-7b", ...rows("few.jsonl"), ...brief],
        ...set("training.epochs=1", "training.scheduleEpochs=1", "training.batchSize=4"),
      ],
    ),
    {
      ...training(
        {
          name: "reft",
          command: "train-reft",
          config: "gsm8k-codellama-7b-lora/reft.yaml",
          more: ", the second of two steps of 8 answers of 32 tokens, with their programs and a reward of one's own, one pass of PPO, 2 questions, a checkpoint",
        },
        [
          ...["--init", inHome("warmup"), ...rows("answers.jsonl"), ...brief],
          ...set("training.maxSteps=2", "checkpoint.everySteps=1", "evaluation.everySteps=2"),
          ...set("rollout.questionsPerStep=8", "rollout.slots=8", "rollout.maxNewTokens=32"),
          ...set("ppo.ppoEpochs=1", "ppo.miniBatchSize=8", "ppo.partialReward=0"),
          ...set(`reward=[program, { use: file, file: ${parity} }]`),
        ],
      ),
      isKilled: true,
    },
  ];
}

interface Taken {
  readonly text: string;
  /** The most that was resident, in 10^6 bytes. */
  readonly megabytes: number;
  readonly processorSeconds: number;
  readonly seconds: number;
}

/**
 * Runs a command to its end, or kills it.
 *
 * @param isEnough whether to kill it now
 * @throws UserError when it fails by itself
 */
async function reft(args: readonly string[], isEnough = () => false): Promise<Taken> {
  const start = performance.now();
  const child = spawn("node", ["dist/cli.js", ...args], { cwd: root });
  let [text, megabytes, processorSeconds] = ["", 0, 0];
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  const timer = setInterval(() => {
    [megabytes, processorSeconds] = usageOf(child) ?? [megabytes, processorSeconds];
    if (isEnough()) child.kill("SIGKILL");
  }, 50);
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearInterval(timer);
  if (code !== 0 && child.signalCode !== "SIGKILL")
    throw new UserError(`reft ${args.join(" ")} ended with exit code ${code}:\n${text}`);
  return { text, megabytes, processorSeconds, seconds: (performance.now() - start) / 1000 };
}

/** Megabytes at the most and seconds of processor time so far, its threads included; undefined when it has ended. */
function usageOf({ pid }: ChildProcess): [number, number] | undefined {
  try {
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    const [user, system] = readFileSync(`/proc/${pid}/stat`, "utf8")
      .split(") ")[1]!
      .split(" ")
      .slice(11);
    return peak === undefined
      ? undefined
      : [(Number(peak) * 1024) / 1e6, (Number(user) + Number(system)) / 100];
  } catch {
    return undefined;
  }
}

/** Whether a checkpoint is the last one that is of a step, not of the start. */
function hasTakenAStep(output: string): boolean {
  const pointer = pointerIn(output, "last");
  return existsSync(pointer) && !readFileSync(pointer, "utf8").includes("step-000000");
}

async function measure({ command, args, forecast, isKilled }: Run) {
  const line = [command, ...args];
  const output = args[args.indexOf("--output") + 1]!;
  const said = forecast === "dry run" ? (await reft([...line, "--dry-run"])).text : "";
  if (isKilled) await reft(line, () => hasTakenAStep(output));
  const taken = await reft(line);
  if (forecast === "figures") {
    const last = readMetrics(output).at(-1) as unknown as Record<string, number>;
    return { taken, megabytes: last["memory/forecastMegabytes"] };
  }
  const together = /together\s+([\d,]+)/.exec(said)?.[1];
  return { taken, megabytes: together && Number(together.replaceAll(",", "")) };
}

const whole = (value: number) => Math.round(value).toLocaleString("en");

await runScript("bench-memory", async () => {
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  const sizes = ["--train", "64", "--answer-only", "200", "--dev", "32", "--test", "8"];
  await reft(["prepare-data", "generated", "--cot", "python", ...sizes, "--output", home]);
  const lines = readFileSync(inHome("train.jsonl"), "utf8").split("\n");
  writeFileSync(inHome("few.jsonl"), `${lines.slice(0, 4).join("\n")}\n`);
  const table = [["run", "peak, MB", "forecast, MB", "off", "processor, s", "s"]];
  for (const run of size === "7b" ? sevenBillion() : small()) {
    if (run.command === "train-rerank")
      await reft([
        ...["sample", "--model", inHome("tiny"), "--data", inHome("train.jsonl")],
        ...["--samples", "8", "--output", inHome("samples.jsonl")],
      ]);
    const { taken, megabytes } = await measure(run);
    const off = megabytes && (100 * (megabytes - taken.megabytes)) / taken.megabytes;
    table.push([
      run.described,
      whole(taken.megabytes),
      ...(megabytes && off
        ? [whole(megabytes), `${off > 0 ? "+" : ""}${off.toFixed(1)} %`]
        : ["", ""]),
      ...[taken.processorSeconds, taken.seconds].map(whole),
    ]);
    console.error(table.at(-1)!.join(" | "));
  }
  console.log(`Code of commit ${commit()}\n\n${markdownTable(table)}`);
});
