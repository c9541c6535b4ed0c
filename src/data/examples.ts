// The project's own form of a data set: one JSON object per line, checked as it is read.
import { z } from "zod";
import { show, UserError } from "../errors.ts";
import { readAnswer } from "./answer.ts";
import { readJsonl } from "./jsonl.ts";

/** Nothing that can be seen: spaces, line ends, characters without width. */
export const isBlank = (text: string) => /^[\s\p{Cf}]*$/u.test(text);

const visibleText = z.string().refine((text) => !isBlank(text), {
  error: ({ input }) =>
    `expected a text, found ${show(input)}, which is blank; correct the row or take it out`,
});

const exampleSchema = z.looseObject({
  id: z.string().min(1),
  question: visibleText,
  cot: visibleText.exactOptional(),
  answer: z
    .union([z.number(), z.string()], {
      error: ({ input }) => `expected a number or a text, received ${show(input)}`,
    })
    .refine((answer) => readAnswer(answer) !== undefined, {
      error: ({ input }) => unreadableAnswer(input),
    }),
});

/** A question with its gold answer, the chain of thought that reaches it where there is one, and further columns. */
export type Example = z.infer<typeof exampleSchema>;

/** Why a gold answer is refused that says neither a number nor a choice, so that no answer could ever be right. */
function unreadableAnswer(answer: unknown): string {
  return (
    `expected one number (12, "1,234", "$5", "3/4", "7 apples") or a choice (a to e), which alone can be compared with answers, ` +
    `found ${show(answer)}; write it as a number or leave the question out`
  );
}

/**
 * Reads a data set.
 *
 * @throws UserError for a missing or empty file, a line that is no example, an answer that nothing can equal, or an id used twice
 */
export function readExamples(path: string): Example[] {
  const lineOf = new Map<string, number>();
  return readJsonl(path, exampleSchema).map(({ line, value }) => {
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
