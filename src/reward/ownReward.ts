// Rewards of users in JavaScript and TypeScript: a function that is called within limits, and whose result is checked.
import pLimit from "p-limit";
import { z } from "zod";
import type { JsonValue } from "../data/json.ts";
import { messageOf, show, UserError } from "../errors.ts";
import type { Outcome } from "./outcome.ts";
import type { Reward } from "./reward.ts";
import type { Extracted, Scored, Scorer } from "./scorer.ts";

export interface CallLimits {
  /** Of one call, by the clock. */
  readonly timeoutSeconds: number;
  /** Calls that run at the same time. */
  readonly concurrency: number;
}

export const usualLimits: CallLimits = { timeoutSeconds: 60, concurrency: 8 };

/** Figures that the run itself has under `reward/`. */
const taken = ["score", "correctFraction", "extractedFraction"];

const figure = z.union([z.number(), z.boolean().transform(Number)]); // finite; true is 1

const resultSchema = z.strictObject({
  score: figure,
  correct: z.boolean().optional(),
  vote: z.union([z.string(), z.number()]).nullable().optional(),
  logs: z.record(z.string(), figure).optional(),
});

/**
 * @param name in messages
 * @returns a scorer that throws a UserError with the row's id for what the reward throws, for a call without an end, and for a
 * result that is no score
 */
export function ownReward(
  name: string,
  reward: Reward,
  { timeoutSeconds, concurrency }: CallLimits = usualLimits,
): Scorer {
  const limit = pLimit(concurrency);
  const call = async ({ example, text, tokens, outcome }: Extracted): Promise<Scored> => {
    const { id, question, answer: gold } = example;
    const row = example as unknown as Readonly<Record<string, JsonValue>>;
    const called = async () => reward({ id, question, gold, row, text, tokens, outcome });
    try {
      return scoredBy(await within(timeoutSeconds, called()), outcome);
    } catch (error) {
      throw rewardError(name, id, describe(error));
    }
  };
  return (answer) => limit(call, answer);
}

/** One message for whatever goes wrong with a reward of a user. */
export function rewardError(name: string, id: string, problem: string): UserError {
  return new UserError(
    `the reward ${name} failed on row ${show(id)}: ${problem}. What was written before is intact`,
  );
}

/**
 * Reads what a reward gave: a score, or a score with more.
 *
 * @throws Error that says what is wrong with it
 */
export function scoredBy(result: unknown, { kind }: Outcome): Scored {
  const isPlain = typeof result === "number" || typeof result === "boolean";
  const parsed = resultSchema.safeParse(isPlain ? { score: Number(result) } : result);
  if (!parsed.success)
    throw new Error(
      `expected a finite number, or { score, correct, vote, logs } of which score alone is needed, found ${show(result)}`,
    );
  const { score, correct = score >= 1, vote, logs } = parsed.data;
  const clash = taken.find((name) => logs && name in logs);
  if (clash)
    throw new Error(`expected another name than "${clash}" in logs, which the run has itself`);
  return {
    score,
    correct,
    extracted: kind === "answer",
    ...(vote !== undefined && { vote: vote === null ? null : String(vote) }),
    ...(logs !== undefined && { logs }),
  };
}

async function within<T>(seconds: number, call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const end = () => reject(new Error(`no score within ${seconds} s`));
    // A step of the model holds up timers and answers alike: what has come meanwhile is heard first.
    timer = setTimeout(() => setImmediate(end), 1000 * seconds);
  });
  try {
    return await Promise.race([call, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** An error's own message, with its kind and the line that threw it, where that is the user's. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return `it threw ${show(error)}`;
  const place = /^ +at (?:.*\()?(\/.*?:\d+:\d+)\)?$/m.exec(error.stack ?? "")?.[1];
  const isUsers =
    place && ![import.meta.dirname, "/node_modules/"].some((of) => place.includes(of));
  const kind = error.name === "Error" ? "" : `${error.name}: `;
  return `${kind}${messageOf(error)}${isUsers ? ` (${place})` : ""}`;
}
