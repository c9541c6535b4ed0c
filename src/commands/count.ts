// Flags that count something.
import { UserError } from "../errors.ts";

/** @throws UserError unless the flag's value is a whole number of at least 1 */
export function checkCount(flag: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new UserError(`--${flag}: expected a whole number of at least 1, found ${value}`);
}
