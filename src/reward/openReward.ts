// Makes the judge of a run: starts what it needs to run programs, and ends that with the run.
import type { CotKind } from "../data/prompt.ts";
import { createJudge, type Judge } from "./judge.ts";
import { createSandbox, type SandboxOptions } from "./sandbox/sandbox.ts";
import type { ScoreOptions } from "./score.ts";

/** A judge with what runs for it. Hold it with `await using`. */
export interface OpenReward extends AsyncDisposable {
  readonly judge: Judge;
}

export interface RewardOptions extends Partial<ScoreOptions> {
  readonly cotKind: CotKind;
  readonly sandbox: SandboxOptions;
}

/** @throws UserError when the sandbox cannot start */
export async function openReward({
  cotKind,
  sandbox: settings,
  ...scoring
}: RewardOptions): Promise<OpenReward> {
  const sandbox = await createSandbox(settings);
  return {
    judge: createJudge(sandbox, cotKind, scoring),
    [Symbol.asyncDispose]: () => sandbox.close(),
  };
}
