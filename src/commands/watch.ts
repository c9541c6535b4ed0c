// `reft watch`: serves the report of runs that go on, until Ctrl-C.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { interrupted } from "../run/interrupts.ts";
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
    const { url, close } = await watch(folders, port);
    const ended = interrupted();
    print(`${url} follows ${folders.join(", ")}; Ctrl-C ends it, and no run`);
    await ended;
    close();
  },
};
