// What an answer is worth: its program is run, or its written answer read, and the result compared with the gold answer.
import type { Example } from "../data/examples.ts";
import type { CotKind } from "../data/prompt.ts";
import { extractProgram, extractToBlankLine } from "./extract.ts";
import type { Outcome } from "./outcome.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";
import { type Score, type ScoreOptions, scoreOutcome } from "./score.ts";
import { extractWrittenAnswer } from "./writtenAnswer.ts";

/** What was answered to a question. */
export interface Answered {
  /** The question with its gold answer. */
  readonly example: Example;
  /** The whole answer, its given beginning included. */
  readonly text: string;
  /** What the model wrote, its given beginning left out, EOS included. */
  readonly tokens: readonly number[];
}

/** What came out of an answer, and its score. */
export interface Verdict extends Score {
  readonly outcome: Outcome;
  /** What counts as the same answer in votes; null: it does not vote. Without it the outcome's answer votes. */
  readonly vote?: string | null;
  /** Figures whose means become metrics, by name. */
  readonly logs?: Readonly<Record<string, number>>;
}

export type Judge = (answered: Answered) => Promise<Verdict>;

/** @param options no partial reward and none of the authors' ways, where they are not given */
export function createJudge(
  sandbox: Sandbox,
  cotKind: CotKind,
  { partialReward = 0, paperParity = false }: Partial<ScoreOptions> = {},
): Judge {
  const runOnce = rememberOutcomes(sandbox);
  const programIn = paperParity ? extractToBlankLine : extractProgram;
  return async ({ text, example: { answer: gold } }) => {
    const outcome =
      cotKind === "python" ? await runOnce(programIn(text)) : extractWrittenAnswer(text);
    return { outcome, ...scoreOutcome(outcome, gold, { partialReward, paperParity }) };
  };
}

/** Programs remembered at most; the oldest are forgotten. */
const remembered = 20_000;

/**
 * Runs each different program once. The sandbox gives every program the same clean state and the same random seed, so the
 * same text has the same outcome; only what depends on the machine's state is not remembered.
 */
function rememberOutcomes(sandbox: Sandbox): (program: string) => Promise<Outcome> {
  const outcomes = new Map<string, Promise<Outcome>>();
  return (program) => {
    const known = outcomes.get(program);
    if (known) return known;
    const outcome = sandbox.run(program);
    outcomes.set(program, outcome);
    if (outcomes.size > remembered) outcomes.delete(outcomes.keys().next().value!);
    void outcome.then(({ kind }) => {
      if (kind === "timeout" || kind === "infrastructure") outcomes.delete(program);
    });
    return outcome;
  };
}
