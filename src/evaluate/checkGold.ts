// Gold chains of thought are judged as a model's answers are, before a model learns them: a model that learns one that is wrong, or
// that the judge cannot read, earns nothing however well it learns.
import type { Example } from "../data/examples.ts";
import type { JsonValue } from "../data/json.ts";
import { show, UserError } from "../errors.ts";
import { createProgress, type Progress } from "../progress.ts";
import { gather, shareOf } from "../ranks.ts";
import type { Judge, Verdict } from "../reward/judge.ts";
import { say } from "../terminal.ts";

/** Above this share the fault is not in single rows: answers or chains of thought have another form than the settings say. */
const mostWrong = 0.5;
const shown = 5;
/** A reward of a user may be slow, or cost money, and may call nothing simply right: it is tried on the first rows. */
const triedOnOwn = 20;

/** What a model that wrote an example's chain of thought would have written. */
export type TokensOf = (example: Example) => readonly number[];

export interface CheckGoldOptions {
  /** None where the reward does not look at them. */
  readonly tokensOf: TokensOf | undefined;
  /** The reward is, or is a sum with, one of the user's: look at few rows, and never refuse them. */
  readonly isOwn: boolean;
}

/**
 * Warns of gold chains of thought that do not come to their answers. Those that the sandbox fails to run say nothing.
 *
 * @param path of the examples, for the message
 * @throws UserError when more than half of them do not
 */
export async function checkGold(
  path: string,
  examples: readonly Example[],
  judge: Judge,
  { tokensOf, isOwn = false }: Partial<CheckGoldOptions> = {},
): Promise<void> {
  const all = examples.filter(({ cot }) => cot !== undefined);
  const worked = isOwn ? all.slice(0, triedOnOwn) : all;
  const verdicts = await judgeGold(worked, judge, tokensOf);
  const problems = worked.flatMap(({ id, answer }, i) => {
    const { kind } = verdicts[i]!.outcome;
    if (kind === "infrastructure") return [];
    const problem = problemOf(verdicts[i]!, answer, isOwn);
    return problem === undefined ? [] : [`  ${show(id)}: ${problem}`];
  });
  if (problems.length === 0) return;
  const rest = problems.length > shown ? [`  and ${problems.length - shown} more`] : [];
  const message = [
    `${path}: ${problems.length} of ${worked.length} gold chains of thought ${isOwn ? "tried are not correct by the reward" : "do not come to their answers"}, ` +
      "judged as a model's are: correct these rows or leave them out",
    ...problems.slice(0, shown),
    ...rest,
  ].join("\n");
  if (!isOwn && problems.length > mostWrong * worked.length) throw new UserError(message);
  say(`warning: ${message}`);
}

/**
 * Judges examples that all have a chain of thought, each rank its share, and shows how far it is where that takes longer than a moment.
 *
 * @param tokensOf none where the reward does not look at them
 * @returns one verdict per example, in their order
 */
export async function judgeGold(
  examples: readonly Example[],
  judge: Judge,
  tokensOf: TokensOf = () => [],
): Promise<Verdict[]> {
  const start = performance.now();
  const own = shareOf(examples);
  let done = 0;
  let progress: Progress | undefined;
  const judgeOne = async (example: Example) => {
    const verdict = await judge({ example, text: example.cot!, tokens: tokensOf(example) });
    done++;
    if (performance.now() - start > 2000)
      progress ??= createProgress("Gold chains of thought", own.length, { start: done });
    progress?.update(done);
    return verdict;
  };
  try {
    return gather(await Promise.all(own.map(judgeOne)));
  } finally {
    progress?.stop();
  }
}

/**
 * Says why a gold chain of thought is not right; undefined where it is.
 *
 * @param isOwn whether a reward of the user's decides, which need not compare with the gold answer at all
 */
export function problemOf(
  { outcome, correct, score }: Verdict,
  gold: JsonValue,
  isOwn: boolean,
): string | undefined {
  if (correct) return undefined;
  if (isOwn) return `score ${score}`;
  return outcome.kind === "answer"
    ? `expected the answer ${show(gold)}, found ${show(outcome.value)}`
    : `${outcome.kind}: ${outcome.message}`;
}
