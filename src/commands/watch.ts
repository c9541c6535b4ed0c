// `reft watch`: serves the report of runs that go on, until Ctrl-C.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { watch } from "../tasks/watch.ts";
import { print } from "../terminal.ts";

const folders = {
  type: "string",
  array: true,
  demandOption: true,
  describe: "Runs, or folders that hold them, as that of reft run",
} as const;
const options = {
  port: { type: "number", default: 8080, describe: "Of this machine alone; 0: any that is free" },
} as const;

type Arguments = InferredOptionTypes<typeof options & { folders: typeof folders }>;

export const watchCommand: CommandModule<object, Arguments> = {
  command: "watch <folders..>",
  describe: "Follow runs that go on in a page of this machine",
  builder: (cli) => cli.positional("folders", folders).options(options),
  handler: async ({ folders, port }) => {
    const { url } = await watch(folders, port);
    print(`${url} follows ${folders.join(", ")}; Ctrl-C ends it, and no run`);
    await new Promise(() => {}); // Ctrl-C ends the process
  },
};
