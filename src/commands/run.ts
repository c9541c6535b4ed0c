// `reft run`: the whole recipe from one file into one folder; prints the table of all models.
import { join } from "node:path";
import type { CommandModule } from "yargs";
import { parseOverride } from "../config.ts";
import { UserError } from "../errors.ts";
import { fitTables } from "../evaluate/fitTables.ts";
import { defaultRunFolder } from "../run/run.ts";
import { describeRecipe } from "../tasks/planRecipe.ts";
import { planRecipe, runRecipe } from "../tasks/runRecipe.ts";
import { columnsOf, isAgreed, print } from "../terminal.ts";
import { fromProject } from "./project.ts";

interface Arguments {
  readonly config?: string | undefined;
  readonly set?: readonly string[] | undefined;
  readonly output?: string | undefined;
  readonly yes?: boolean | undefined;
  readonly "dry-run"?: boolean | undefined;
}

export const runCommand: CommandModule<object, Arguments> = {
  command: "run",
  describe: "The whole recipe, from the data to the table of all models",
  builder: (yargs) =>
    yargs.options({
      config: { type: "string", describe: "YAML file of the recipe [default: recipe.yaml]" },
      set: {
        type: "string",
        array: true,
        nargs: 1,
        describe: "Override a setting: stages.reft.set.training.maxSteps=20 (repeatable)",
      },
      output: {
        type: "string",
        describe:
          "Folder for everything; the same command goes on, and makes anew what has changed [default: runs/<experiment>-recipe]",
      },
      yes: { type: "boolean", describe: "Move away what has changed, and do not ask" },
      "dry-run": {
        type: "boolean",
        describe: "Say what would be done, why, and what each stage takes in memory; do nothing",
      },
    }),
  handler: async ({ config, set = [], output, yes, "dry-run": isDry }) => {
    const file = fromProject("config", config, ["recipe.yaml"]);
    const folder = output ?? defaultRunFolder(file);
    const overrides = set.map(parseOverride);
    if (isDry) {
      const [plan, memory] = [planRecipe, describeRecipe].map((of) => of(file, overrides, folder));
      return print(`${plan}\n\n${memory}`);
    }
    const options = yes
      ? {}
      : { beforeReplacing: (names: readonly string[]) => ask(names, folder) };
    const table = await runRecipe(file, overrides, folder, options);
    print(
      `\n${fitTables(table, columnsOf(process.stdout))}\nin ${join(folder, "results.md")}, with tables by the number of samples; every metric in results.json`,
    );
  },
};

/** @throws UserError where the user does not agree, or cannot be asked */
async function ask(names: readonly string[], folder: string): Promise<void> {
  const moved = `what is there of ${names.join(", ")} moves to ${join(folder, "replaced")}, to be made anew with all that reads from it`;
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new UserError(
      `${moved}, and nobody can be asked here: give --yes to go on, or the settings that it was made with. Nothing was changed`,
    );
  if (!(await isAgreed(`\n${moved}.\nGo on? [y/N] `)))
    throw new UserError("nothing was changed; the same command with --yes goes on without asking");
}
