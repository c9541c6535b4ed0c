// A samples file: many judged answers to each question, one per line, those to one question together.
import { z } from "zod";
import { readJsonl } from "../data/jsonl.ts";
import { UserError } from "../errors.ts";

const answerSchema = z.union([z.number(), z.string()]);

const outcomeSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("answer"), value: answerSchema }),
  z.strictObject({
    kind: z.enum(["no-answer", "error", "timeout", "killed", "infrastructure"]),
    message: z.string(),
  }),
]);

const sampleSchema = z.strictObject({
  id: z.string(),
  question: z.string(),
  answer: answerSchema,
  sample: z.int().nonnegative(),
  text: z.string(),
  outcome: outcomeSchema,
  score: z.number(),
  correct: z.boolean(),
  isTruncated: z.boolean(),
  isDuplicate: z.boolean(),
});

/**
 * One answer of many to a question: `answer` is the gold answer, `sample` the place among the answers to this question,
 * `isDuplicate` whether one before it has the same text.
 */
export type Sample = z.infer<typeof sampleSchema>;

/** @throws UserError for a missing or empty file, or a line that is no sample */
export function readSamples(path: string): Sample[] {
  return readJsonl(path, sampleSchema).map(({ value }) => value);
}

/**
 * The samples of each question, in the file's order.
 *
 * @throws UserError when those of one question do not stand together
 */
export function groupSamples(samples: readonly Sample[]): Sample[][] {
  const groups = new Map<string, Sample[]>();
  let last: string | undefined;
  for (const sample of samples) {
    const group = groups.get(sample.id);
    if (group === undefined) groups.set(sample.id, [sample]);
    else if (sample.id === last) group.push(sample);
    else {
      throw new UserError(
        `expected the samples of question "${sample.id}" one after the other, found those of "${last}" between them; ` +
          "sort the file by question",
      );
    }
    last = sample.id;
  }
  return [...groups.values()];
}

export interface SamplesSummary {
  readonly questions: number;
  readonly samples: number;
  readonly correct: number;
  readonly duplicates: number;
  /** Questions with at least one right answer. */
  readonly solved: number;
  /** Programs that the sandbox failed to run; they count as wrong. */
  readonly infrastructureFailures: number;
}

/** Counts what a samples file holds. */
export function summariseSamples(groups: readonly (readonly Sample[])[]): SamplesSummary {
  const count = (holds: (sample: Sample) => boolean) =>
    groups.reduce((sum, group) => sum + group.filter(holds).length, 0);
  return {
    questions: groups.length,
    samples: count(() => true),
    correct: count(({ correct }) => correct),
    duplicates: count(({ isDuplicate }) => isDuplicate),
    solved: groups.filter((group) => group.some(({ correct }) => correct)).length,
    infrastructureFailures: count(({ outcome }) => outcome.kind === "infrastructure"),
  };
}
