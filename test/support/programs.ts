// Arbitrary Python programs that define solution(), and arbitrary prose around them, for property tests.
import fc from "fast-check";

const names = fc.constantFrom("a", "total", "x_1", "π");
const numbers = fc.nat(99).map(String);
const value = fc.oneof(
  numbers,
  names,
  fc.constantFrom(
    "[1,\n\n2]",
    '"it\'s # no comment"',
    "f'{a}'",
    '"""two\n\nlines\ndef solution():"""',
    "(3 +\n4)",
  ),
  fc.tuple(names, numbers).map(([name, number]) => `half(${name}) * ${number}`),
);
const gap = fc.constantFrom("\n", "\n", "\n\n", "\n  \n\n");

const assignment = fc.tuple(names, value).map(([name, given]) => `${name} = ${given}`);
const returned = value.map((given) => `return ${given}`);
const comment = fc.constantFrom("# It's a (comment", '# """');
const simple = fc.oneof(assignment, comment, fc.constantFrom("pass", "a: int = 3", "print(a)"));

/** Lines below a header, one level in; lines within brackets and quotes stay where they are. */
const indented = (indent: string, lines: readonly string[], gaps: readonly string[]) =>
  lines
    .map((line, i) => `${indent}${line}${gaps[i] ?? "\n"}`)
    .join("")
    .trimEnd();

function block(header: fc.Arbitrary<string>, first: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(
      header,
      first,
      fc.array(simple, { maxLength: 4 }),
      returned,
      fc.array(gap, { maxLength: 6 }),
    )
    .chain(([line, docstring, body, end, gaps]) =>
      fc
        .constantFrom("    ", "\t", "  ")
        .map((indent) => `${line}\n${indented(indent, [docstring, ...body, end], gaps)}`),
    );
}

const docstring = fc.constantFrom(
  '"""A question?"""',
  '"""One.\n\nTwo?\n"""',
  "pass",
  "if 1:\n          pass",
);
const helper = block(
  fc.constantFrom("def half(x):", "@cache\ndef f(x, *, y=3) -> int:", "async def g():"),
  docstring,
);
const others = fc.constantFrom(
  "import math",
  "from math import (\n    sqrt,\n)",
  "class Point:\n    x: int\n\n    def move(self):\n\n        self.x += 1",
  "RATE: float = 0.5",
  "A, B = 1, 2",
  "TABLE[3] = 4",
);
const around = fc.array(fc.oneof(helper, others, assignment), { maxLength: 3 });
const allNames = "a, total, x_1, π, half, f, g, math, sqrt, Point, RATE, A, B, TABLE";
const solution = block(
  fc.constantFrom(
    `def solution(_=lambda: (${allNames})):`,
    `def solution(_=lambda: (${allNames})) -> int:`,
    `@cache\ndef solution(_=lambda: (${allNames})):`,
  ),
  docstring,
);

/** Well-formed programs that need all that they define; not all of them come to a value. */
export const programs: fc.Arbitrary<string> = fc
  .tuple(around, solution, around, fc.constantFrom("\n", "\n\n", "\n\n\n"))
  .map(([before, own, after, between]) => [...before, own, ...after].join(between));

const words = fc.constantFrom(
  ..."the answer is it's 7 apples (see above) x = 3 so if for: while def a + b we. import! class? 50% - * #1 \"quoted $5".split(
    " ",
  ),
);

/** Sentences that no Python reads. */
export const prose: fc.Arbitrary<string> = fc
  .array(
    fc.array(words, { maxLength: 8 }).map((line) => ["So", "the", ...line].join(" ")),
    { minLength: 1, maxLength: 4 },
  )
  .map((lines) => lines.join("\n"));
