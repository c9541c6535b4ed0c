// Sequences of different lengths become one rectangle of tokens: packed side by side, not padded one per row. On a CPU it is a
// single row, because attention there costs what the sequences ask for; on a GPU it is rows about as long as a few sequences,
// because attention there costs the square of a row's length.
// Sizes are rounded up to a few values, because a compiled step is traced once per shape.
import { usesNativeOps } from "../engine/tf.ts";

/** A prompt and what follows it. Only the response carries loss. */
export interface Sequence {
  readonly prompt: readonly number[];
  /** At least one token; usually ends in EOS. */
  readonly response: readonly number[];
}

/**
 * Rows of packed sequences. Responses to the same prompt share it: it stands once, each response after it sees it and not the
 * other responses. The last response token is predicted but never read, so it takes no place.
 * Predictions are listed sequence by sequence in the given order, then padding.
 */
export interface PackedBatch {
  readonly rows: number;
  readonly rowLength: number;
  /** [rows * rowLength]; 0 in empty places. */
  readonly tokens: Int32Array;
  /** [rows * rowLength], from 0 at each prompt's start, going on in each of its responses. */
  readonly positions: Int32Array;
  /** [rows * rowLength]; a number per response and per prompt, -1 in empty places. */
  readonly segments: Int32Array;
  /** [rows * rowLength]; the segment that a token sees beside its own: of a response, its prompt's; else its own. */
  readonly contexts: Int32Array;
  /** [predictions] places in the rectangle whose next token is predicted. */
  readonly places: Int32Array;
  /** [predictions] the tokens that follow. */
  readonly targets: Int32Array;
  /** How many of the predictions are real. */
  readonly predictions: number;
}

/**
 * Rounds a size up so that few different ones occur: four steps per doubling, at most a quarter (or a unit) too large.
 *
 * @param unit the result is a multiple of it
 */
export function bucketSize(size: number, unit: number): number {
  const step = Math.max(unit, 2 ** (Math.floor(Math.log2(Math.max(1, size))) - 2));
  const rounded = Math.ceil(step / unit) * unit;
  return Math.max(unit, Math.ceil(size / rounded) * rounded);
}

/** Tokens that a sequence takes in a row when it stands alone. */
export function inputLength({ prompt, response }: Sequence): number {
  return prompt.length + response.length - 1;
}

/** Sequences, by index, that stand together because their prompt is the same array. */
interface Group {
  readonly prompt: readonly number[];
  readonly members: number[];
  /** Tokens that it takes in a row. */
  length: number;
}

/** In several rows, a group ends where it would be longer than this and than the longest sequence. */
const longestGroup = 192;

function groupByPrompt(sequences: readonly Sequence[], isOneRow: boolean): Group[] {
  const limit = isOneRow ? Infinity : Math.max(longestGroup, ...sequences.map(inputLength));
  const groups: Group[] = [];
  const open = new Map<readonly number[], Group>();
  sequences.forEach(({ prompt, response }, index) => {
    const group = open.get(prompt);
    if (group && group.length + response.length - 1 <= limit) {
      group.members.push(index);
      group.length += response.length - 1;
    } else {
      const fresh = { prompt, members: [index], length: prompt.length + response.length - 1 };
      open.set(prompt, fresh);
      groups.push(fresh);
    }
  });
  return groups;
}

/**
 * Splits sequences, in order, into batches that each fit into a rectangle of at most `maxTokens` (a single longer sequence
 * stands alone). Every batch is then packed by `packSequences` with the same `maxTokens` and `isOneRow`.
 */
export function splitByTokens<S extends Sequence>(
  sequences: readonly S[],
  maxTokens: number,
  isOneRow = usesNativeOps,
): S[][] {
  const batches: S[][] = [];
  let current: S[] = [];
  for (const sequence of sequences) {
    const grown = [...current, sequence];
    const { used, rowLength } = assignRows(grown, maxTokens, isOneRow);
    if (current.length > 0 && used * rowLength > maxTokens) {
      batches.push(current);
      current = [sequence];
    } else {
      current = grown;
    }
  }
  if (current.length > 0) batches.push(current);
  return batches;
}

/**
 * Packs sequences side by side. Those whose prompt is the same array share it.
 *
 * @param maxTokens as given to splitByTokens: the rectangle is this large, or 3/4, 1/2, 3/8, 1/4, ... of it
 * @param isOneRow or several rows, which the sequences fill in the order of their lengths, each the first row with room
 */
export function packSequences(
  sequences: readonly Sequence[],
  maxTokens: number,
  isOneRow = usesNativeOps,
): PackedBatch {
  const layout = assignRows(sequences, maxTokens, isOneRow);
  const { groups, used, assignment } = layout;
  const rows = isOneRow
    ? 1
    : fractionOf(Math.max(used, Math.floor(maxTokens / layout.rowLength)), used);
  const rowLength = isOneRow ? oneRowLength(layout.rowLength, maxTokens) : layout.rowLength;
  const size = rows * rowLength;
  const predictions = sequences.reduce((sum, { response }) => sum + response.length, 0);
  const quarter = Math.ceil(size / 4);
  const padded = Math.ceil(predictions / quarter) * quarter;
  const batch = {
    rows,
    rowLength,
    tokens: new Int32Array(size),
    positions: new Int32Array(size),
    segments: new Int32Array(size).fill(-1),
    contexts: new Int32Array(size).fill(-1),
    places: new Int32Array(padded),
    targets: new Int32Array(padded),
    predictions,
  };
  let end = 0;
  /** Appends tokens at `end`, counted from `position`. */
  const write = (tokens: readonly number[], position: number, segment: number, context: number) => {
    batch.tokens.set(tokens, end);
    for (let i = 0; i < tokens.length; i++) batch.positions[end + i] = position + i;
    batch.segments.fill(segment, end, end + tokens.length);
    batch.contexts.fill(context, end, end + tokens.length);
    end += tokens.length;
  };
  const firstPrediction = prefixSums(sequences.map(({ response }) => response.length));
  groups.forEach(({ prompt, members }, g) => {
    const promptSegment = sequences.length + g;
    end = assignment[g]!;
    write(prompt, 0, promptSegment, promptSegment);
    const promptEnd = end;
    for (const index of members) {
      const { response } = sequences[index]!;
      response.forEach((token, i) => {
        const prediction = firstPrediction[index]! + i;
        batch.places[prediction] = i === 0 ? promptEnd - 1 : end + i - 1;
        batch.targets[prediction] = token;
      });
      write(response.slice(0, -1), prompt.length, index, promptSegment);
    }
  });
  return batch;
}

/** A sequence that is read to its end, EOS included, to predict its class there: the class stands where a next token would. */
export function withClass({ prompt, response }: Sequence, label: number): Sequence {
  return { prompt, response: [...response, label] };
}

/**
 * As packSequences, but of each sequence only the last token is predicted: with `withClass`, its class.
 * `places` and `targets` have one entry per sequence, then padding.
 */
export function packClasses(
  sequences: readonly Sequence[],
  maxTokens: number,
  isOneRow = usesNativeOps,
): PackedBatch {
  const batch = packSequences(sequences, maxTokens, isOneRow);
  const quarter = Math.ceil(batch.tokens.length / 4);
  const padded = Math.ceil(sequences.length / quarter) * quarter;
  const [places, targets] = [new Int32Array(padded), new Int32Array(padded)];
  let end = 0;
  sequences.forEach(({ response }, index) => {
    end += response.length;
    places[index] = batch.places[end - 1]!;
    targets[index] = batch.targets[end - 1]!;
  });
  return { ...batch, places, targets, predictions: sequences.length };
}

/** The sum of everything before each number. */
function prefixSums(numbers: readonly number[]): number[] {
  let sum = 0;
  return numbers.map((number) => {
    sum += number;
    return sum - number;
  });
}

/** Numbers per response, joined in the order of a batch's predictions and padded with 0. */
export function joinPredictions(
  batch: PackedBatch,
  perSequence: readonly Float32Array[],
): Float32Array {
  const joined = new Float32Array(batch.targets.length);
  let next = 0;
  for (const values of perSequence) {
    joined.set(values, next);
    next += values.length;
  }
  if (next !== batch.predictions)
    throw new Error(`expected ${batch.predictions} values, got ${next}`);
  return joined;
}

/** The inverse of joinPredictions: one array per sequence. */
export function splitPredictions(
  sequences: readonly Sequence[],
  joined: Float32Array,
): Float32Array[] {
  let next = 0;
  return sequences.map(({ response }) => {
    const begin = next;
    next += response.length;
    return joined.slice(begin, next);
  });
}

/** At least 32, so that few lengths occur. */
function oneRowLength(tokens: number, maxTokens: number): number {
  const most = tokens > maxTokens ? bucketSize(tokens, 32) : maxTokens;
  return Math.max(Math.min(32, most), fractionOf(most, tokens));
}

/** The smallest of most, 3/4 most, 1/2 most, 3/8 most, 1/4 most, ... that is enough. */
function fractionOf(most: number, used: number): number {
  let size = most;
  while (Math.ceil(size / 2) >= used && size > 1) size = Math.ceil(size / 2);
  const threeQuarters = Math.ceil((3 * size) / 4);
  return threeQuarters >= used ? threeQuarters : size;
}

/**
 * Who lies where. Several rows have room for half as much again as the longest group, so that little of each stays empty, and
 * are as long as a power of two, so that few lengths occur; but not longer than what there is, or than the budget. Groups that
 * are about as long as the longest get a row each where that needs clearly fewer places.
 */
function assignRows(
  sequences: readonly Sequence[],
  maxTokens: number,
  isOneRow: boolean,
): Assignment & { readonly groups: readonly Group[] } {
  const groups = groupByPrompt(sequences, isOneRow);
  const lengths = groups.map(({ length }) => length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (isOneRow) return { groups, used: 1, rowLength: total, assignment: prefixSums(lengths) };
  const tight = bucketSize(Math.max(...lengths), 32);
  const roomy = Math.max(32, 2 ** Math.ceil(Math.log2(1.5 * Math.max(...lengths))));
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const candidates = [Math.min(roomy, Math.max(maxTokens, tight), bucketSize(total, 32)), tight];
  const assignments = candidates.map((rowLength) => firstFit(lengths, order, rowLength));
  const places = ({ used, rowLength }: Assignment) => used * rowLength;
  const best = assignments.reduce((a, b) => (places(b) < 0.85 * places(a) ? b : a));
  return { groups, ...best };
}

interface Assignment {
  /** Rows taken. */
  readonly used: number;
  readonly rowLength: number;
  /** Where in the rectangle each group begins. */
  readonly assignment: readonly number[];
}

function firstFit(
  lengths: readonly number[],
  order: readonly number[],
  rowLength: number,
): Assignment {
  const filled: number[] = [];
  const assignment: number[] = new Array(lengths.length);
  for (const index of order) {
    const length = lengths[index]!;
    let row = filled.findIndex((tokens) => tokens + length <= rowLength);
    if (row === -1) row = filled.push(0) - 1;
    assignment[index] = row * rowLength + filled[row]!;
    filled[row]! += length;
  }
  return { used: filled.length, rowLength, assignment };
}
