// The output file of a task that writes JSON lines.
import { existsSync, realpathSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../errors.ts";
import { makeFolder } from "../folders.ts";

/** Empties the output file, or makes it. @throws UserError if it is the input */
export function prepareOutput(output: string, input: string): void {
  if (existsSync(output) && realpathSync(output) === realpathSync(input)) {
    throw new UserError(`output: expected another file than input, found ${output} for both`);
  }
  makeFolder(dirname(output));
  writeFileSync(output, "");
}
