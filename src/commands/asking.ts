// The flags of the commands that ask questions.
import type { InferredOptionTypes } from "yargs";
import { precision } from "../config.ts";
import { type AskingArguments, askingDefaults } from "../tasks/asking.ts";
import { gigabytes } from "../tasks/forecastPage.ts";
import { fitAsking } from "../tasks/planAsking.ts";
import { say } from "../terminal.ts";
import {
  forecastFlags,
  formatFlags,
  kvCacheDtypeFlag,
  maxNewTokensFlag,
  modelFlag,
  rewardFlag,
  toldFormat,
} from "./flags.ts";
import { fromProject, projectModels } from "./project.ts";

export const askingOptions = {
  model: modelFlag,
  data: {
    type: "string",
    describe: "JSONL file of questions with answers [default: data/test.jsonl of a project]",
  },
  questions: { type: "number", describe: "Limit to the first N questions" },
  "max-new-tokens": maxNewTokensFlag,
  slots: {
    type: "number",
    default: askingDefaults.slots,
    describe: "Answers in the making at once",
  },
  "kv-cache-dtype": kvCacheDtypeFlag,
  precision: {
    choices: precision.options,
    default: askingDefaults.precision,
    describe: "Of matrix products; tf32 is faster on a GPU, bf16 on a CPU with AMX",
  },
  ...formatFlags,
  reward: {
    type: "string",
    describe:
      "Reward, as in a training's settings: a name, a file (.ts, .js, .py), or YAML of more",
    defaultDescription: "the answer is the gold answer",
  },
  "timeout-seconds": {
    type: "number",
    default: askingDefaults.sandbox.timeoutSeconds,
    describe: "Processor time of one program",
  },
  workers: {
    type: "number",
    default: askingDefaults.sandbox.workers,
    describe: "Programs that run at once",
  },
  "memory-megabytes": {
    type: "number",
    default: askingDefaults.sandbox.memoryMegabytes,
    describe: "Python's memory for one program",
  },
  ...forecastFlags,
} as const;

/** The flags as arguments. */
export function askingArguments(flags: InferredOptionTypes<typeof askingOptions>): AskingArguments {
  const { model, data, questions, slots, precision, workers } = flags;
  const asking = {
    model: fromProject("model", model, projectModels),
    data: fromProject("data", data, ["data/test.jsonl"]),
    questions,
    slots,
    kvCacheDtype: flags["kv-cache-dtype"],
    precision,
    maxNewTokens: flags["max-new-tokens"],
    ...toldFormat(flags),
    reward: rewardFlag(flags.reward),
    sandbox: {
      timeoutSeconds: flags["timeout-seconds"],
      workers,
      memoryMegabytes: flags["memory-megabytes"],
    },
  };
  const gibibytes = flags["memory-gib"];
  if (gibibytes === undefined) return asking;
  const { slots: chosen, forecast } = fitAsking(asking, gibibytes);
  say(
    `--memory-gib ${gibibytes}: --slots ${chosen}, by the forecast ${gigabytes(forecast.bytes + forecast.guests)}`,
  );
  return { ...asking, slots: chosen };
}
