// What many sampled answers to each question are worth: by vote, by the classifier, and at best.
import type { Sample } from "../reward/samples.ts";
import { Rng } from "../rng.ts";
import { passAtK, rerankAtK } from "./atK.ts";
import { type Candidate, createVote } from "./vote.ts";

/** All sampled answers to one question, in the order of sampling. */
export interface Pool {
  readonly id: string;
  readonly candidates: readonly Candidate[];
}

/**
 * The pool of each question that was sampled. What is right was decided when the samples were judged.
 *
 * @param probabilities of a classifier for each sample, if there is one
 */
export function poolsOf(
  groups: readonly (readonly Sample[])[],
  probabilities?: readonly (readonly number[])[],
): Pool[] {
  return groups.map((group, g) => ({
    id: group[0]!.id,
    candidates: group.map(({ outcome, correct, vote }, i) => ({
      answer: outcome.kind === "answer" ? outcome.value : undefined,
      correct,
      ...(vote !== undefined && { vote }),
      ...(probabilities && { probability: probabilities[g]![i]! }),
    })),
  }));
}

/** Ways to get one answer out of k; `pass` is the choice of one who knows the gold answer. */
export const methods = ["voting", "weightedVoting", "reranking", "pass"] as const;
export type Method = (typeof methods)[number];

/** How a question was answered, by metric (`top1`, `voting@10`): 0 wrong, 1 right, between them a mean over choices of k samples. */
export interface QuestionShares {
  readonly id: string;
  readonly shares: Readonly<Record<string, number>>;
}

const usualSizes = [1, 2, 5, 10, 20, 50, 100];

/** The sizes of pools that are reported where so many answers were sampled: the usual ones, and all. */
export function poolSizes(samples: number): number[] {
  return [...usualSizes.filter((k) => k < samples), samples];
}

/** Random choices of k samples over which a vote is averaged. */
const drawnOrders = 100;

/**
 * The share of every method at every k, under names like `voting@10`. Those that need a classifier are there when every
 * candidate has a probability. At k = n the whole pool is used as it was sampled. Below, `pass` and `reranking` are exact means
 * over all choices of k; votes are `pass` times the share that they win of those choices that hold a right answer, among the first
 * k of 100 random orders of the pool. So a vote never has more than `pass`.
 *
 * @param seed decides, with a question's id, its random orders
 */
export function measurePools(
  pools: readonly Pool[],
  ks: readonly number[],
  seed: number,
): QuestionShares[] {
  const areJudged = pools.every(({ candidates }) =>
    candidates.every(({ probability }) => probability !== undefined),
  );
  return pools.map(({ id, candidates }) => {
    const votes = createVoteShares(candidates, Rng.named(seed, `votes ${id}`));
    const shareOf: Readonly<Record<Method, (k: number) => number>> = {
      voting: (k) => votes(k, () => 1),
      weightedVoting: (k) => votes(k, ({ probability }) => probability!),
      reranking: (k) => rerankAtK(candidates, k),
      pass: (k) => passAtK(candidates, k),
    };
    const measured = methods.filter((name) => areJudged || name === "voting" || name === "pass");
    const shares = measured.flatMap((name) => ks.map((k) => [`${name}@${k}`, shareOf[name](k)]));
    return { id, shares: Object.fromEntries(shares) };
  });
}

function createVoteShares(candidates: readonly Candidate[], rng: Rng) {
  const vote = createVote(candidates);
  const all = [...candidates.keys()];
  const orders = Array.from({ length: drawnOrders }, () => rng.shuffled(all));
  return (k: number, weightOf: (candidate: Candidate) => number): number => {
    if (k === 1) return passAtK(candidates, k); // a single candidate wins every vote
    const choices = k === all.length ? [all] : orders.map((order) => order.slice(0, k));
    const winnable = choices.filter((chosen) => chosen.some((i) => candidates[i]!.correct));
    const won = winnable.filter((chosen) => vote(chosen, weightOf)?.correct).length;
    return won === 0 ? 0 : passAtK(candidates, k) * (won / winnable.length);
  };
}
