// Takes the dev and test splits, and problems to be learned from answers alone, out of the training rows.
import { UserError } from "../errors.ts";
import { Rng } from "../rng.ts";
import type { Example } from "./examples.ts";
import { groupBy } from "./groupBy.ts";
import { questionKey } from "./questionKey.ts";

/** Questions that share so much of their word pairs are variants of each other. */
const variantSimilarity = 0.8;

/** How a split is taken out of the rows. */
export interface Carving {
  readonly split: "dev" | "test";
  /** How many questions. */
  readonly count: number;
  readonly seed: number;
  /** Take questions that have variants, too, as all do that are made of few templates. Undefined: a caller has no such choice. */
  readonly allowsVariants?: boolean;
}

/**
 * Takes questions out of the rows to choose steps and settings on, or to test on. A question of which a variant stays to be trained
 * on would say how well a model repeats it: only questions unlike all others are taken.
 *
 * @returns all other rows, and the questions taken without their chains of thought, both in the order of the rows
 * @throws UserError where there are too few such questions
 */
export function carve(
  rows: readonly Example[],
  { split, count, seed, allowsVariants }: Carving,
): { rest: Example[]; carved: Example[] } {
  const isUnlikeOthers = allowsVariants ? differsFromOthers(rows) : isNoVariantOfOthers(rows);
  const chosen = new Set<Example>();
  for (const row of Rng.named(seed, `${split} split`).shuffled([...rows.keys()])) {
    if (chosen.size === count) break;
    if (isUnlikeOthers(row)) chosen.add(rows[row]!);
  }
  if (chosen.size < count || count === rows.length) {
    const most = Math.min(chosen.size, rows.length - 1);
    const choice = "; where questions are made of templates, allowVariants takes such, too";
    const reason =
      chosen.size > most
        ? `one of the ${rows.length} questions that are there for it has to be left to train on`
        : `no more of the ${rows.length} questions are unlike all others`;
    throw new UserError(
      `${split}: expected at most ${most}, because ${reason}, found ${count}` +
        (allowsVariants === false && chosen.size === most ? choice : ""),
    );
  }
  return {
    rest: rows.filter((row) => !chosen.has(row)),
    carved: rows.filter((row) => chosen.has(row)).map(withoutCot),
  };
}

function isNoVariantOfOthers(rows: readonly Example[]): (row: number) => boolean {
  const pairs = rows.map(({ question }) => wordPairs(question));
  return (row) =>
    pairs.every((other, i) => i === row || similarity(pairs[row]!, other) < variantSimilarity);
}

function differsFromOthers(rows: readonly Example[]): (row: number) => boolean {
  const keys = rows.map(({ question }) => questionKey(question));
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return (row) => counts.get(keys[row]!) === 1;
}

/**
 * Holds back the chains of thought of some rows. Rows of the same question stay together.
 *
 * @param count of these rows
 * @returns the others, and the held-back ones without their chains of thought, both in the order of the rows
 * @throws UserError where no row would be left
 */
export function holdBack(
  rows: readonly Example[],
  count: number,
  seed: number,
): { train: Example[]; answerOnly: Example[] } {
  const groups = groupBy(rows, ({ question }) => questionKey(question));
  const chosen = new Set<Example>();
  for (const same of Rng.named(seed, "answer-only split").shuffled(groups)) {
    if (chosen.size + same.length > count) continue;
    for (const row of same) chosen.add(row);
  }
  if (chosen.size < count || count === rows.length) {
    const fewest = Math.min(...groups.map((same) => same.length));
    const most = Math.min(chosen.size, rows.length - fewest);
    throw new UserError(
      `answerOnly: expected at most ${most}, because a chain of thought has to be left to train on, and rows of one question stay together, found ${count}`,
    );
  }
  return {
    train: rows.filter((row) => !chosen.has(row)),
    answerOnly: rows.filter((row) => chosen.has(row)).map(withoutCot),
  };
}

function withoutCot({ cot, ...others }: Example): Example {
  return others;
}

/**
 * Finds the rows of which a variant stands among others, without comparing each with each: of two questions that share 80 % of their
 * word pairs, the rarest 20 % and one more of both have a pair in common. Reference: Bayardo, Ma and Srikant 2007, "Scaling up all
 * pairs similarity search" (prefix filter).
 */
export function withVariantAmong(rows: readonly Example[], others: readonly Example[]): Example[] {
  const rowPairs = rows.map(({ question }) => wordPairs(question));
  const otherPairs = others.map(({ question }) => wordPairs(question));
  const counts = new Map<string, number>();
  for (const pair of [...rowPairs, ...otherPairs].flatMap((pairs) => [...pairs]))
    counts.set(pair, (counts.get(pair) ?? 0) + 1);
  const rarest = (pairs: ReadonlySet<string>) =>
    [...pairs]
      .sort((a, b) => counts.get(a)! - counts.get(b)! || (a < b ? -1 : 1))
      .slice(0, pairs.size - Math.ceil(variantSimilarity * pairs.size - 1e-9) + 1);
  const having = new Map<string, ReadonlySet<string>[]>();
  for (const pairs of otherPairs)
    for (const pair of rarest(pairs)) {
      const found = having.get(pair);
      if (found) found.push(pairs);
      else having.set(pair, [pairs]);
    }
  return rows.filter((_, i) =>
    rarest(rowPairs[i]!).some((pair) =>
      having.get(pair)?.some((other) => similarity(rowPairs[i]!, other) >= variantSimilarity),
    ),
  );
}

/** Neighbouring words, whatever their case, spelling and punctuation; one number is like another. */
function wordPairs(question: string): ReadonlySet<string> {
  const words = questionKey(question).match(/\p{L}+|\d[\d.,]*/gu) ?? [];
  const masked = words.map((word) => (/^\d/.test(word) ? "0" : word));
  return new Set(masked.map((word, i) => `${word} ${masked[i + 1] ?? ""}`));
}

/** Jaccard's: what both have, as a share of what either has. Reference: Broder 1997, "On the resemblance of documents". */
function similarity(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  if (Math.min(a.size, b.size) < variantSimilarity * Math.max(a.size, b.size)) return 0;
  let both = 0;
  for (const pair of a) if (b.has(pair)) both++;
  return both / (a.size + b.size - both);
}
