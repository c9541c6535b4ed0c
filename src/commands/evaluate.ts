// `reft evaluate`: prints the accuracy on a data set, and with samples the table of votes and pass@k.
import { basename, join } from "node:path";
import type { CommandModule, InferredOptionTypes } from "yargs";
import { fitTables } from "../evaluate/fitTables.ts";
import { methodsTable } from "../evaluate/tables.ts";
import { amongRanks } from "../run/amongRanks.ts";
import { evaluate } from "../tasks/evaluate.ts";
import { describeAsking } from "../tasks/planAsking.ts";
import { columnsOf, print } from "../terminal.ts";
import { askingArguments, askingOptions } from "./asking.ts";

const options = {
  ...askingOptions,
  samples: {
    type: "number",
    describe: "Also sample N answers per question, for votes and pass@k",
  },
  reranker: {
    type: "string",
    describe: "Classifier, or run of train-rerank, that chooses among the samples",
  },
  seed: { type: "number", default: 0, describe: "Chooses the samples" },
  output: {
    type: "string",
    describe:
      "Folder for results, answers and samples; samples that are there are used again [default: results/<model>]",
  },
} as const;

type Arguments = InferredOptionTypes<typeof options>;

export const evaluateCommand: CommandModule<object, Arguments> = {
  command: "evaluate",
  describe: "Accuracy on a data set: greedy, and of votes among sampled answers",
  builder: (yargs) => yargs.options(options),
  handler: async (flags) => {
    const { samples, seed, reranker } = flags;
    const asking = askingArguments(flags);
    const output = flags.output ?? join("results", basename(asking.model));
    await amongRanks(async () => {
      if (flags["dry-run"]) return print(describeAsking("evaluate", { ...asking, samples }));
      const results = await evaluate({ ...asking, output, samples, seed, reranker });
      const { questions, correct, accuracy, metrics } = results;
      const [low, high] = metrics.top1!.confidence95.map((share) => (100 * share).toFixed(1));
      print(
        `Top-1 ${(100 * accuracy).toFixed(1)} % (${correct} of ${questions}; 95 % interval ${low} to ${high})`,
      );
      if (samples !== undefined)
        print(`\n${fitTables(methodsTable([metrics]), columnsOf(process.stdout))}\n`);
      print(`Every question in ${join(output, "questions.jsonl")}`);
    });
  },
};
