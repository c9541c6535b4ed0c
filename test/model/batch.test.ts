import { describe, expect, test } from "vitest";
import {
  bucketSize,
  inputLength,
  joinPredictions,
  packClasses,
  packSequences,
  type Sequence,
  splitByTokens,
  splitPredictions,
  withClass,
} from "../../src/model/batch.ts";
import { Rng } from "../../src/rng.ts";

/** Sequences of all lengths up to 60 tokens; every token of every sequence is a different number from 1 on. */
function sequences(count: number, seed: number): Sequence[] {
  const rng = Rng.named(seed, "sequences");
  let token = 1;
  const tokens = (length: number) => Array.from({ length }, () => token++);
  return Array.from({ length: count }, () => ({
    prompt: tokens(1 + rng.integer(40)),
    response: tokens(1 + rng.integer(20)),
  }));
}

const cases = [1, 2, 3, 7, 20, 50].flatMap((count) =>
  [1, 1000, 4096].flatMap((maxTokens) =>
    [true, false].map((isOneRow) => ({
      ...{ count, maxTokens, isOneRow, given: sequences(count, count) },
    })),
  ),
);

describe.each(cases)(
  "packSequences of $count sequences, $maxTokens tokens, one row: $isOneRow",
  ({ maxTokens, isOneRow, given }) => {
    const batch = packSequences(given, maxTokens, isOneRow);
    const placesOfSegment = (segment: number) =>
      [...batch.segments.keys()].filter((place) => batch.segments[place] === segment);
    const firstPredictions = given.map((_, index) =>
      given.slice(0, index).reduce((sum, { response }) => sum + response.length, 0),
    );
    /** Places of a sequence in the rectangle, in order: its prompt's, then its response's. */
    const placesOf = (index: number) => {
      const promptEnd = batch.places[firstPredictions[index]!]!;
      return [...placesOfSegment(batch.segments[promptEnd]!), ...placesOfSegment(index)];
    };

    test("gives every token but the last its place, side by side in one row", () => {
      given.forEach((sequence, index) => {
        const places = placesOf(index);
        const input = [...sequence.prompt, ...sequence.response.slice(0, -1)];
        expect(places.map((place) => batch.tokens[place])).toEqual(input);
        expect(places.at(-1)! - places[0]!).toBe(input.length - 1);
        const rows = places.map((place) => Math.floor(place / batch.rowLength));
        expect(new Set(rows).size).toBe(1);
      });
    });

    test("counts positions from 0 in each sequence", () => {
      given.forEach((_, index) => {
        const positions = placesOf(index).map((place) => batch.positions[place]);
        expect(positions).toEqual([...positions.keys()]);
      });
    });

    test("marks empty places with segment -1 and token 0", () => {
      const empty = placesOfSegment(-1);
      const used = given.reduce((sum, sequence) => sum + inputLength(sequence), 0);
      expect(empty).toHaveLength(batch.rows * batch.rowLength - used);
      expect(empty.every((place) => batch.tokens[place] === 0)).toBe(true);
    });

    test("predicts every response token from the place of the token before it", () => {
      const responses = given.flatMap(({ response }) => response);
      expect(batch.predictions).toBe(responses.length);
      expect([...batch.targets.slice(0, batch.predictions)]).toEqual(responses);
      // Tokens of a sequence are consecutive numbers, so the one read is one less than the one predicted.
      const read = [...batch.places.slice(0, batch.predictions)].map(
        (place) => batch.tokens[place],
      );
      expect(read).toEqual(responses.map((token) => token - 1));
    });

    test("packClasses reads every sequence to its end and predicts its class there, once", () => {
      const classified = given.map((sequence, i) => withClass(sequence, i % 2));
      const { places, targets, predictions, tokens } = packClasses(classified, maxTokens, isOneRow);
      expect(predictions).toBe(given.length);
      const real = <T>(all: ArrayLike<T>) => Array.from(all).slice(0, predictions);
      expect(real(places).map((place) => tokens[place])).toEqual(
        given.map(({ response }) => response.at(-1)),
      );
      expect(real(targets)).toEqual(given.map((_, i) => i % 2));
      expect(targets).toHaveLength(places.length);
    });

    test("joinPredictions and splitPredictions are inverse", () => {
      const numbers = given.map(({ response }) => Float32Array.from(response));
      const joined = joinPredictions(batch, numbers);
      expect(joined).toHaveLength(batch.targets.length);
      expect(joined.slice(batch.predictions).every((padding) => padding === 0)).toBe(true);
      expect(splitPredictions(given, joined)).toEqual(numbers);
    });
  },
);

test("responses to the same prompt share it, and see it but not each other", () => {
  const prompt = [11, 12, 13];
  const batch = packSequences(
    [
      { prompt, response: [21, 22] },
      { prompt, response: [31] },
      { prompt, response: [41, 42, 43] },
    ],
    32,
    true,
  );
  // prompt 11 12 13 | 21 | nothing of the second response, whose only token is predicted | 41 42
  expect([...batch.tokens.subarray(0, 7)]).toEqual([11, 12, 13, 21, 41, 42, 0]);
  expect([...batch.positions.subarray(0, 6)]).toEqual([0, 1, 2, 3, 3, 4]);
  expect([...batch.segments.subarray(0, 7)]).toEqual([3, 3, 3, 0, 2, 2, -1]);
  expect([...batch.contexts.subarray(0, 7)]).toEqual([3, 3, 3, 3, 3, 3, -1]);
  expect([...batch.places.subarray(0, 6)]).toEqual([2, 3, 2, 2, 4, 5]);
  expect([...batch.targets.subarray(0, 6)]).toEqual([21, 22, 31, 41, 42, 43]);
});

test("joinPredictions refuses numbers of other sequences", () => {
  const batch = packSequences([{ prompt: [1], response: [2, 3] }], 32);
  expect(() => joinPredictions(batch, [new Float32Array(3)])).toThrow("expected 2 values, got 3");
});

test("several rows have room for half as much again as the longest", () => {
  const of = (length: number) => ({ prompt: new Array<number>(length).fill(1), response: [2] });
  const { rows, rowLength, positions } = packSequences(
    [of(20), of(64), of(43), of(90)],
    512,
    false,
  );
  expect([rows, rowLength]).toEqual([1, 224]); // 217 in all, which is less than the 256 that 1.5 · 90 asks for
  expect([89, 90, 153, 154, 196, 197, 216].map((place) => positions[place])).toEqual([
    89, 0, 63, 0, 42, 0, 19,
  ]);
  // Rows of 256 would take 512 places.
  const alike = packSequences([of(90), of(90), of(90), of(90)], 512, false);
  expect([alike.rows, alike.rowLength]).toEqual([4, 96]);
  // A budget that such rows do not fit into.
  expect(packSequences([of(90), of(90)], 100, false)).toMatchObject({ rows: 2, rowLength: 100 });
});

test("one row is the budget, or 3/4, 1/2, 3/8, ... of it; a sequence that is longer stands alone", () => {
  const of = (length: number) => ({ prompt: new Array<number>(length).fill(1), response: [2] });
  const lengthOf = (...lengths: number[]) => packSequences(lengths.map(of), 512, true).rowLength;
  expect([lengthOf(20), lengthOf(90, 30), lengthOf(130), lengthOf(500), lengthOf(900)]).toEqual([
    32, 128, 192, 512, 1024,
  ]);
});

describe.each([true, false])("splitByTokens, one row: %s", (isOneRow) => {
  const given = sequences(100, 3);

  test.each([16, 64, 200, 1000, 100_000])(
    "keeps the order; %d tokens are enough for each batch of several",
    (maxTokens) => {
      const batches = splitByTokens(given, maxTokens, isOneRow);
      expect(batches.flat()).toEqual(given);
      for (const batch of batches) {
        const { rows, rowLength } = packSequences(batch, maxTokens, isOneRow);
        expect(batch.length === 1 || rows * rowLength <= maxTokens).toBe(true);
      }
    },
  );

  test("gives rectangles of few shapes", () => {
    const many = sequences(500, 4);
    const shapes = new Set<string>();
    for (let size = 1; size <= 500; size += 7) {
      for (const part of splitByTokens(many.slice(0, size), 1024, isOneRow)) {
        const { rows, rowLength, places } = packSequences(part, 1024, isOneRow);
        shapes.add(`${rows} ${rowLength} ${places.length}`);
      }
    }
    // Two per doubling of up to 1,024 tokens, or 1 to 32 rows of 32 or 64; predictions in quarters of the rectangle.
    expect(shapes.size).toBeLessThanOrEqual(2 * 6 * 4);
    expect(shapes.size).toBeGreaterThan(1);
  });

  test("gives few shapes to batches of text, whose lengths vary more from batch to batch", () => {
    const rng = Rng.named(5, "lengths");
    const shapes = new Set<string>();
    for (let batch = 0; batch < 200; batch++) {
      const rows = Array.from({ length: 32 }, () => ({
        prompt: new Array<number>(20 + rng.integer(100)).fill(1),
        response: new Array<number>(50 + rng.integer(100 + batch)).fill(2),
      }));
      for (const part of splitByTokens(rows, 4096, isOneRow)) {
        const { rows, rowLength, places } = packSequences(part, 4096, isOneRow);
        shapes.add(`${rows} ${rowLength} ${places.length}`);
      }
    }
    expect(shapes.size).toBeLessThanOrEqual(40);
  });

  test("begins a new batch only where the next sequence does not fit", () => {
    const batches = splitByTokens(given, 200, isOneRow);
    batches.slice(1).forEach((batch, i) => {
      const { rows, rowLength } = packSequences([...batches[i]!, batch[0]!], 200, isOneRow);
      expect(rows * rowLength).toBeGreaterThan(200);
    });
  });

  test("makes no batch of nothing", () => {
    expect(splitByTokens([], 100)).toEqual([]);
  });
});

describe("bucketSize", () => {
  test.each([1, 16, 32])(
    "is a multiple of %d, at least the size, less than a quarter or a unit more",
    (unit) => {
      const wrong = Array.from({ length: 5000 }, (_, i) => i + 1).filter((size) => {
        const bucket = bucketSize(size, unit);
        return bucket % unit !== 0 || bucket < size || bucket - size >= Math.max(unit, size / 4);
      });
      expect(wrong).toEqual([]);
    },
  );

  test.each([1, 16])("has few values: four per doubling, in units of %d", (unit) => {
    const values = new Set(Array.from({ length: 4096 }, (_, i) => bucketSize(i + 1, unit)));
    expect(values.size).toBeLessThanOrEqual(4 * Math.log2(4096) + 1);
  });

  test("is at least one unit", () => {
    expect([bucketSize(0, 1), bucketSize(0, 16)]).toEqual([1, 16]);
  });
});
