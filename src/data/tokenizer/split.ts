// Cuts a text at what an expression finds, as Rust's tokenizers do: one list of ranges that covers the text, then one of five
// behaviours. Reference: huggingface/tokenizers 0.23, tokenizer/pattern.rs and tokenizer/normalizer.rs.

/** What becomes of the delimiters. */
export const splitBehaviors = [
  "Isolated",
  "Removed",
  "MergedWithPrevious",
  "MergedWithNext",
  "Contiguous",
] as const;
export type SplitBehavior = (typeof splitBehaviors)[number];

/** A range of a text, found or between two that were found. */
export interface Range {
  readonly start: number;
  readonly end: number;
  readonly isMatch: boolean;
}

/**
 * Ranges that cover the text in order. No empty match is taken where the last match ended.
 *
 * @param pattern with the flag g
 */
export function findRanges(text: string, pattern: RegExp): Range[] {
  const ranges: Range[] = [];
  if (text === "") return ranges; // even where an empty match is wanted
  let covered = 0;
  let lastMatchEnd = -1;
  pattern.lastIndex = 0;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const start = match.index;
    const end = start + match[0].length;
    if (isWithinPair(text, start)) {
      pattern.lastIndex = start + 1;
      continue;
    }
    if (start === end && end === lastMatchEnd) {
      pattern.lastIndex = end + (text.codePointAt(end)! > 0xffff ? 2 : 1);
      if (pattern.lastIndex > text.length) break;
      continue;
    }
    if (covered < start) ranges.push({ start: covered, end: start, isMatch: false });
    ranges.push({ start, end, isMatch: true });
    covered = end;
    lastMatchEnd = end;
  }
  if (covered < text.length) ranges.push({ start: covered, end: text.length, isMatch: false });
  return ranges;
}

/** V8 finds what only looks around, such as "\\B", between the two halves of a character, too. */
function isWithinPair(text: string, index: number): boolean {
  return (text.charCodeAt(index) & 0xfc00) === 0xdc00; // the text is well-formed: the other half precedes it
}

/** The parts of a text that the behaviour leaves, without empty ones. */
export function split(
  text: string,
  pattern: RegExp,
  behavior: SplitBehavior,
  isInverted = false,
): string[] {
  const found = findRanges(text, pattern);
  const ranges = isInverted ? found.map((range) => ({ ...range, isMatch: !range.isMatch })) : found;
  const parts: string[] = [];
  for (const { start, end } of joinRanges(ranges, behavior)) {
    if (start < end) parts.push(text.slice(start, end));
  }
  return parts;
}

function joinRanges(ranges: readonly Range[], behavior: SplitBehavior): readonly Range[] {
  switch (behavior) {
    case "Isolated":
      return ranges;
    case "Removed":
      return ranges.filter(({ isMatch }) => !isMatch);
    case "Contiguous":
      return joinWhere(ranges, (range, previous) => range.isMatch === previous);
    case "MergedWithPrevious":
      return joinWhere(ranges, (range, previous) => range.isMatch && !previous);
    case "MergedWithNext":
      return joinWhere(
        ranges.toReversed(),
        (range, previous) => range.isMatch && !previous,
      ).reverse();
  }
}

/** @param joins whether a range goes to the one before it, of which it is told whether it was found */
function joinWhere(
  ranges: readonly Range[],
  joins: (range: Range, previousIsMatch: boolean) => boolean,
): Range[] {
  const joined: Range[] = [];
  let previousIsMatch = false;
  for (const range of ranges) {
    const last = joined.at(-1);
    if (last && joins(range, previousIsMatch)) {
      const [start, end] = [Math.min(last.start, range.start), Math.max(last.end, range.end)];
      joined[joined.length - 1] = { ...last, start, end };
    } else {
      joined.push(range);
    }
    previousIsMatch = range.isMatch;
  }
  return joined;
}
