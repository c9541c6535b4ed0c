// How long the texts of a file are.

export interface Lengths {
  readonly median: number;
  /** 19 of 20 texts are no longer. */
  readonly at95: number;
  readonly most: number;
}

/** @param lengths of all texts, in any unit; without any the figures are 0 */
export function lengthsOf(lengths: readonly number[]): Lengths {
  const sorted = lengths.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
  return { median: at(0.5), at95: at(0.95), most: at(1) };
}
