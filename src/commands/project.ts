// What a command takes from the folder that it is typed in, where an option is not given: the files and runs of a project (reft init).
import { UserError } from "../errors.ts";
import { isThere } from "../folders.ts";
import { say } from "../terminal.ts";

/**
 * The option as it was given, else the first of the usual places that is there, which is said.
 *
 * @throws UserError where none is there
 */
export function fromProject(
  option: string,
  given: string | undefined,
  places: readonly string[],
): string {
  if (given !== undefined) return given;
  const found = places.find(isThere);
  if (found === undefined) {
    throw new UserError(
      `--${option}: expected a value, or ${places.join(" or ")} in this folder, found neither; ` +
        "give one, or begin a project with `npx reft init FOLDER`",
    );
  }
  say(`--${option} ${found}`);
  return found;
}

/** The runs whose model is asked where none is named. */
export const projectModels = ["runs/reft", "runs/sft", "runs/warmup"];
