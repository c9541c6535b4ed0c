// Runs sftStep.ts in a process of its own.
import type { Precision } from "../../src/config.ts";
import { runFile } from "./runFile.ts";

interface SftStep {
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly number[]>>;
  readonly products: readonly number[];
  readonly difference: number;
}

/** What test/support/sftStep.ts prints, and what it says on stderr. */
export function runSftStep(
  precision: Precision,
  env: NodeJS.ProcessEnv = {},
): { out: SftStep; said: string } {
  const { stdout, stderr } = runFile("test/support/sftStep.ts", [precision], env);
  return { out: JSON.parse(stdout), said: stderr };
}

/** ‖a − b‖ / ‖b‖ */
export function relativeDistance(a: readonly number[], b: readonly number[]): number {
  const norm = (values: readonly number[]) => Math.hypot(...values);
  return norm(a.map((x, i) => x - b[i]!)) / norm(b);
}
