// The one form of all rewards within the project: ready-made ones, files and functions of users, and sums of them.
import type { Answered, Verdict } from "./judge.ts";
import type { Outcome } from "./outcome.ts";

/** An answer with what came out of it. */
export interface Extracted extends Answered {
  readonly outcome: Outcome;
}

/** A verdict; its outcome is the answer's own, but where a sandbox failed to run the reward. */
export type Scored = Omit<Verdict, "outcome"> & { readonly outcome?: Outcome };

export type Scorer = (answer: Extracted) => Scored | Promise<Scored>;

/** A part of a sum. */
export interface Part {
  readonly name: string;
  readonly weight: number;
  readonly score: Scorer;
}

/**
 * The weighted sum of several rewards:
 *
 *     score = weight[0] * score[0] + weight[1] * score[1] + ...
 *
 * The first one says what is correct, what came out and how an answer votes. Each one's own score is logged under its name.
 */
export function sumOf(parts: readonly Part[]): Scorer {
  const names = distinct(parts.map(({ name }) => name));
  return async (answer) => {
    const all = await Promise.all(parts.map(({ score }) => score(answer)));
    const failed = all.find(({ outcome }) => outcome?.kind === "infrastructure");
    if (failed) return failed;
    const { logs: _, ...first } = all[0]!;
    return {
      ...first,
      score: parts.reduce((sum, { weight }, i) => sum + weight * all[i]!.score, 0),
      logs: Object.fromEntries(
        all.flatMap(({ score, logs = {} }, i) => [[names[i]!, score], ...Object.entries(logs)]),
      ),
    };
  };
}

/** The second `format` becomes `format-2`. */
function distinct(names: readonly string[]): string[] {
  return names.map((name, i) => {
    const before = names.slice(0, i).filter((other) => other === name).length;
    return before === 0 ? name : `${name}-${before + 1}`;
  });
}
