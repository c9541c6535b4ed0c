import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nothing, planSlots, type Tokens } from "../../src/generate/slots.ts";

const [a, b, c, d]: Tokens[] = [[1], [2], [3], [4]];

/** Slots that are free and have held nothing. */
const fresh = (count: number) => new Array<Tokens>(count).fill(nothing);
const free = (count: number) => new Array<boolean>(count).fill(false);

describe("planSlots", () => {
  test("reads each new prompt once and copies it for its other samples", () => {
    expect(planSlots(fresh(4), free(4), [a!, a!, b!, a!, b!])).toEqual({
      read: [0, 2],
      copy: [
        [0, 1],
        [0, 3],
      ],
      start: [0, 1, 2, 3],
      held: [a, a, b, a],
    });
  });

  test("begins at once where the free slot holds the prompt", () => {
    expect(planSlots([a!, b!], [true, false], [b!, b!])).toEqual({
      read: [],
      copy: [],
      start: [1],
      held: [a, b],
    });
  });

  test("reads nothing before a quarter of the slots is free, and keeps the order", () => {
    const busy = [false, true, true, true, true, true, true, true];
    const held = [d!, a!, ...fresh(6)];
    const one = planSlots(held, busy, [b!, a!, c!]);
    expect(one).toEqual({ read: [], copy: [], start: [], held });
    expect(planSlots(held, [false, false, ...busy.slice(2)], [b!, a!, c!]).start).toHaveLength(2);
    expect(planSlots(held, busy, [b!]).read).toEqual([0]); // the last one
  });

  test("copies into no slot that is copied from, and never touches a busy one", () => {
    const tokens = fc.constantFrom(a!, b!, c!, d!);
    const slots = fc.array(fc.tuple(fc.option(tokens, { nil: nothing }), fc.boolean()), {
      minLength: 1,
      maxLength: 9,
    });
    fc.assert(
      fc.property(slots, fc.array(tokens, { maxLength: 12 }), (state, waiting) => {
        const held = state.map(([tokens]) => tokens);
        const busy = state.map(([tokens, isBusy]) => isBusy && tokens !== nothing);
        const plan = planSlots(held, busy, waiting);
        const sources = plan.copy.map(([source]) => source);
        const targets = plan.copy.map(([, target]) => target);
        expect(new Set([...plan.read, ...targets]).size).toBe(plan.read.length + targets.length);
        expect(sources.filter((slot) => targets.includes(slot))).toEqual([]);
        expect(new Set(plan.start).size).toBe(plan.start.length);
        expect(plan.start.filter((slot) => busy[slot])).toEqual([]);
        plan.start.forEach((slot, i) => {
          expect(plan.held[slot]).toBe(waiting[i]);
        });
        // What is in the making keeps its prompt, and what is neither read nor copied its content.
        held.forEach((tokens, slot) => {
          if (!plan.read.includes(slot) && !targets.includes(slot))
            expect(plan.held[slot]).toBe(tokens);
        });
        if (!busy.includes(true) && waiting.length > 0)
          expect(plan.start.length).toBeGreaterThan(0);
      }),
    );
  });
});
