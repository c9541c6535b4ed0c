// Many answers to each question, run and judged: what a reranker learns from, and what votes are taken among.
import { dirname } from "node:path";
import { makeFolder, tryFolder } from "../folders.ts";
import { disposeModel } from "../model/model.ts";
import { fromLeader } from "../ranks.ts";
import { openReward } from "../reward/openReward.ts";
import { readSampleGroups, type SamplesSummary, summariseSamples } from "../reward/samples.ts";
import { type AskingArguments, openAsking, sampleWithProgress, warnOfFailures } from "./asking.ts";
import { checkCount } from "./count.ts";

export interface SampleArguments extends AskingArguments {
  /** Answers per question. */
  readonly samples: number;
  /** Chooses the answers. */
  readonly seed: number;
  /** JSONL file of the answers. */
  readonly output: string;
}

/** Samples at temperature 1 without truncation of the distribution; goes on where an earlier call was stopped. */
export async function sample(args: SampleArguments): Promise<SamplesSummary> {
  checkCount("samples", args.samples);
  fromLeader(() => tryFolder(dirname(args.output)));
  const asking = openAsking(args);
  fromLeader(() => makeFolder(dirname(args.output)));
  try {
    const { format, rewards } = asking;
    await using reward = await openReward({ ...format, sandbox: args.sandbox, rewards });
    await sampleWithProgress(args.output, asking, reward.judge, args);
  } finally {
    disposeModel(asking.model);
  }
  const summary = fromLeader(() => summariseSamples(readSampleGroups(args.output)));
  warnOfFailures(summary.infrastructureFailures, summary.samples);
  return summary;
}
