// The output file of a task that writes JSON lines.
import { writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../errors.ts";
import { isSamePlace, makeFolder } from "../folders.ts";

/** Empties the output file, or makes it. @throws UserError if it is the input */
export function prepareOutput(output: string, input: string): void {
  if (isSamePlace(output, input)) {
    throw new UserError(`output: expected another file than input, found ${output} for both`);
  }
  makeFolder(dirname(output));
  writeFileSync(output, "");
}
