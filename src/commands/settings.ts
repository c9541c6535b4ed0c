// `reft settings`: prints every setting of a stage, to read or as a JSON schema.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { describeSettings } from "../tasks/describeSettings.ts";
import { settingsKinds, settingsSchema } from "../tasks/settingRows.ts";
import { print } from "../terminal.ts";

const stage = {
  choices: settingsKinds,
  demandOption: true,
  describe: "Whose settings: a stage's, or those of `reft run`",
} as const;
const options = {
  json: { type: "boolean", describe: "Print a JSON schema, for editors and other tools" },
} as const;

type Arguments = InferredOptionTypes<typeof options & { stage: typeof stage }>;

export const settingsCommand: CommandModule<object, Arguments> = {
  command: "settings <stage>",
  describe: "Every setting of a stage, with its meaning; as a JSON schema with --json",
  builder: (cli) => cli.positional("stage", stage).options(options),
  handler: ({ stage, json }) => {
    print(json ? JSON.stringify(settingsSchema(stage), null, 2) : describeSettings(stage));
  },
};
