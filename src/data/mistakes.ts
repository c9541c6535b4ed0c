// Mistakes in files, gathered so that one message names them all.
import { firstOf, UserError } from "../errors.ts";

/** Runs a reader; what the user can repair is added to the mistakes. @returns what was read, or undefined */
export function gather<T>(mistakes: string[], read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    mistakes.push(error.message);
    return undefined;
  }
}

/** @throws UserError that lists the mistakes, where there are any: the first of them, and how many more */
export function refuse(mistakes: readonly string[]): void {
  if (mistakes.length === 0) return;
  if (mistakes.length === 1) throw new UserError(mistakes[0]!);
  throw new UserError(
    `${mistakes.length} mistakes in the data; nothing was written:\n  ${firstOf(mistakes, "\n  ")}`,
  );
}
