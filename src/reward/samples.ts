// A samples file: many judged answers to each question, one per line, those to one question together.
import { z } from "zod";
import type { JsonValue } from "../data/json.ts";
import { show, UserError } from "../errors.ts";
import { readJsonl } from "../formats/jsonl.ts";

const answerSchema = z.custom<JsonValue>((value) => value !== undefined);

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
  vote: z.string().nullable().exactOptional(),
  isTruncated: z.boolean(),
  isDuplicate: z.boolean(),
});

/**
 * One answer of many to a question: `answer` is the gold answer, `sample` the place among the answers to this question,
 * `vote` what counts as the same answer in votes, where the reward says so, `isDuplicate` whether one before it has the same text.
 */
export type Sample = z.infer<typeof sampleSchema>;

/** Is this the answer of that number to the question with that id? */
export function isSample(value: unknown, id: string, sample: number): boolean {
  const { success, data } = sampleSchema.safeParse(value);
  return success && data.id === id && data.sample === sample;
}

/**
 * Reads the samples of each question, in the file's order.
 *
 * @throws UserError for a missing or empty file, and with the line where a value is no sample, where the samples of a question
 * do not stand together or where a sample stands twice
 */
export function readSampleGroups(path: string): Sample[][] {
  const groups = new Map<string, Sample[]>();
  let last: string | undefined;
  for (const { line, value: sample } of readJsonl(path, sampleSchema)) {
    const { id } = sample;
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [sample]);
    else if (id !== last) {
      throw new UserError(
        `${path}:${line}: expected the samples of question ${show(id)} one after the other, found those of ${show(last)} ` +
          "before this one; has a file been appended to itself or to another?",
      );
    } else if (group.some((other) => other.sample === sample.sample)) {
      throw new UserError(
        `${path}:${line}: expected a new sample of question ${show(id)}, found sample ${sample.sample} once more; ` +
          "take one of the two out",
      );
    } else group.push(sample);
    last = id;
  }
  return [...groups.values()];
}

/** Counts of what a samples file holds. */
export interface SamplesSummary {
  /** With at least one answer. */
  readonly questions: number;
  /** Answers to all of them. */
  readonly samples: number;
  /** Right answers. */
  readonly correct: number;
  /** Answers whose text an earlier one to the same question has. */
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
