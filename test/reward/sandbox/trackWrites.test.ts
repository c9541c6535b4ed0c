// Whatever a rewritten module writes lies in a page whose card is set: seen on a module with every instruction that writes.
import { expect, test } from "vitest";
import { Rng } from "../../../src/rng.ts";

// Plain JavaScript, and WebAssembly: both without types here.
const { CARDS, PAGE, REACH, trackWrites } = (await import(
  new URL("../../../src/reward/sandbox/trackWrites.mjs", import.meta.url).href
)) as {
  readonly CARDS: number;
  readonly PAGE: number;
  readonly REACH: number;
  trackWrites(bytes: Uint8Array): { readonly bytes: Uint8Array; readonly cards: number };
};
type Write = (...operands: number[]) => void;
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly [index: number]: Write;
}
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    instantiate(bytes: Uint8Array): Promise<{ readonly instance: { readonly exports: Exports } }>;
  };
};

/** Small numbers as LEB128. */
function number(value: number): number[] {
  return value < 64 ? [value] : [(value & 127) | 128, ...number(value >> 7)];
}

const section = (id: number, content: readonly number[]) => [
  ...[id, ...number(content.length)],
  ...content,
];
const vector = (items: readonly (readonly number[])[]) => [
  ...number(items.length),
  ...items.flat(),
];
const text = (value: string) => vector([...Buffer.from(value)].map((byte) => [byte]));

const heapBase = 40_000;
const offsets = [0, 255, 256, 5000];
const stores = Array.from({ length: 9 }, (_, i) => 0x36 + i).flatMap((opcode) =>
  offsets.map((offset) => ({ opcode, offset })),
);
const constants: Record<number, number[]> = {
  55: [0x42, 0x7f], // i64 -1
  56: [0x43, 0, 0, 0x80, 0x3f], // f32 1
  57: [0x44, 1, 2, 3, 4, 5, 6, 7, 8], // f64
  60: [0x42, 0x7f],
  61: [0x42, 0x7f],
  62: [0x42, 0x7f],
};
const storing = stores.map(({ opcode, offset }) => [
  ...[0x20, 0, ...(constants[opcode] ?? [0x41, 0x7f]), opcode, 0, ...number(offset), 0x0b],
]);
const operands = [0x20, 0, 0x20, 1, 0x20, 2];
const filling = [...operands, 0xfc, 11, 0, 0x0b];
const copying = [...operands, 0xfc, 10, 0, 0, 0x0b];
const bodies = [...storing, filling, copying];

/** Functions "0", "1", ...: the stores, then memory.fill and memory.copy; all take three numbers. */
function createModule(): Uint8Array {
  const types = [
    [0x60, 3, 0x7f, 0x7f, 0x7f, 0],
    [0x60, 2, 0x7f, 0x7f, 0],
  ];
  const exports = [
    [...text("memory"), 2, 0],
    [...text("__heap_base"), 3, 0],
    ...bodies.map((_, i) => [...text(String(i)), 0, ...number(i)]),
  ];
  const code = bodies.map((body) => [...number(body.length + 1), 0, ...body]);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector(types)),
    ...section(2, vector([])),
    ...section(3, vector(bodies.map(() => [0]))),
    ...section(5, vector([[0, 32]])), // 2 MiB
    ...section(6, vector([[0x7f, 0, 0x41, ...number(heapBase), 0x0b]])),
    ...section(7, vector(exports)),
    ...section(10, vector(code)),
  ]);
}

test("after any write the changed bytes are within reach of a page whose card is set", async () => {
  const { bytes, cards } = trackWrites(createModule());
  const { exports } = (await WebAssembly.instantiate(bytes)).instance;
  const memory = new Uint8Array(exports.memory.buffer);
  const [fill, copy] = [bodies.length - 2, bodies.length - 1];
  const source = cards + CARDS; // the heap begins with something to copy
  memory.fill(1, source, source + 4 * PAGE);
  const [begin, end] = [source + 8 * PAGE, source + 24 * PAGE];
  const rng = Rng.named(1, "writes");
  const below = (limit: number) => Math.floor(rng.uniform() * limit);

  for (let round = 0; round < 20 * bodies.length; round++) {
    const index = round % bodies.length;
    const address = begin + below(8 * PAGE);
    const length = below(4) === 0 ? 0 : 1 + below(3 * PAGE);
    memory.fill(0, cards, source);
    memory.fill(0, begin, end);
    if (index === fill) exports[index]!(address, 1 + below(255), length);
    else if (index === copy) exports[index]!(address, source + below(PAGE), length);
    else exports[index]!(address, 0, 0);

    let carded = 0;
    for (let page = 0; page < memory.length / PAGE; page++) {
      if (memory[cards + page] === 0) continue;
      carded++;
      memory.fill(0, page * PAGE, page * PAGE + REACH);
    }
    const missed = memory.subarray(begin, end).findIndex((byte) => byte !== 0);
    expect(missed, `function ${index} at ${address}, ${length} bytes`).toBe(-1);
    expect(carded).toBeLessThanOrEqual(index < fill ? 1 : length / PAGE + 2);
  }
});

test("a store to the cards sets a card of theirs", async () => {
  const { bytes, cards } = trackWrites(createModule());
  const { exports } = (await WebAssembly.instantiate(bytes)).instance;
  const memory = new Uint8Array(exports.memory.buffer);
  const fill = bodies.length - 2;
  const cardsOfCards = () =>
    memory.subarray(cards + cards / PAGE - 1, cards + (cards + CARDS) / PAGE);
  exports[0]!(cards + 1000, 0, 0);
  expect(cardsOfCards()).toContain(1);
  memory.fill(0, cards, cards + CARDS);
  exports[fill]!(cards, 0, CARDS); // clears every card, its own as well, before it is marked
  expect(cardsOfCards()).toContain(1);
});

test("an instruction that is not known is refused", () => {
  const module = createModule();
  const call = module.lastIndexOf(0xfc);
  module[call] = 0xfd; // vectors
  expect(() => trackWrites(module)).toThrow(
    "cannot track what this WebAssembly writes: the instruction 0xfd",
  );
});
