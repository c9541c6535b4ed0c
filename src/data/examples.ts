// The project's own form of a data set: one JSON object per line, checked as it is read.
import { z } from "zod";
import { show, UserError } from "../errors.ts";
import { readJsonl } from "../formats/jsonl.ts";
import { readAnswer } from "./answer.ts";
import { isFiniteJson, type JsonValue } from "./json.ts";

/** Nothing that can be seen: spaces, line ends, characters without width. */
export const isBlank = (text: string) => /^[\s\p{Cf}]*$/u.test(text);

const visibleText = z.string().refine((text) => !isBlank(text), {
  error: ({ input }) =>
    `expected a text, found ${show(input)}, which is blank; correct the row or take it out`,
});

/** A gold answer that answers are compared with by number or choice. */
const comparable = z
  .union([z.number(), z.string()], {
    error: ({ input }) => `expected a number or a text, found ${show(input)}`,
  })
  .refine((answer) => unreadableGold(answer) === undefined, {
    error: ({ input }) => unreadableGold(input as number | string)!,
  });

/** A gold answer that a reward of another kind compares: any value that JSON can say. */
const anyAnswer = z.custom<JsonValue>(
  (answer) => answer !== undefined && isFiniteJson(answer as JsonValue),
  {
    error: ({ input }) => `expected any text or JSON value of finite numbers, found ${show(input)}`,
  },
);

/** What gold answers have to be: a number or a choice, or anything at all. */
export type GoldAnswers = "comparable" | "any";

/**
 * A question with its gold answer, and the chain of thought that reaches it where there is one. A row may have more columns,
 * which go with it to the reward.
 */
export interface Example {
  readonly id: string;
  readonly question: string;
  readonly cot?: string;
  readonly answer: JsonValue;
  readonly [column: string]: unknown;
}

const exampleSchema = (answer: z.ZodType<JsonValue>) =>
  z
    .unknown()
    .superRefine(refuseOtherForms)
    .pipe(
      z.looseObject({
        id: z.string().min(1),
        question: visibleText,
        cot: visibleText.exactOptional(),
        answer,
      }),
    );

const schemas: Readonly<Record<GoldAnswers, z.ZodType<Example>>> = {
  comparable: exampleSchema(comparable),
  any: exampleSchema(anyAnswer),
};

/** Columns of other tools' data sets. */
const otherForms = [["messages"], ["prompt", "completion"], ["prompt"]];

/** One message for a row of another tool's form, in place of one for each column that it lacks. */
function refuseOtherForms(row: unknown, context: z.RefinementCtx): void {
  if (typeof row !== "object" || row === null || "question" in row) return;
  const other = otherForms.find((columns) => columns.every((column) => column in row));
  if (!other) return;
  context.addIssue({
    code: "custom",
    message:
      `expected the columns "id", "question", "answer" and, to train on, "cot", found ${other.map(show).join(" and ")}: ` +
      "bring the file into this form with `reft prepare-data own --from FILE` (docs/data.md)",
  });
}

/** Why a gold answer is refused that says neither a number nor a choice, so that no answer could ever be right; undefined for others. */
export function unreadableGold(answer: JsonValue): string | undefined {
  if (readAnswer(answer) !== undefined) return undefined;
  return (
    `expected one number (12, "1,234", "$5", "3/4", "7 apples") or a choice (a to e), which alone can be compared with answers, ` +
    `found ${show(answer)}; write it as a number or leave the question out`
  );
}

/**
 * Reads a data set.
 *
 * @param gold "comparable" refuses gold answers that are neither a number nor a choice
 * @throws UserError for a missing or empty file, a line that is no example, an answer that nothing can equal, or an id used twice
 */
export function readExamples(path: string, gold: GoldAnswers = "comparable"): Example[] {
  const lineOf = new Map<string, number>();
  return readJsonl(path, schemas[gold]).map(({ line, value }) => {
    const earlier = lineOf.get(value.id);
    if (earlier !== undefined) {
      throw new UserError(
        `${path}:${line}: id ${show(value.id)} is already used on line ${earlier}; give it another one`,
      );
    }
    lineOf.set(value.id, line);
    return value;
  });
}
