// What stands out in a run, with the step at which it began: what a reader of the page would otherwise have to find.
import { type CompletionSet, type Curve, type RunData, results, type Sign } from "./data.ts";

/** Fewer points show no course. */
const fewestPoints = 12;
/** Fewer completions say little where none of them is right. */
const fewestCompletions = 20;
/** A fall of the share of right responses that matters, and how many standard errors of it are not chance. */
const [leastFall, errors] = [0.05, 4];

/**
 * Where the score kept its height, or rose, while fewer responses were right: from the last step on at which about as many were right as ever.
 * Courses are means over a tenth of the steps, and the noise of one point is read from how neighbouring points differ.
 *
 * @param set completions to the dev questions, where there are any
 * @returns undefined where score and right responses go together
 */
export function partedWays(
  {
    name,
    folder,
    axes,
    curves,
    checkpoints,
  }: Pick<RunData, "name" | "folder" | "axes" | "curves" | "checkpoints">,
  set: CompletionSet | undefined,
): Sign | undefined {
  const curveOf = (wanted: string) => curves.find((curve) => curve.name === wanted);
  const [score, right] = [curveOf("reward/score"), curveOf("reward/correctFraction")];
  if (!score || !right || right.value.length < fewestPoints) return undefined;
  if (score.value.length !== right.value.length) return undefined;
  const width = Math.max(3, Math.round(right.value.length / 10));
  const [scores, shares] = [score, right].map((curve) => movingMeans(curve, width));
  const error = noiseOf(right) * Math.sqrt(2 / width);
  const most = Math.max(...shares!);
  const peak = shares!.findLastIndex((share) => share >= most - error);
  const fall = most - shares!.at(-1)!;
  if (fall < Math.max(leastFall, errors * error) || scores!.at(-1)! < scores![peak]!)
    return undefined;
  const step = axes.step[right.at[peak + Math.floor(width / 2)]!]!;
  const averaged = Math.round((width * axes.step.length) / right.value.length); // a point may be several steps
  const message = [
    `From about step ${step} on fewer responses are right (${percent(shares![peak]!)} then, ${percent(shares!.at(-1)!)} at the end), while ` +
      `\`reward/score\` goes from ${scores![peak]!.toFixed(2)} to ${scores!.at(-1)!.toFixed(2)} (averages over ${averaged} steps): the reward pays for something else than being right`,
    set === undefined ? undefined : whatEarns(set),
    `Mend the reward, and ${wayBack(folder, checkpoints, step)}`,
  ];
  return {
    ...{ of: name, step, completions: set?.title ?? null },
    message: message.filter((sentence) => sentence !== undefined).join(". "),
  };
}

/** The wrong text that has the largest part of the score at the last step, where several questions got it. */
function whatEarns({ steps, texts, rows }: CompletionSet): string {
  const found = new Map<number, { count: number; score: number }>();
  let all = 0;
  for (const [row, text] of rows.text.entries()) {
    if (rows.step[row] !== steps.length - 1) continue;
    all++;
    if (results[rows.result[row]!] !== "wrong") continue;
    const { count, score } = found.get(text) ?? { count: 0, score: 0 };
    found.set(text, { count: count + 1, score: score + rows.score[row]! });
  }
  const [[text, { count, score }] = [0, { count: 0, score: 0 }]] = [...found].toSorted(
    ([, a], [, b]) => b.score - a.score,
  );
  if (count < Math.max(3, all / 20))
    return "Completions from there on that score high and are wrong show for what";
  const shown = texts[text]!.replace(/\s+/g, " ").replaceAll("`", "'");
  return (
    `${percent(count / all)} of the completions to dev questions at step ${steps.at(-1)} are ` +
    `\`${cutShort(shown)}\` and wrong, with a mean score of ${(score / count).toFixed(2)}`
  );
}

/** From which checkpoint to go on after a step that began something bad. */
function wayBack(folder: string, checkpoints: RunData["checkpoints"], step: number): string {
  const before = checkpoints.filter((checkpoint) => checkpoint.step <= step);
  const best = before.find(({ isBest }) => isBest) ?? before.at(-1);
  if (best === undefined) return "begin anew: no checkpoint of before is kept";
  return `go on from the ${best.isBest ? "best" : "last"} checkpoint of before, step ${best.step}: \`--fork ${folder}@${best.step}\``;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

/** A text for a sentence. */
export function cutShort(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Means of so many points in a row, from the first ones to the last. */
function movingMeans({ value }: Curve, width: number): number[] {
  return Array.from(
    { length: value.length - width + 1 },
    (_, i) => value.slice(i, i + width).reduce((sum, x) => sum + x, 0) / width,
  );
}

/** The standard deviation of a point around a slow course. */
function noiseOf({ value }: Curve): number {
  const squares = value.slice(1).map((x, i) => (x - value[i]!) ** 2);
  return Math.sqrt(squares.reduce((sum, x) => sum + x, 0) / squares.length / 2);
}

/** Wrong answers beside their gold answers. */
export interface WrongAnswers {
  /** All of them. */
  readonly count: number;
  /** Those that say the same as the gold answer in other words. */
  readonly alike: number;
  /** A few different ones as JSON, those that are alike first, each with a gold answer of another form. */
  readonly examples: readonly (readonly [answer: string, gold: string])[];
}

/** Where of many completions none is right: why, as far as answers and gold answers show. */
export function noneRight(
  { title, steps, counts }: Pick<CompletionSet, "title" | "steps" | "counts">,
  { count, alike, examples }: WrongAnswers,
): Sign | undefined {
  const sum = (numbers: readonly number[]) => numbers.reduce((all, number) => all + number, 0);
  const sums = counts.map(sum);
  const total = sum(sums);
  const right = sum(counts.map(([first = 0]) => first));
  if (right > 0 || total < fewestCompletions || count === 0) return undefined;
  const pairs = examples.map(([answer, gold]) => `${answer} for ${gold}`).join(", ");
  const others = count > alike ? ` The other ${count - alike} say something else.` : "";
  const why =
    alike > 0
      ? `${alike} say what the gold answer says, in another form: ${pairs}.${others} No answer can equal gold answers of such a form as they are compared: ` +
        "bring the gold answers into the form of the answers, or take another reward"
      : `For example ${pairs}. If both say the same, their forms differ, and the gold answers or the reward must change; if not, the questions are too hard for this model: warm up longer`;
  const measured =
    sums.length > 1 && sums.every((other) => other === sums[0])
      ? ` (${sums[0]} at each of ${sums.length} measurements)`
      : "";
  return {
    ...{ of: title, step: steps[0] ?? null, completions: title },
    message: `None of ${total} completions${measured} is right, though ${count === total ? "all" : count} have an answer. ${why}`,
  };
}

/**
 * Does an answer say what its gold answer says, when cases, marks and further words are set aside? 41 is like "41 days".
 *
 * @param answer JSON or text
 */
export function areAlike(answer: string, gold: string): boolean {
  const [a, b] = [wordsOf(answer), wordsOf(gold)];
  const isWithin = (few: readonly string[], many: readonly string[]) =>
    few.length > 0 && few.every((word) => many.includes(word));
  return isWithin(a, b) || isWithin(b, a);
}

function wordsOf(text: string): string[] {
  const words = text.toLowerCase().match(/-?\d+(?:\.\d+)?|\p{L}+/gu) ?? [];
  return words.map((word) => (/\d/.test(word) ? String(Number(word)) : word));
}
