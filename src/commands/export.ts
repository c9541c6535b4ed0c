// `reft export`: writes a checkpoint for other tools, and prints how it compares.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { exportCheckpoint } from "../tasks/exportModel.ts";
import { print } from "../terminal.ts";

const options = {
  checkpoint: {
    type: "string",
    demandOption: true,
    describe: "Run (its best checkpoint), one checkpoint, or a model",
  },
  output: { type: "string", demandOption: true, describe: "New folder" },
  dtype: { choices: ["f32", "bf16", "f16"] as const, default: "f32", describe: "Type of weights" },
  "max-shard-gigabytes": {
    type: "number",
    default: 5,
    describe: "Largest file of weights, in 10^9 bytes",
  },
  "value-head": {
    type: "boolean",
    default: false,
    describe: "Keep the value head of a ReFT checkpoint, too",
  },
} as const;

type Arguments = InferredOptionTypes<typeof options>;

function short(figure: number): string {
  return String(Number(figure.toPrecision(2)));
}

export const exportCommand: CommandModule<object, Arguments> = {
  command: "export",
  describe: "Write a checkpoint as a Hugging Face folder for other tools, and check it",
  builder: (yargs) => yargs.options(options),
  handler: (args) => {
    const report = exportCheckpoint({
      ...args,
      maxShardGigabytes: args["max-shard-gigabytes"],
      valueHead: args["value-head"],
    });
    const { bytes, weightFiles, maxDifference, meanKl, agreement, positions } = report;
    const files = weightFiles === 1 ? "1 file" : `${weightFiles} files`;
    print(
      `${args.output}: ${(bytes / 1e6).toFixed(1)} MB, weights as ${args.dtype} in ${files}, read back and equal. ` +
        `Against the checkpoint, over ${positions} positions: logits differ by at most ${short(maxDifference)}, ` +
        `mean KL ${short(meanKl)} nats, same choice at ${(100 * agreement).toFixed(1)} %`,
    );
  },
};
