// How many steps in a row have had a sign, also over the stops of a run.

export interface Streaks {
  /** Counts a step. @returns steps in a row with the sign of this name, this one included; 0 where it has not the sign */
  count(name: string, isSeen: boolean): number;
  /** All counts up to now, by name. */
  counts(): Record<string, number>;
}

/** @param before counts of a run that goes on */
export function createStreaks(
  names: readonly string[],
  before: Readonly<Record<string, number>>,
): Streaks {
  const counts = new Map(names.map((name) => [name, before[name] ?? 0]));
  return {
    count(name, isSeen) {
      const count = isSeen ? counts.get(name)! + 1 : 0;
      counts.set(name, count);
      return count;
    },
    counts: () => Object.fromEntries(counts),
  };
}
