// Whether the two sides computed the same: a benchmark whose sides disagree compares nothing.
import type { Precision } from "../../src/config.ts";
import type { Reply } from "./side.ts";

/** One figure that must not be larger than its limit. */
export interface Check {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
}

/** Losses and gradient norms: relative. */
const relativeLimit = 1e-3;
/** Log-probabilities and values: in nats, the largest over all tokens. */
const absoluteLimit = 1e-3;
/** How much wider limits are with bf16: each side rounds at places of its own, PyTorch the products' results, too. */
const bf16Allowance = 50;

export function allowFor(precision: Precision, checks: readonly Check[]): Check[] {
  const factor = precision === "bf16" ? bf16Allowance : 1;
  return checks.map((check) => ({ ...check, limit: check.limit * factor }));
}

/** @throws Error naming every check that failed */
export function requireAgreement(where: string, checks: readonly Check[]): void {
  const failed = checks.filter(({ value, limit }) => !(value <= limit)); // NaN fails
  if (failed.length === 0) return;
  const list = failed.map(({ name, value, limit }) => `${name} differ by ${value}, limit ${limit}`);
  throw new Error(`${where}: the two sides disagree: ${list.join("; ")}`);
}

/** Losses and gradients of the same updates. */
export function compareUpdates(ours: Reply, peer: Reply): Check[] {
  return (["losses", "gradNorms"] as const).map((name) => ({
    name,
    value: largest(ours[name]!, peer[name]!, (a, b) => Math.abs(a - b) / Math.abs(b)),
    limit: relativeLimit,
  }));
}

/** Numbers per response token. */
export function compareTokens(name: "logprobs" | "values", ours: Reply, peer: Reply): Check {
  const [a, b] = [ours[name]!, peer[name]!].map((rows) => rows.map((row) => row.length).join());
  const value = a === b ? largest(ours[name]!.flat(), peer[name]!.flat()) : Number.NaN;
  return { name, value, limit: absoluteLimit };
}

/** Answers of programs, or scores. */
export function compareAnswers(name: "answers" | "scores", ours: Reply, peer: Reply): Check {
  const ready = (reply: Reply) => reply[name]!.map((answer) => answer ?? 1e300); // none equals none
  return { name, value: largest(ready(ours), ready(peer)), limit: 1e-9 };
}

/** Whether responses are as long as they were meant to be, on either side. */
export function compareLengths(reply: Reply, wanted: readonly number[]): Check {
  const found = reply.responses!.map((response) => response.length);
  return { name: "lengths of responses", value: largest(found, wanted), limit: 0 };
}

/** The largest difference; NaN where there are not as many of both. */
function largest(
  a: readonly number[],
  b: readonly number[],
  difference = (x: number, y: number) => Math.abs(x - y),
): number {
  if (a.length !== b.length) return Number.NaN;
  return a.reduce((most, x, i) => {
    const value = difference(x, b[i]!);
    return value > most || Number.isNaN(value) ? value : most;
  }, 0);
}
