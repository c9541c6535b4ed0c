// `reft sample`: many answers to each question, run and judged: what a reranker learns from, and what votes are taken among.
import { dirname } from "node:path";
import type { CommandModule, InferredOptionTypes } from "yargs";
import { makeFolder, tryFolder } from "../folders.ts";
import { disposeModel } from "../model/model.ts";
import { createJudge } from "../reward/judge.ts";
import { readSampleGroups, type SamplesSummary, summariseSamples } from "../reward/samples.ts";
import { createSandbox } from "../reward/sandbox/sandbox.ts";
import { percent } from "../run/progress.ts";
import { print } from "../terminal.ts";
import {
  type AskingArguments,
  askingArguments,
  askingOptions,
  openAsking,
  sampleWithProgress,
  warnOfFailures,
} from "./asking.ts";
import { checkCount } from "./count.ts";

const options = {
  ...askingOptions,
  samples: { type: "number", demandOption: true, describe: "Answers per question" },
  seed: { type: "number", default: 0, describe: "Chooses the samples" },
  output: {
    type: "string",
    demandOption: true,
    describe: "JSONL file, one line per sample; the same command goes on where it was stopped",
  },
} as const;

export interface SampleArguments extends AskingArguments {
  /** Answers per question. */
  readonly samples: number;
  readonly seed: number;
  readonly output: string;
}

/** Samples at temperature 1 without truncation of the distribution; goes on where an earlier call was stopped. */
export async function sample(args: SampleArguments): Promise<SamplesSummary> {
  checkCount("samples", args.samples);
  tryFolder(dirname(args.output));
  const asking = openAsking(args);
  makeFolder(dirname(args.output));
  const sandbox = await createSandbox(args.sandbox);
  try {
    const judge = createJudge(sandbox, asking.format.cotKind);
    await sampleWithProgress(args.output, asking, judge, args);
  } finally {
    await sandbox.close();
    disposeModel(asking.model);
  }
  const summary = summariseSamples(readSampleGroups(args.output));
  warnOfFailures(summary.infrastructureFailures, summary.samples);
  return summary;
}

export const sampleCommand: CommandModule<object, InferredOptionTypes<typeof options>> = {
  command: "sample",
  describe: "Sample many answers to each question, run and judged",
  builder: (yargs) => yargs.options(options),
  handler: async (flags) => {
    const { samples, seed, output } = flags;
    const summary = await sample({ ...askingArguments(flags), samples, seed, output });
    const share = (count: number, of: number) => `${count} (${percent(count / of)})`;
    print(
      `${summary.questions} questions, ${summary.samples} samples: ${share(summary.correct, summary.samples)} correct, ` +
        `${share(summary.duplicates, summary.samples)} duplicates; ` +
        `at least one correct for ${share(summary.solved, summary.questions)} questions`,
    );
  },
};
