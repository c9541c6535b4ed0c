// Which waiting sequences begin in which free slots, and how each slot comes to its prompt: plain data, without a model.

/** A prompt's tokens. Prompts that are the same array are the same prompt. */
export type Tokens = readonly number[];

/** What a slot holds before it has held a prompt. */
export const nothing: Tokens = [];

export interface SlotPlan {
  /** Slots into which the prompt that they hold from now on is read. */
  readonly read: readonly number[];
  /** After that, slots that get the prompt of others; none is both a source and a target. */
  readonly copy: readonly (readonly [source: number, target: number])[];
  /** The slots in which the first of the waiting prompts begin, in the order of these. */
  readonly start: readonly number[];
  /** Of each slot, the prompt whose keys and values it has after all of that. */
  readonly held: readonly Tokens[];
}

/**
 * Plans the next sequences. One whose prompt a slot holds already begins at once: in that slot, where it is free, else in a copy. A new
 * prompt is read when a fair part of the slots is free for it, so that reading is worth its call, or when nothing else is left to do;
 * those behind it wait with it, so that the order stays.
 *
 * @param held of each slot, the prompt whose keys and values it has
 * @param busy of each slot, whether a sequence is in the making there
 * @param waiting the prompts of the sequences that have not begun, in their order
 */
export function planSlots(
  held: readonly Tokens[],
  busy: readonly boolean[],
  waiting: readonly Tokens[],
): SlotPlan {
  const free = busy.flatMap((isBusy, slot) => (isBusy ? [] : [slot]));
  const mayRead =
    free.length >= Math.min(waiting.length, busy.length / 4) || free.length === busy.length;
  const read: number[] = [];
  const start: number[] = [];
  const copy: [source: number, target: number][] = [];
  const after = [...held];
  for (const tokens of waiting) {
    const source = after.indexOf(tokens);
    if (free.length === 0 || (source === -1 && !mayRead)) break;
    const own = free.findIndex((slot) => after[slot] === tokens);
    const [target] = free.splice(Math.max(0, own), 1) as [number];
    if (source === -1) {
      read.push(target);
      after[target] = tokens;
    } else if (own === -1) {
      copy.push([source, target]);
      after[target] = nothing; // until it is copied: it is no source for those that follow
    }
    start.push(target);
  }
  for (const [source, target] of copy) after[target] = after[source]!;
  return { read, copy, start, held: after };
}
