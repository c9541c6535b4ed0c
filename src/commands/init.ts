// `reft init`: makes the folder of a project, and says what to type in it.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { initProject, projectTasks } from "../tasks/initProject.ts";
import { print } from "../terminal.ts";

const folder = { type: "string", demandOption: true, describe: "New folder" } as const;
const options = {
  task: {
    choices: projectTasks,
    demandOption: true,
    describe: "Problems to learn: a data set, or your own",
  },
  model: {
    type: "string",
    describe: "Pretrained model to start from; without it a tiny one is made from scratch",
  },
} as const;

type Arguments = InferredOptionTypes<typeof options & { folder: typeof folder }>;

export const initCommand: CommandModule<object, Arguments> = {
  command: "init <folder>",
  describe: "Begin a project: a folder with a configuration for each stage",
  builder: (cli) => cli.positional("folder", folder).options(options),
  handler: (args) => {
    initProject(args);
    print(`${args.folder}: made. README.md there says what to type, beginning with the data.`);
  },
};
