// `reft execute`: runs programs in the sandbox, and prints how many of each outcome there were.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { execute } from "../tasks/execute.ts";
import { print } from "../terminal.ts";

const options = {
  input: {
    type: "string",
    demandOption: true,
    describe: 'JSONL file of {"id", "program"}; solution() is called',
  },
  output: {
    type: "string",
    demandOption: true,
    describe: 'JSONL file for {"id", "outcome"}, in the order of the input',
  },
  "timeout-seconds": {
    type: "number",
    default: 3,
    describe: "Processor time of one program",
  },
  workers: { type: "number", default: 2, describe: "Programs that run at once" },
  "memory-megabytes": {
    type: "number",
    default: 512,
    describe: "Python's memory for one program",
  },
} as const;

export const executeCommand: CommandModule<object, InferredOptionTypes<typeof options>> = {
  command: "execute",
  describe: "Run Python programs in the sandbox and write what came out of each",
  builder: options,
  handler: async (given) => {
    print(await execute(given));
  },
};
