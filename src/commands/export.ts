// `reft export`: writes a checkpoint for other tools, and prints how it compares.
import { basename, join } from "node:path";
import type { CommandModule, InferredOptionTypes } from "yargs";
import { UserError } from "../errors.ts";
import { percent } from "../progress.ts";
import { exportCheckpoint, exportCheckpointAsGguf } from "../tasks/exportModel.ts";
import { print } from "../terminal.ts";
import { fromProject, projectModels } from "./project.ts";

const options = {
  checkpoint: {
    type: "string",
    describe:
      "Run (its best checkpoint), one checkpoint, or a model [default: the last run of a project]",
  },
  output: { type: "string", describe: "New folder [default: exports/<checkpoint>]" },
  dtype: {
    choices: ["f32", "bf16", "f16", "q8_0"] as const,
    default: "f32",
    describe: "Type of weights; q8_0 with --gguf",
  },
  gguf: {
    type: "boolean",
    default: false,
    describe:
      "Write model.gguf, for llama.cpp, node-llama-cpp and Ollama, in place of a Hugging Face folder",
  },
  modelfile: {
    type: "boolean",
    default: false,
    describe: "Write Ollama's Modelfile beside model.gguf, with the model's own prompt",
  },
  "max-shard-gigabytes": {
    type: "number",
    describe: "Largest file of weights, in 10^9 bytes; 5 where it is not given",
  },
  "value-head": {
    type: "boolean",
    default: false,
    describe: "Keep the value head of a ReFT checkpoint, too",
  },
} as const;

type Arguments = InferredOptionTypes<typeof options>;
type Placed = Arguments & { readonly checkpoint: string; readonly output: string };

function short(figure: number): string {
  return String(Number(figure.toPrecision(2)));
}

function writeGguf(args: Placed): void {
  if (args["value-head"] || args["max-shard-gigabytes"] !== undefined) {
    throw new UserError(
      "--gguf: a GGUF file is one file without a value head; leave --value-head and --max-shard-gigabytes out",
    );
  }
  const { bytes, tensors, maxDifference, mergeLoss } = exportCheckpointAsGguf(args);
  print(
    `${args.output}: ${(bytes / 1e6).toFixed(1)} MB, ${tensors} tensors as ${args.dtype} in model.gguf, read back and equal. ` +
      `Rounding moves a weight by at most ${short(maxDifference)}`,
  );
  printMerge(mergeLoss, args.dtype);
}

function writeFolder(args: Placed): void {
  const { dtype, "max-shard-gigabytes": maxShardGigabytes = 5, "value-head": valueHead } = args;
  if (dtype === "q8_0" || args.modelfile) {
    const flag = args.modelfile ? "--modelfile" : "--dtype q8_0";
    throw new UserError(`${flag}: only a GGUF file has it; add --gguf`);
  }
  const report = exportCheckpoint({ ...args, dtype, maxShardGigabytes, valueHead });
  const { bytes, weightFiles, maxDifference, meanKl, agreement, positions, mergeLoss } = report;
  const files = weightFiles === 1 ? "1 file" : `${weightFiles} files`;
  print(
    `${args.output}: ${(bytes / 1e6).toFixed(1)} MB, weights as ${dtype} in ${files}, read back and equal. ` +
      `Against the checkpoint, over ${positions} positions: logits differ by at most ${short(maxDifference)}, ` +
      `mean KL ${short(meanKl)} nats, same choice at ${(100 * agreement).toFixed(1)} %`,
  );
  printMerge(mergeLoss, dtype);
}

/** @param loss undefined for a model without adapter */
function printMerge(loss: number | undefined, dtype: string): void {
  if (loss === undefined) return;
  const rounding = `rounding to ${dtype} is an error of ${percent(loss)} of what it changes: f32 keeps it`;
  print(`The adapter is merged into the weights${dtype === "f32" ? "" : `; ${rounding}`}`);
}

export const exportCommand: CommandModule<object, Arguments> = {
  command: "export",
  describe:
    "Write a checkpoint as a Hugging Face folder or a GGUF file for other tools, and check it",
  builder: (yargs) => yargs.options(options),
  handler: (flags) => {
    const checkpoint = fromProject("checkpoint", flags.checkpoint, projectModels);
    const output = flags.output ?? join("exports", basename(checkpoint));
    const args = { ...flags, checkpoint, output };
    return args.gguf ? writeGguf(args) : writeFolder(args);
  },
};
