// What the parts of tokenizer.json have in common: a kind, patterns, and how they are refused.
import { z } from "zod";
import { UserError } from "../../errors.ts";
import { checkValue } from "../jsonl.ts";

const part = z.looseObject({ type: z.string() });

/** The kind of a part. @throws UserError if it names none */
export function kindOf(json: unknown, where: string): string {
  return checkValue(json, where, part).type;
}

/** Levels of JSON that the Rust library reads. */
const deepest = 128;

/** @throws UserError for a value nested deeper than the Rust library reads: it is no tokenizer, and would exhaust the stack */
export function checkDepth(json: unknown, where: string, level = 1): void {
  if (typeof json !== "object" || json === null) return;
  if (level > deepest) throw new UserError(`${where}: nested deeper than ${deepest} levels`);
  for (const value of Object.values(json)) checkDepth(value, where, level + 1);
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
