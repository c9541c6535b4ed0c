// The project's own form of a data set: one JSON object per line, checked as it is read.
import { z } from "zod";
import { show, UserError } from "../errors.ts";
import { readJsonl } from "./jsonl.ts";

const exampleSchema = z.strictObject({
  id: z.string().min(1),
  question: z.string().min(1),
  cot: z.string().min(1).exactOptional(),
  answer: z.union([z.number(), z.string().min(1)], {
    error: ({ input }) => `expected a number or a text, received ${show(input)}`,
  }),
});

/** A question with its gold answer, and the chain of thought that reaches it where there is one. */
export type Example = z.infer<typeof exampleSchema>;

/**
 * Reads a data set.
 *
 * @throws UserError for a missing or empty file, a line that is no example, or an id used twice
 */
export function readExamples(path: string): Example[] {
  const lineOf = new Map<string, number>();
  return readJsonl(path, exampleSchema).map(({ line, value }) => {
    const earlier = lineOf.get(value.id);
    if (earlier !== undefined) {
      throw new UserError(`${path}:${line}: id "${value.id}" is already used on line ${earlier}`);
    }
    lineOf.set(value.id, line);
    return value;
  });
}
