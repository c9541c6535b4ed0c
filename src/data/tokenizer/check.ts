// What the parts of tokenizer.json have in common: a kind, patterns, and how they are refused.
import { z } from "zod";
import { UserError } from "../../errors.ts";
import { checkValue } from "../../formats/jsonl.ts";

const part = z.looseObject({ type: z.string() });

/** The kind of a part. @throws UserError if it names none */
export function kindOf(json: unknown, where: string): string {
  return checkValue(json, where, part).type;
}

/** Unicode's own forms make a character up to 18. */
const growth = 100;

/** @throws UserError where rules, one after the other, make a text far longer than any tokenizer does */
export function checkGrowth(before: number, after: number, where: string): void {
  if (after > growth * (before + 100))
    throw new UserError(`${where}: makes ${before} characters ${after}: use another tokenizer`);
}

/** @throws UserError that a rule is not supported */
export function refuse(where: string, rule: string): never {
  throw new UserError(
    `${where}: ${rule} is not supported; docs/models.md lists what is computed as Rust's tokenizers compute it`,
  );
}

/** A text or a regular expression of Oniguruma. */
export const patternSchema = z.union([
  z.strictObject({ String: z.string() }),
  z.strictObject({ Regex: z.string() }),
]);
export type Pattern = z.infer<typeof patternSchema>;
