// Reading what a run may be writing, or another version has written.
import type { z } from "zod";

/** The value of a text of JSON; undefined where it is not whole, or of another kind. */
export function readableJson<T>(text: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
