// What somebody who typed a name that does not exist may have meant.
import { distance } from "fastest-levenshtein";

/**
 * The names that are nearest to a word, in their order: those that begin with it (`train` for `train-sft` and `train-reft`), else
 * those with the fewest letters changed, at most two or one in three.
 */
function nearest(word: string, names: readonly string[]): string[] {
  const longer = names.filter((name) => name.startsWith(word));
  if (word.length > 1 && longer.length > 0) return longer;
  const distances = names.map((name) => distance(word, name));
  const least = Math.min(...distances);
  return least <= Math.max(word.length / 3, 2)
    ? names.filter((_, index) => distances[index] === least)
    : [];
}

/** "; did you mean train-sft or train-reft?", or nothing where no name is near. */
export function suggestion(word: string, names: readonly string[]): string {
  const near = nearest(word, names);
  return near.length === 0 ? "" : `; did you mean ${near.join(" or ")}?`;
}
