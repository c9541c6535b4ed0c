// `reft sample`: writes many answers to each question, and prints how many of them are right.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { percent } from "../progress.ts";
import { amongRanks } from "../run/amongRanks.ts";
import { describeAsking } from "../tasks/planAsking.ts";
import { sample } from "../tasks/sample.ts";
import { print } from "../terminal.ts";
import { askingArguments, askingOptions } from "./asking.ts";

const options = {
  ...askingOptions,
  data: { type: "string", demandOption: true, describe: "JSONL file of questions with answers" },
  samples: { type: "number", demandOption: true, describe: "Answers per question" },
  seed: { type: "number", default: 0, describe: "Chooses the samples" },
  output: {
    type: "string",
    demandOption: true,
    describe: "JSONL file, one line per sample; the same command goes on where it was stopped",
  },
} as const;

export const sampleCommand: CommandModule<object, InferredOptionTypes<typeof options>> = {
  command: "sample",
  describe: "Sample many answers to each question, run and judged",
  builder: (yargs) => yargs.options(options),
  handler: async (flags) => {
    const { samples, seed, output } = flags;
    const asking = askingArguments(flags);
    await amongRanks(async () => {
      if (flags["dry-run"]) return print(describeAsking("sample", { ...asking, samples }));
      const summary = await sample({ ...asking, samples, seed, output });
      const share = (count: number, of: number) => `${count} (${percent(count / of)})`;
      print(
        `${summary.questions} questions, ${summary.samples} samples: ${share(summary.correct, summary.samples)} correct, ` +
          `${share(summary.duplicates, summary.samples)} duplicates; ` +
          `at least one correct for ${share(summary.solved, summary.questions)} questions`,
      );
    });
  },
};
