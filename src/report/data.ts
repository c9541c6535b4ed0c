// What a report is made of: plain data, which the page carries as JSON.
import type { Lengths } from "../run/lengths.ts";
import type { FigureGroup } from "./figures.ts";

export interface ReportData {
  /** ISO 8601. */
  readonly made: string;
  /** What the figures mean that any of the runs has. */
  readonly figures: readonly FigureGroup[];
  readonly runs: readonly RunData[];
  /** Every setting of any run, with its value in each as JSON; null where a run lacks it. */
  readonly settings: readonly SettingRow[];
  readonly evaluations: readonly EvaluationData[];
  readonly comparisons: readonly ComparisonData[];
  /** What the page does not show, and why. */
  readonly notes: readonly string[];
  readonly signs: readonly Sign[];
}

/** What stands out. */
export interface Sign {
  /** A run's name, or the title of a set of completions. */
  readonly of: string;
  /** The step at which it began; null where it has none. */
  readonly step: number | null;
  /** A sentence with code in backticks. */
  readonly message: string;
  /** The title of the set of completions that shows it; null where there is none. */
  readonly completions: string | null;
}

export interface SettingRow {
  readonly path: string;
  readonly values: readonly (string | null)[];
}

export interface RunData {
  readonly name: string;
  readonly folder: string;
  readonly stage: string;
  /** ISO 8601, of the first and of the last step; empty where there is none. */
  readonly began: string;
  readonly ended: string;
  /** What the steps are drawn against, one value per line of metrics.jsonl. */
  readonly axes: Axes;
  /** Passes over the data at the last step. */
  readonly epochs: number;
  readonly curves: readonly Curve[];
  /** By a figure's name: the limit that the run's settings have of it. */
  readonly limits: Readonly<Record<string, number>>;
  readonly alarms: readonly Alarm[];
  readonly checkpoints: readonly CheckpointMark[];
  /** What is known of its data. */
  readonly data: readonly DataFile[];
  /** What it ran on last, each part by its name; empty where an older version wrote none. */
  readonly machine: Readonly<Record<string, string>>;
}

/** Columns, one value per step that was logged. */
export interface Axes {
  readonly step: readonly number[];
  /** Responses or examples learned from so far. */
  readonly samples: readonly number[];
  /** Of steps, so far; without measuring, writing checkpoints, and pauses. */
  readonly minutes: readonly number[];
}

/** A figure over the steps: columns of equal length. */
export interface Curve {
  readonly name: string;
  /** Places in the axes. */
  readonly at: readonly number[];
  /** The figure; of a curve that is thinned, its mean over a bucket of steps. */
  readonly value: readonly number[];
  /** The least and the most in each bucket, of a curve that is thinned. */
  readonly low?: readonly number[];
  readonly high?: readonly number[];
  /** Steps at which the figure was not finite, the first hundred. */
  readonly notFinite: readonly number[];
}

export interface Alarm {
  readonly step: number;
  readonly name: string;
  readonly message: string;
}

export interface CheckpointMark {
  readonly step: number;
  readonly isBest: boolean;
  readonly isLast: boolean;
}

export interface DataFile {
  /** The setting that names it. */
  readonly setting: string;
  readonly path: string;
  /** As the manifest beside it says; null where there is none. */
  readonly rows: number | null;
  /** What the run made of it; null where an older version wrote none. */
  readonly read: {
    readonly rows: number;
    readonly tooLong: number;
    /** Lengths are in tokens. */
    readonly prompt: Lengths;
    readonly completion?: Lengths | undefined;
  } | null;
}

/** What a result is, in the order of every count. */
export const results = [
  "right",
  "wrong",
  "no-answer",
  "error",
  "timeout",
  "killed",
  "infrastructure",
] as const;
export type Result = (typeof results)[number];

/** Judged completions to questions, at one step of training after the other or all at once. */
export interface CompletionSet {
  readonly title: string;
  /** The steps; one that is null where the completions are of an evaluation. */
  readonly steps: readonly (number | null)[];
  /** Per step how many completions ended how, of all that there are: in the order of `results`. */
  readonly counts: readonly (readonly number[])[];
  readonly questions: readonly {
    readonly id: string;
    readonly question: string;
    readonly answer: string;
  }[];
  /** Texts, each once. */
  readonly texts: readonly string[];
  /** The completions: columns of equal length. */
  readonly rows: {
    /** Places in `questions`, `steps`, `texts` (the completion, and what came out of it) and `results`. */
    readonly question: readonly number[];
    readonly step: readonly number[];
    readonly text: readonly number[];
    readonly value: readonly number[];
    readonly result: readonly number[];
    readonly score: readonly number[];
    readonly isTruncated: readonly (0 | 1)[];
  };
}

export interface EvaluationData {
  readonly folder: string;
  readonly model: string;
  readonly data: string;
  readonly questions: number;
  readonly metrics: Readonly<
    Record<string, { readonly accuracy: number; readonly confidence95: readonly [number, number] }>
  >;
}

/** Two evaluations of the same questions, by a metric's name. */
export interface ComparisonData {
  readonly a: string;
  readonly b: string;
  readonly questions: number;
  readonly metrics: Readonly<
    Record<
      string,
      {
        readonly a: number;
        readonly b: number;
        readonly difference: number;
        readonly confidence95: readonly [number, number];
        readonly p: number;
        readonly test: string;
      }
    >
  >;
}
