// Two evaluations of the same questions, metric by metric: the difference, and whether it could be chance.
import { show, UserError } from "../errors.ts";
import { bootstrapIntervals, type Interval } from "../evaluate/intervals.ts";
import { type MeasuredQuestion, readQuestions, unlikeSettings } from "../evaluate/report.ts";
import { type PairedTest, pairedTest } from "../evaluate/significance.ts";
import { markdownTable, percent } from "../evaluate/tables.ts";
import { Rng } from "../rng.ts";

/** One metric of two evaluations. */
export interface ComparedMetric extends PairedTest {
  /** Accuracy in 0..1. */
  readonly a: number;
  /** Accuracy in 0..1. */
  readonly b: number;
  /** b - a. */
  readonly difference: number;
  /** Of the difference, over the questions: from and to. */
  readonly confidence95: Interval;
}

export interface Comparison {
  /** The folder that `b` is compared with. */
  readonly a: string;
  /** The other folder. */
  readonly b: string;
  /** How many, the same in both. */
  readonly questions: number;
  /** By name, those that both have. */
  readonly metrics: Readonly<Record<string, ComparedMetric>>;
  /** Names of metrics that only `a` has. */
  readonly onlyA: readonly string[];
  /** Names of metrics that only `b` has. */
  readonly onlyB: readonly string[];
  /** What the two were measured with differently, beside the models: a clause each, as `maxNewTokens 48 and 96`. */
  readonly unlike: readonly string[];
}

/**
 * Compares what `reft evaluate` wrote into two folders. The same folders always give the same figures.
 *
 * @throws UserError when they are not about the same questions, in any order
 */
export function compare(a: string, b: string): Comparison {
  const questionsA = readQuestions(a);
  const questionsB = inOrderOf(questionsA, readQuestions(b), a, b);
  const [namesA, namesB] = [questionsA, questionsB].map(([first]) => Object.keys(first!.shares));
  const shared = namesA!.filter((name) => namesB!.includes(name));
  const metrics = shared.map((name): [string, ComparedMetric] => {
    const [sharesA, sharesB] = [questionsA, questionsB].map((questions) =>
      questions.map(({ shares }) => shares[name]!),
    );
    return [name, compareShares(sharesA!, sharesB!, name)];
  });
  return {
    ...{ a, b, questions: questionsA.length, metrics: Object.fromEntries(metrics) },
    onlyA: namesA!.filter((name) => !shared.includes(name)),
    onlyB: namesB!.filter((name) => !shared.includes(name)),
    unlike: unlikeSettings(a, b),
  };
}

function compareShares(a: readonly number[], b: readonly number[], name: string): ComparedMetric {
  const mean = (values: readonly number[]) => values.reduce((x, y) => x + y, 0) / values.length;
  const differences = b.map((share, i) => share - a[i]!);
  const [confidence95] = bootstrapIntervals([differences], Rng.named(0, `bootstrap ${name}`));
  return {
    ...{ a: mean(a), b: mean(b), difference: mean(differences), confidence95: confidence95! },
    ...pairedTest(a, b, Rng.named(0, `sign flips ${name}`)),
  };
}

/** The questions of b in the order of a. The same id with another text is another question. */
function inOrderOf(
  questionsA: readonly MeasuredQuestion[],
  questionsB: readonly MeasuredQuestion[],
  a: string,
  b: string,
): MeasuredQuestion[] {
  const keyOf = ({ id, question }: MeasuredQuestion) => `${id}\n${question}`;
  const [byKeyA, byKeyB] = [questionsA, questionsB].map(
    (questions) => new Map(questions.map((question) => [keyOf(question), question])),
  );
  const lacking = [
    describeLacking(
      questionsA.filter((question) => !byKeyB!.has(keyOf(question))),
      a,
      b,
    ),
    describeLacking(
      questionsB.filter((question) => !byKeyA!.has(keyOf(question))),
      b,
      a,
    ),
  ].filter((text) => text !== undefined);
  if (lacking.length > 0)
    throw new UserError(
      `expected two evaluations of the same questions, found ${lacking.join("; ")}. ` +
        "Evaluate both with the same data and the same number of questions",
    );
  return questionsA.map((question) => byKeyB!.get(keyOf(question))!);
}

function describeLacking(
  questions: readonly MeasuredQuestion[],
  where: string,
  butNot: string,
): string | undefined {
  if (questions.length === 0) return undefined;
  const first = questions.slice(0, 3).map(({ id }) => show(id));
  const rest = questions.length > first.length ? ", ..." : "";
  return `${questions.length} in ${where} that ${butNot} lacks or words differently: ${first.join(", ")}${rest}`;
}

/** The name of a metric, out of a file. */
function inOneLine(name: string): string {
  return JSON.stringify(name).slice(1, -1);
}

/** The comparison as a Markdown table, with a line for what could not be compared, or not alone. */
export function comparisonTable({ a, b, metrics, onlyA, onlyB, unlike }: Comparison): string {
  const rows = Object.entries(metrics).map(([name, metric]) => [
    inOneLine(name),
    percent(metric.a),
    percent(metric.b),
    `${percent(metric.difference)} (${metric.confidence95.map(percent).join(" to ")})`,
    metric.p < 0.001 ? "< 0.001" : metric.p.toFixed(3),
    metric.test,
  ]);
  const header = ["accuracy, %", a, b, "difference (95 % interval)", "p", "test"];
  const alone = [
    [a, onlyA],
    [b, onlyB],
  ] as const;
  return [
    markdownTable([header, ...rows]),
    ...alone.flatMap(([folder, names]) =>
      names.length === 0 ? [] : [`\nOnly in ${folder}: ${names.map(inOneLine).join(", ")}`],
    ),
    ...(unlike.length === 0
      ? []
      : [`\nMeasured differently, so not the models alone differ: ${unlike.join("; ")}`]),
  ].join("\n");
}
