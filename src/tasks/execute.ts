// The sandbox as a tool: programs in, what came out of each, in the same order.
import { z } from "zod";
import { appendJsonl, readJsonl } from "../formats/jsonl.ts";
import type { Outcome } from "../reward/outcome.ts";
import { createSandbox, type SandboxOptions } from "../reward/sandbox/sandbox.ts";
import { prepareOutput } from "./output.ts";

export interface ExecuteArguments extends SandboxOptions {
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
