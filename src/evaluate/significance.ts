// Could two models that answered the same questions be equally good? p-values, two-sided.
import type { Rng } from "../rng.ts";

export interface PairedTest {
  /** Two-sided. */
  readonly p: number;
  /** McNemar's where every question is right or wrong in both, else of the differences' signs. */
  readonly test: "McNemar" | "sign flips";
}

/** McNemar's exact test where every question is right or wrong, the sign-flip test where shares lie between. */
export function pairedTest(a: readonly number[], b: readonly number[], rng: Rng): PairedTest {
  const differences = b.map((share, i) => share - a[i]!);
  if (![...a, ...b].every((share) => share === 0 || share === 1))
    return { p: signFlipTest(differences, rng), test: "sign flips" };
  const count = (sign: number) => differences.filter((difference) => difference === sign).length;
  return { p: mcnemarTest(count(-1), count(1)), test: "McNemar" };
}

/**
 * The probability that fair coins split the questions on which the models disagree at least as unevenly:
 *
 *     p = 2 P(X <= min(onlyA, onlyB)), X ~ Binomial(onlyA + onlyB, 1/2), at most 1
 *
 * Reference: McNemar, Psychometrika 12 (1947), p. 153, in its exact form.
 *
 * @param onlyA questions that the first model alone has right
 */
export function mcnemarTest(onlyA: number, onlyB: number): number {
  const n = onlyA + onlyB;
  const fewer = Math.min(onlyA, onlyB);
  let logTerm = -n * Math.LN2; // of C(n, i) / 2^n, which itself underflows from n = 1,075 on
  let tail = Math.exp(logTerm);
  for (let i = 1; i <= fewer; i++) {
    logTerm += Math.log((n - i + 1) / i);
    tail += Math.exp(logTerm);
  }
  return Math.min(1, 2 * tail);
}

/** Random assignments of signs, where all are too many. */
const drawnFlips = 10_000;

/** Rounding may not tell sums apart that are equal. */
const tolerance = 1e-9;

/**
 * The share of all assignments of signs to the differences whose sum lies at least as far from 0: if the models are equally good, a
 * difference is as likely with the other sign. All assignments up to 13 differences, above that 10,000 random ones and the
 * observed one.
 * Reference: Phipson and Smyth, Permutation p-values should never be zero, arXiv 1603.05766.
 */
export function signFlipTest(differences: readonly number[], rng: Rng): number {
  const values = differences.filter((difference) => difference !== 0);
  const observed = Math.abs(values.reduce((sum, value) => sum + value, 0)) - tolerance;
  const assignments = 2 ** values.length;
  if (assignments <= drawnFlips) {
    let extreme = 0;
    for (let signs = 0; signs < assignments; signs++)
      extreme += Number(Math.abs(signedSum(values, () => signs)) >= observed);
    return extreme / assignments;
  }
  let extreme = 1;
  for (let flip = 0; flip < drawnFlips; flip++)
    extreme += Number(Math.abs(signedSum(values, () => rng.bits())) >= observed);
  return extreme / (drawnFlips + 1);
}

/** Each bit is the sign of one value; new bits are asked for every 32 values. */
function signedSum(values: readonly number[], nextBits: () => number): number {
  let [sum, bits] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    bits = i % 32 === 0 ? nextBits() : bits >>> 1;
    sum += bits & 1 ? values[i]! : -values[i]!;
  }
  return sum;
}
