// What the scripts share: reading options, and how a mistake of the user ends.
import yargs, { type Options } from "yargs";
import { asUserError, UserError } from "../src/errors.ts";
import { endOnInterrupt } from "../src/run/interrupts.ts";
import { say } from "../src/terminal.ts";

/**
 * The options given to the script. `--help` prints all of them and ends the process, and so does one that there is not.
 *
 * @param usage how the script is called
 */
export function readOptions<O extends Readonly<Record<string, Options>>>(
  usage: string,
  options: O,
) {
  return yargs(process.argv.slice(2))
    .usage(`${usage} [options]`)
    .options(options)
    .parserConfiguration({ "duplicate-arguments-array": false }) // the last one counts
    .version(false)
    .wrap(100)
    .strict()
    .parseSync();
}

/** A whole number from 1. @throws UserError for anything else */
export function countFrom(option: string, text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count > 0) return count;
  throw new UserError(`--${option}: expected a whole number from 1, found ${text}`);
}

/** Runs a script's work: a mistake of the user or Ctrl-C becomes one message and an exit code. */
export async function runScript(name: string, work: () => Promise<void>): Promise<void> {
  endOnInterrupt(name);
  try {
    await work();
  } catch (error) {
    const expected = asUserError(error);
    if (expected === undefined) throw error;
    say(`${name}: ${expected.message}`);
    process.exitCode = 1;
  }
}
