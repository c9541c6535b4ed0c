// Flags that count something.
import { UserError } from "../errors.ts";

/** @throws UserError unless the flag's value is a whole number, and large enough */
export function checkCount(flag: string, value: number, least: 0 | 1 = 1): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new UserError(`--${flag}: expected a whole number of at least ${least}, found ${value}`);
}
