// What an answer is worth: its program is run, or its written answer read, and the result compared with the gold answer.
import type { CotKind } from "../data/prompt.ts";
import { extractProgram, extractWrittenAnswer } from "./extract.ts";
import type { Outcome } from "./outcome.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";
import { type Score, type ScoreOptions, scoreOutcome } from "./score.ts";

/** What came out of an answer, and its score. */
export interface Verdict extends Score {
  readonly outcome: Outcome;
}

/** @param text the whole answer, its given beginning included */
export type Judge = (text: string, gold: number | string) => Promise<Verdict>;

export function createJudge(sandbox: Sandbox, cotKind: CotKind, options: ScoreOptions): Judge {
  return async (text, gold) => {
    const outcome =
      cotKind === "python" ? await sandbox.run(extractProgram(text)) : extractWrittenAnswer(text);
    return { outcome, ...scoreOutcome(outcome, gold, options) };
  };
}
