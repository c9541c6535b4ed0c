// A sandbox and a judge that run nothing: what comes out of a text is a function of it.
import type { Outcome } from "../../src/reward/outcome.ts";
import type { Sandbox } from "../../src/reward/sandbox/sandbox.ts";
import { Rng } from "../../src/rng.ts";

/** Stands in for the sandbox. */
export function fakeSandbox(
  outcomeOf: (program: string) => Outcome,
): Pick<Sandbox, "run" | "close"> {
  return { run: async (program) => outcomeOf(program), close: async () => {} };
}

/** The same number in [0, 1) for the same text, so that every kind of outcome occurs and none depends on chance. */
export function shareOf(text: string): number {
  return Rng.named(0, text).uniform();
}

/** Stands in for a judge: a function of the text says what is right. */
export const fakeJudge =
  (isCorrect: (text: string) => boolean) =>
  async ({ text }: { text: string }) => {
    const correct = isCorrect(text);
    const outcome = { kind: "answer", value: Number(correct) };
    return { outcome, score: Number(correct), correct, extracted: true };
  };
