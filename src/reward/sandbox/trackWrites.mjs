// Rewrites a WebAssembly module so that it keeps account of the memory that it writes: whatever stores into a page
// sets the page's card, a byte in the same memory, to 1 afterwards. Putting memory back then costs what was written.
// Plain JavaScript, as guest.mjs, which alone uses it. The format: https://webassembly.github.io/spec/core/binary/

/** Bytes that one card stands for. */
export const PAGE = 4096;
/** Cards for all 4 GiB that 32 bits can address. */
export const CARDS = 2 ** 20;
// A store with a smaller offset marks the page of its address and leaves the offset out, which saves an addition.
const NEAR = 256;
/** A write that set the card of a page ends before this many bytes from the page's start. */
export const REACH = PAGE + NEAR + 8;

const I32 = 0x7f;
// What i32.store, i64.store, f32.store, f64.store, i32.store8 and 16, i64.store8, 16 and 32 take from the stack.
const STORED = [I32, 0x7e, 0x7d, 0x7c, I32, I32, 0x7e, 0x7e, 0x7e];

const [END, IF, CALL, GET, SET, TEE] = [0x0b, 0x04, 0x10, 0x20, 0x21, 0x22];
const [STORE, STORE8, LAST_STORE, CONST] = [0x36, 0x3a, 0x3e, 0x41];
const [ADD, SUBTRACT, SHIFT_RIGHT, MANY, FILL] = [0x6a, 0x6b, 0x76, 0xfc, 11];
const NO_VALUE = 0x40;
const PAGE_BITS = 12;

/** How the operands after each opcode are read; an instruction that is not here (vectors, atomics) is refused. */
const OPERANDS = new Array(256);
const operands = (kind, ...opcodes) => {
  for (const opcode of opcodes) OPERANDS[opcode] = kind;
};
const range = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
operands("none", 0x00, 0x01, 0x05, 0x0a, END, 0x0f, 0x19, 0x1a, 0x1b, ...range(0x45, 0xc4), 0xd1);
operands("one", ...range(0x02, 0x04), ...range(0x06, 0x09), 0x0c, 0x0d, CALL, 0x12, 0x14, 0x18);
operands("one", ...range(0x20, 0x26), 0x3f, 0x40, CONST, 0x42, 0xd0, 0xd2);
operands("two", 0x11, 0x13, ...range(0x28, 0x35));
operands("store", ...range(STORE, LAST_STORE));
operands("four bytes", 0x43);
operands("eight bytes", 0x44);
operands("branches", 0x0e);
operands("types", 0x1c);
operands("catches", 0x1f);
operands("many", MANY);

/** LEB128, as the format writes every number. */
function unsigned(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

function signed(value) {
  const bytes = [];
  for (; value < -64 || value > 63; value >>= 7) bytes.push((value & 127) | 128);
  return [...bytes, value & 127];
}

/** Reads the module from byte `at` on. */
function createReader(bytes) {
  const reader = {
    at: 0,
    byte: () => bytes[reader.at++],
    skip(count) {
      reader.at += count;
    },
    number() {
      let value = 0;
      for (let scale = 1; ; scale *= 128) {
        const byte = bytes[reader.at++];
        value += (byte & 127) * scale;
        if (byte < 128) return value;
      }
    },
    skipNumber() {
      while (bytes[reader.at++] & 128);
    },
    fail(found) {
      throw new Error(`cannot track what this WebAssembly writes: ${found} at byte ${reader.at}`);
    },
  };
  return reader;
}

/** Where each section's content lies, by its id. */
function sectionsOf(bytes, reader) {
  const sections = [];
  reader.at = 8;
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const size = reader.number();
    sections.push({ id, start: reader.at, end: reader.at + size });
    reader.skip(size);
  }
  return sections;
}

/** Parameters of each type, and the type of a function that takes two i32 and returns nothing. */
function readTypes(bytes, reader) {
  const parameters = [];
  let pair;
  for (let count = reader.number(); parameters.length < count; ) {
    const start = reader.at;
    if (reader.byte() !== 0x60) reader.fail("a type that is no function");
    parameters.push(reader.number());
    reader.skip(parameters.at(-1));
    reader.skip(reader.number());
    if (bytes.subarray(start, reader.at).join() === [0x60, 2, I32, I32, 0].join()) {
      pair = parameters.length - 1;
    }
  }
  return { parameters, pair: pair ?? reader.fail("no function of two numbers") };
}

function countImports(reader) {
  const counts = { functions: 0, globals: 0 };
  for (let left = reader.number(); left > 0; left--) {
    reader.skip(reader.number());
    reader.skip(reader.number());
    const kind = reader.byte();
    if (kind === 0) {
      reader.skipNumber();
      counts.functions++;
    } else if (kind === 1) {
      reader.skip(1);
      const hasMaximum = reader.byte() & 1;
      reader.skipNumber();
      if (hasMaximum) reader.skipNumber();
    } else if (kind === 3) {
      reader.skip(2);
      counts.globals++;
    } else if (kind === 4) {
      reader.skip(1);
      reader.skipNumber();
    } else reader.fail("an imported memory");
  }
  return counts;
}

function exportedGlobal(bytes, reader, wanted) {
  for (let left = reader.number(); left > 0; left--) {
    const length = reader.number();
    const name = new TextDecoder().decode(bytes.subarray(reader.at, reader.at + length));
    reader.skip(length);
    const kind = reader.byte();
    const index = reader.number();
    if (kind === 3 && name === wanted) return index;
  }
  return reader.fail(`no ${wanted}`);
}

/** The value of a constant i32 global that the module defines itself. */
function globalValue(reader, wanted) {
  const count = reader.number();
  for (let index = 0; index < count; index++) {
    reader.skip(2);
    const opcode = reader.byte();
    const kind = OPERANDS[opcode];
    if (index === wanted) return opcode === CONST ? reader.number() : reader.fail("no constant");
    if (kind === "one") reader.skipNumber();
    else if (kind === "four bytes") reader.skip(4);
    else if (kind === "eight bytes") reader.skip(8);
    else reader.fail("a global that is computed");
    if (reader.byte() !== END) reader.fail("a global that is computed");
  }
  return reader.fail("an imported global");
}

/** mark(start, length): sets the cards of all pages from the first to the last byte, none for length 0. */
function markFunction(cards) {
  const page = [CONST, PAGE_BITS, SHIFT_RIGHT];
  const first = [GET, 0, ...page];
  const last = [GET, 0, GET, 1, ADD, CONST, 1, SUBTRACT, ...page];
  const body = [
    ...[0, GET, 1, IF, NO_VALUE],
    ...[...first, CONST, ...signed(cards), ADD, CONST, 1],
    ...[...last, ...first, SUBTRACT, CONST, 1, ADD, MANY, FILL, 0],
    ...[END, END],
  ];
  return [...unsigned(body.length), ...body];
}

/** The code section with a mark after everything that writes, and the marking function as its last. */
function rewriteCode(bytes, reader, { parametersOf, cards, mark }) {
  const count = reader.number();
  const end = bytes.length;
  const output = new Uint8Array(end * 2);
  let size = 0;
  const put = (...values) => {
    for (const value of values) output[size++] = value;
  };
  let copied = 0;
  const copyTo = (until) => {
    output.set(bytes.subarray(copied, until), size);
    size += until - copied;
    copied = until;
  };
  const setCard = [CONST, PAGE_BITS, SHIFT_RIGHT, CONST, 1, STORE8, 0, ...unsigned(cards)];

  put(...unsigned(count + 1));
  for (let index = 0; index < count; index++) {
    const bodyEnd = reader.number() + reader.at;
    const groups = reader.number();
    const groupsStart = reader.at;
    let locals = parametersOf(index);
    for (let i = 0; i < groups; i++) {
      locals += reader.number();
      reader.skip(1);
    }
    // Its own variables come last: [type, number within that type], made when first needed.
    const own = [];
    const variable = (type, nth) => {
      const at = own.findIndex((one) => one.type === type && one.nth === nth);
      return unsigned(locals + (at >= 0 ? at : own.push({ type, nth }) - 1));
    };
    const codeStart = reader.at;
    const bodyStart = size;
    copied = codeStart;

    while (reader.at < bodyEnd) {
      const start = reader.at;
      const opcode = bytes[reader.at++];
      switch (OPERANDS[opcode]) {
        case "none":
          break;
        case "one":
          reader.skipNumber();
          break;
        case "two":
          reader.skipNumber();
          reader.skipNumber();
          break;
        case "store": {
          if (reader.number() > 3) reader.fail("a second memory");
          const offset = reader.number();
          if (offset >= 2 ** 31) reader.fail("a large offset");
          const address = variable(I32, 0);
          const value = variable(STORED[opcode - STORE], 1);
          copyTo(start);
          put(SET, ...value, TEE, ...address, GET, ...value);
          copyTo(reader.at);
          put(GET, ...address);
          if (offset >= NEAR) put(CONST, ...signed(offset), ADD);
          put(...setCard);
          break;
        }
        case "four bytes":
          reader.skip(4);
          break;
        case "eight bytes":
          reader.skip(8);
          break;
        case "branches":
          for (let left = reader.number(); left >= 0; left--) reader.skipNumber();
          break;
        case "types":
          reader.skip(reader.number());
          break;
        case "catches":
          reader.skipNumber();
          for (let left = reader.number(); left > 0; left--) {
            if (reader.byte() < 2) reader.skipNumber();
            reader.skipNumber();
          }
          break;
        case "many": {
          const which = reader.number();
          if (which > 17) reader.fail(`the instruction 0xfc ${which}`);
          if (which > 7) reader.skipNumber();
          if ([8, 10, 12, 14].includes(which)) reader.skipNumber();
          if (which !== 8 && which !== 10 && which !== FILL) break; // memory.init, .copy and .fill write
          const [target, source, length] = [0, 1, 2].map((nth) => variable(I32, nth));
          copyTo(start);
          put(SET, ...length, SET, ...source, TEE, ...target, GET, ...source, GET, ...length);
          copyTo(reader.at);
          put(GET, ...target, GET, ...length, CALL, ...unsigned(mark));
          break;
        }
        default:
          reader.fail(`the instruction 0x${opcode.toString(16)}`);
      }
    }
    if (reader.at !== bodyEnd) reader.fail("a function longer than it says");
    copyTo(bodyEnd);

    // The declarations grow by the own variables, so the code moves up to make room for the longer head.
    const declared = [
      ...unsigned(groups + own.length),
      ...bytes.subarray(groupsStart, codeStart),
      ...own.flatMap(({ type }) => [1, type]),
    ];
    const head = [...unsigned(declared.length + size - bodyStart), ...declared];
    output.copyWithin(bodyStart + head.length, bodyStart, size);
    output.set(head, bodyStart);
    size += head.length;
  }
  put(...markFunction(cards));
  return output.subarray(0, size);
}

/**
 * Rewrites a module that defines its memory and exports `__heap_base`, above which it takes memory when it needs some.
 * @param {Uint8Array} bytes - The module.
 * @returns {{ bytes: Uint8Array, cards: number }} The new module and the address of its CARDS cards. The caller keeps
 *   them, and the page before, from being taken. A program that overwrites cards sets one of theirs or of the page
 *   before, and no store of its own can undo that: marks follow the stores.
 * @throws Error for a module with instructions that are not known here.
 */
export function trackWrites(bytes) {
  const reader = createReader(bytes);
  const sections = sectionsOf(bytes, reader);
  const enter = (id) => {
    reader.at = (sections.find((section) => section.id === id) ?? reader.fail("an end")).start;
  };
  enter(1);
  const { parameters, pair } = readTypes(bytes, reader);
  enter(2);
  const imported = countImports(reader);
  enter(7);
  const heap = exportedGlobal(bytes, reader, "__heap_base");
  enter(6);
  const heapBase = globalValue(reader, heap - imported.globals);
  const cards = (Math.ceil(heapBase / PAGE) + 1) * PAGE;
  enter(3);
  const types = Array.from({ length: reader.number() }, () => reader.number());

  const rewritten = new Map();
  rewritten.set(
    3,
    [types.length + 1, ...types, pair].flatMap((number) => unsigned(number)),
  );
  enter(10);
  rewritten.set(
    10,
    rewriteCode(bytes, reader, {
      parametersOf: (index) => parameters[types[index]],
      cards,
      mark: imported.functions + types.length,
    }),
  );

  const parts = sections.flatMap(({ id, start, end }) => {
    const content = rewritten.get(id) ?? bytes.subarray(start, end);
    return [[id, ...unsigned(content.length)], content];
  });
  const output = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 8));
  output.set(bytes.subarray(0, 8));
  let size = 8;
  for (const part of parts) {
    output.set(part, size);
    size += part.length;
  }
  return { bytes: output, cards };
}
