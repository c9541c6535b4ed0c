// What an answer is worth: its program is run, or the answer found in its text, and a reward scores what came out.
import type { Example } from "../data/examples.ts";
import type { AnswerForm } from "../rewardConfig.ts";
import { extractProgram, extractToBlankLine } from "./extract.ts";
import { findAnswer } from "./findAnswer.ts";
import type { Outcome } from "./outcome.ts";
import { usualReward } from "./readyMade.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";
import type { Score, ScoreOptions } from "./score.ts";
import type { Scorer } from "./scorer.ts";

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

export interface JudgeOptions extends ScoreOptions {
  /** What an answer is worth, where it is not the usual comparison of its form. */
  readonly score: Scorer;
}

/**
 * Judges answers of a form.
 *
 * @param sandbox runs the programs of the form `python`; no other needs one
 * @param options no partial reward and none of the authors' ways, where they are not given
 */
export function createJudge(
  sandbox: Pick<Sandbox, "run"> | undefined,
  form: AnswerForm,
  { partialReward = 0, paperParity = false, score: given }: Partial<JudgeOptions> = {},
): Judge {
  const score = given ?? usualReward(form, { partialReward, paperParity });
  const programIn = paperParity ? extractToBlankLine : extractProgram;
  const runOnce = rememberOutcomes(async (program) => sandbox!.run(program));
  return async (answered) => {
    const { text } = answered;
    const outcome = form === "python" ? await runOnce(programIn(text)) : findAnswer(form, text);
    if (outcome.kind === "infrastructure") return { outcome, ...unscored };
    return { outcome, ...(await score({ ...answered, outcome })) };
  };
}

const unscored = { score: 0, correct: false, extracted: false };

/** Programs remembered at most; the oldest are forgotten. */
const remembered = 20_000;

/**
 * Runs each different program once. The sandbox gives every program the same clean state and the same random seed, so the
 * same text has the same outcome; only what depends on the machine's state is not remembered.
 */
function rememberOutcomes(run: (program: string) => Promise<Outcome>): typeof run {
  const outcomes = new Map<string, Promise<Outcome>>();
  return (program) => {
    const known = outcomes.get(program);
    if (known) return known;
    const outcome = run(program);
    outcomes.set(program, outcome);
    if (outcomes.size > remembered) outcomes.delete(outcomes.keys().next().value!);
    void outcome.then(({ kind }) => {
      if (kind === "timeout" || kind === "infrastructure") outcomes.delete(program);
    });
    return outcome;
  };
}
