/**
 * A mistake that the user can repair: bad input, a wrong setting, a missing file, a full disk.
 * The message says what was expected, what was found, where, and what to do. It is printed without a stack, exit code 1.
 */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** Narrows an unknown thrown value to the text that a user can read. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
