// `reft compare`: prints the comparison of two evaluations, and writes its figures.
import { dirname } from "node:path";
import type { CommandModule, InferredOptionTypes } from "yargs";
import { fitTables } from "../evaluate/fitTables.ts";
import { tryFolder } from "../folders.ts";
import { jsonText, writeFileAtomically } from "../formats/jsonl.ts";
import { compare, comparisonTable } from "../tasks/compare.ts";
import { columnsOf, print } from "../terminal.ts";

const folder = (which: string) =>
  ({
    type: "string",
    demandOption: true,
    describe: `${which} evaluation, the --output of reft evaluate`,
  }) as const;
const folders = { a: folder("First"), b: folder("Second") };
const options = {
  output: { type: "string", describe: "JSON file for the same figures, unrounded" },
} as const;

type Arguments = InferredOptionTypes<typeof folders & typeof options>;

export const compareCommand: CommandModule<object, Arguments> = {
  command: "compare <a> <b>",
  describe: "Compare two evaluations of the same questions with a paired test",
  builder: (cli) => cli.positional("a", folders.a).positional("b", folders.b).options(options),
  handler: ({ a, b, output }) => {
    if (output !== undefined) tryFolder(dirname(output));
    const comparison = compare(a, b);
    if (output !== undefined) writeFileAtomically(output, jsonText(comparison));
    print(fitTables(comparisonTable(comparison), columnsOf(process.stdout)));
  },
};
