// Options that count something.
import { UserError } from "../errors.ts";

/** @throws UserError unless the option is a whole number, and large enough */
export function checkCount(option: string, value: number, least: 0 | 1 = 1): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new UserError(`${option}: expected a whole number of at least ${least}, found ${value}`);
}
