// What k answers to a question are worth on average over all choices of k from the n that were sampled: exact, nothing is drawn.
import type { Candidate } from "./vote.ts";

/**
 * The share of all choices of k candidates with a right one among them:
 *
 *     pass@k = 1 - C(n - c, k) / C(n, k),  c of n are right
 *
 * as a product, because the binomials overflow.
 * Reference: Chen et al., Evaluating Large Language Models Trained on Code, arXiv 2107.03374, eq. 1.
 */
export function passAtK(candidates: readonly Candidate[], k: number): number {
  const n = checkedCount(candidates, k);
  const correct = candidates.filter((candidate) => candidate.correct).length;
  let noneRight = 1;
  for (let i = 0; i < correct; i++) noneRight *= Math.max(0, n - k - i) / (n - i);
  return 1 - noneRight;
}

/**
 * The share of all choices of k candidates whose best one is right. The best one has the highest P(correct) of those with
 * an answer; of equals the one sampled first. The candidate at rank i, counted from 0, is the best of a choice that has it and
 * none before it:
 *
 *     rerank@k = sum over the right ones of C(n - 1 - i, k - 1) / C(n, k)
 */
export function rerankAtK(candidates: readonly Candidate[], k: number): number {
  const n = checkedCount(candidates, k);
  const ranked = candidates
    .filter(({ answer }) => answer !== undefined)
    .toSorted((a, b) => b.probability! - a.probability!); // stable: equals stay in the order of sampling
  let noneBefore = 1;
  let share = 0;
  for (const [i, { correct }] of ranked.entries()) {
    if (correct) share += (noneBefore * k) / (n - i);
    noneBefore *= Math.max(0, n - k - i) / (n - i);
  }
  return Math.min(1, share); // rounding
}

function checkedCount({ length }: readonly Candidate[], k: number): number {
  if (!(k >= 1 && k <= length))
    throw new Error(`expected k from 1 to ${length} candidates, got ${k}`);
  return length;
}
