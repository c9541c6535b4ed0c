// What is asked, and by which stream of chance each answer is drawn.
import { Rng } from "../rng.ts";

/**
 * So many requests of each item, side by side. Each has a stream of its own, named after the item and its number.
 *
 * @param nameOf what the streams of an item are named after
 */
export function requestsOf<T extends object>(
  items: readonly T[],
  samples: number,
  seed: number,
  nameOf: (item: T) => string,
): (T & { readonly rng: Rng })[] {
  return items.flatMap((item) =>
    Array.from({ length: samples }, (_, i) => ({
      ...item,
      rng: Rng.named(seed, `${nameOf(item)} sample ${i}`),
    })),
  );
}
