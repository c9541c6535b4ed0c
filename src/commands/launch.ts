// `reft launch`: runs a command as several processes that compute it together.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { launch } from "../tasks/launch.ts";

const options = {
  processes: {
    type: "number",
    demandOption: true,
    describe: "How many run the command that follows --: one for each GPU",
  },
} as const;

interface LaunchArguments extends InferredOptionTypes<typeof options> {
  /** What follows the two dashes. */
  readonly "--"?: readonly string[] | undefined;
}

export const launchCommand: CommandModule<object, LaunchArguments> = {
  command: "launch",
  describe: "Run a training or an evaluation as several processes, on several GPUs",
  builder: (yargs) => yargs.parserConfiguration({ "populate--": true }).options(options),
  handler: async ({ processes, "--": command = [] }) => {
    const code = await launch({ processes, command: command.map(String) });
    if (code !== 0) process.exit(code); // the first process has said why
  },
};
