// `reft execute`: the sandbox as a tool. Programs in, what came out of each, in the same order.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { z } from "zod";
import { appendJsonl, readJsonl } from "../data/jsonl.ts";
import type { Outcome } from "../reward/outcome.ts";
import { createSandbox, type SandboxOptions } from "../reward/sandbox/sandbox.ts";
import { print } from "../terminal.ts";
import { prepareOutput } from "./output.ts";

interface ExecuteArguments extends SandboxOptions {
  readonly input: string;
  readonly output: string;
}

const programLine = z.object({ id: z.union([z.string(), z.number()]), program: z.string() });

/** "1000 programs in 3.1 s: 323 programs per second; 990 answer, 10 timeout" */
export function summary(kinds: readonly Outcome["kind"][], seconds: number): string {
  const counts = new Map<string, number>();
  for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const parts = [...counts].map(([kind, count]) => `${count} ${kind}`).join(", ");
  const rate = (kinds.length / seconds).toPrecision(3);
  return `${kinds.length} programs in ${seconds.toFixed(1)} s: ${rate} programs per second; ${parts}`;
}

/**
 * Runs every program of a JSONL file and appends each outcome as soon as those before it are written.
 * @returns The summary line.
 */
export async function execute(given: ExecuteArguments): Promise<string> {
  const { input, output, timeoutSeconds, workers, memoryMegabytes } = given;
  const lines = readJsonl(input, programLine);
  prepareOutput(output, input);
  const sandbox = await createSandbox({ timeoutSeconds, workers, memoryMegabytes });
  try {
    const start = performance.now();
    const running = lines.map(({ value: { id, program } }) => ({
      id,
      outcome: sandbox.run(program),
    }));
    const kinds: Outcome["kind"][] = [];
    for (const { id, outcome } of running) {
      appendJsonl(output, { id, outcome: await outcome });
      kinds.push((await outcome).kind);
    }
    return summary(kinds, (performance.now() - start) / 1000);
  } finally {
    await sandbox.close();
  }
}

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
