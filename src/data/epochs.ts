// Which items a step of a run takes.
import { Rng } from "../rng.ts";

/**
 * The items of each step: every epoch is its own order of all items, a function of the seed and the epoch alone. The order of the
 * epoch at hand is kept, so that it is drawn once and not at every step.
 *
 * @param stepsPerEpoch rounded up, an epoch's last step has fewer items; rounded down, what does not fill a step is left out
 */
export function createEpochs<T>(
  items: readonly T[],
  batchSize: number,
  stepsPerEpoch: number,
  seed: number,
): (step: number) => T[] {
  let current = -1;
  let order: T[] = [];
  return (step) => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (epoch !== current) {
      order = Rng.named(seed, `epoch ${epoch}`).shuffled(items);
      current = epoch;
    }
    const begin = (step % stepsPerEpoch) * batchSize;
    return order.slice(begin, begin + batchSize);
  };
}
