// `reft launch`: runs a command as several processes that compute it together.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { launch } from "../tasks/launch.ts";

const options = {
  processes: {
    type: "number",
    demandOption: true,
    describe: "How many run the command that follows --, on each machine: one for each GPU",
  },
  hosts: {
    type: "string",
    describe: "File of all machines that this is started on, a host[:port] a line",
  },
  host: {
    type: "string",
    describe: "This machine's name in that file, if it is not its own name or address",
  },
} as const;

interface LaunchArguments extends InferredOptionTypes<typeof options> {
  /** What follows the two dashes. */
  readonly "--"?: readonly string[] | undefined;
}

export const launchCommand: CommandModule<object, LaunchArguments> = {
  command: "launch",
  describe: "Run a training or an evaluation as several processes, on several GPUs",
  builder: (yargs) => yargs.options(options),
  handler: async ({ processes, hosts, host, "--": command = [] }) => {
    const code = await launch({ processes, hosts, host, command: command.map(String) });
    if (code !== 0) process.exit(code); // the first process has said why
  },
};
