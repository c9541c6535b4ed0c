// `reft report`: writes one page of HTML about runs and evaluations.
import { dirname } from "node:path";
import type { CommandModule, InferredOptionTypes } from "yargs";
import { tryFolder } from "../folders.ts";
import { report } from "../tasks/report.ts";
import { print } from "../terminal.ts";

const folders = {
  type: "string",
  array: true,
  demandOption: true,
  describe: "Runs, evaluations, or folders that hold them, as that of reft run",
} as const;
const options = {
  output: { type: "string", default: "report.html", describe: "The page to write" },
} as const;

type Arguments = InferredOptionTypes<typeof options & { folders: typeof folders }>;

export const reportCommand: CommandModule<object, Arguments> = {
  command: "report <folders..>",
  describe: "Show runs in one page: curves, alarms, completions, evaluations, settings",
  builder: (cli) => cli.positional("folders", folders).options(options),
  handler: ({ folders, output }) => {
    tryFolder(dirname(output));
    const { runs, evaluations, notes } = report({ folders, output });
    for (const note of notes) print(note);
    print(
      `${output}: runs ${runs.length}, evaluations ${evaluations.length}; open it in a browser`,
    );
  },
};
