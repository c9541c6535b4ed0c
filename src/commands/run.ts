// `reft run`: the whole recipe from one file into one folder; prints the table of all models.
import { join } from "node:path";
import type { CommandModule } from "yargs";
import { parseOverride } from "../config.ts";
import { defaultRunFolder } from "../run/run.ts";
import { runRecipe } from "../tasks/runRecipe.ts";
import { print } from "../terminal.ts";
import { fromProject } from "./project.ts";

interface Arguments {
  readonly config?: string | undefined;
  readonly set?: readonly string[] | undefined;
  readonly output?: string | undefined;
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
    }),
  handler: async ({ config, set = [], output }) => {
    const file = fromProject("config", config, ["recipe.yaml"]);
    const folder = output ?? defaultRunFolder(file);
    const table = await runRecipe(file, set.map(parseOverride), folder);
    print(
      `\n${table}\nin ${join(folder, "results.md")}, with tables by the number of samples; every metric in results.json`,
    );
  },
};
