// Every way in which a program decides what is said of it. It may lie about its value; it may not make the sandbox look as
// if that had failed (`infrastructure`, which training leaves out), nor cost another program its result.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Outcome } from "../../../src/reward/outcome.ts";
import { createSandbox, type Sandbox } from "../../../src/reward/sandbox/sandbox.ts";

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ timeoutSeconds: 60, workers: 1, memoryMegabytes: 256 });
});
afterAll(() => sandbox.close());

/** Runs a program whose first lines stand outside of solution(); the one after it must not notice. */
async function outcomeOf(body: string, outside = ""): Promise<Outcome> {
  const text = `${outside}\ndef solution():\n    ${body.replaceAll("\n", "\n    ")}\n`;
  const [outcome, next] = await Promise.all([
    sandbox.run(text),
    sandbox.run("def solution():\n    return 6 * 7"),
  ]);
  expect(next).toEqual({ kind: "answer", value: 42 });
  return outcome;
}

const evil = (lines: string) => `class A:\n    ${lines.replaceAll("\n", "\n    ")}`;
const raising = (name: string) => evil(`def ${name}(self, *given): raise SystemExit`);
const looping = (name: string) => evil(`def ${name}(self, *given):\n    while True: pass`);
const meta = (lines: string, base = "type") =>
  `class M(${base}):\n    ${lines.replaceAll("\n", "\n    ")}\nclass A(metaclass=M): pass`;
const harness = "import sys\nf = sys._getframe(1)\nwhile f.f_code.co_name != 'run': f = f.f_back";

describe("what a value says of itself does not count", () => {
  test.each([
    [
      "its class",
      evil("__class__ = str\ndef __len__(self): return 1\ndef __radd__(self, other): return 'Z'"),
    ],
    [
      "its class, told by a property",
      evil("@property\ndef __class__(self): raise KeyboardInterrupt"),
    ],
    ["its class, a number", evil("__class__ = bool")],
    ["every attribute", raising("__getattribute__")],
    ["every attribute, for ever", looping("__getattribute__")],
    ["its length", `${raising("__len__")}\n    __class__ = list`],
    ["its truth", raising("__bool__")],
    ["its equality", looping("__eq__")],
    ["its hash", looping("__hash__")],
    ["its text", looping("__str__")],
    ["its representation", looping("__repr__")],
    ["its format", looping("__format__")],
    ["its number, an exception", raising("__float__")],
    ["its number, text", evil("def __float__(self): return 'Z'")],
    ["its index, too large", evil("def __index__(self): return 10**400")],
    ["its buffer", evil("def __buffer__(self, flags): return memoryview(b'12')")],
    ["its type's name", meta("@property\ndef __name__(cls): return 7")],
    ["its type's name, for ever", meta("@property\ndef __name__(cls):\n    while True: pass")],
    ["its type's ancestors", meta("@property\ndef __mro__(cls): return (str, int, object)")],
    ["its type's equality", meta("def __eq__(cls, other): return True\n__hash__ = None")],
    ["its type's attributes", meta("def __getattribute__(cls, name): raise SystemExit")],
    ["its type's instances", meta("def __instancecheck__(cls, one): raise SystemExit")],
    ["a name of a megabyte", "A = type('Z' * 10**6, (), {})"],
    ["a name of control characters", "A = type('\\x1b[2J\\r\\n', (), {})"],
  ])("%s", async (_, outside) => {
    const outcome = await outcomeOf("return A()", outside);
    expect(outcome.kind).toBe("no-answer");
    expect(JSON.stringify(outcome).length).toBeLessThan(700);
    expect(JSON.stringify(outcome)).not.toMatch(/\\u001b|\\n|\\ud800/);
  });

  const textClass = (lines: string) => `class A(str):\n    ${lines.replaceAll("\n", "\n    ")}`;
  test.each([
    ["its length", textClass("def __len__(self): return 10**9")],
    ["its sum", textClass("def __radd__(self, other): return 'Z'")],
    ["its text", textClass("def __str__(self): return 'Z' * 10**6")],
    ["its format", textClass("def __format__(self, how): raise SystemExit")],
    ["its parts", textClass("def __getitem__(self, which): return 7")],
    ["its length, for ever", textClass("def __len__(self):\n    while True: pass")],
  ])("text of a type of its own is its text: %s", async (_, outside) => {
    expect(await outcomeOf("return A('b')", outside)).toEqual({ kind: "answer", value: "b" });
  });

  test("a number of a type of its own is the number that it gives, as a double", async () => {
    const number = "class F(float):\n    def __repr__(self): return 'Z'\n    __str__ = __repr__";
    expect(await outcomeOf("return F(2.5)", number)).toEqual({ kind: "answer", value: 2.5 });
    const given = evil("def __float__(self): return F(3)");
    const lying = await outcomeOf("return A()", `${number}\n${given}`);
    expect(lying).toEqual({ kind: "answer", value: 3 });
    const whole = "class I(int):\n    def __repr__(self): return 'Z'\n    __index__ = None";
    expect(await outcomeOf("return I(7)", whole)).toEqual({ kind: "answer", value: 7 });
  });
});

describe("an exception is an error, whatever it says of itself", () => {
  const exception = (lines: string) =>
    `class E(BaseException):\n    ${lines.replaceAll("\n", "\n    ")}`;
  test.each([
    ["text that raises", exception("def __str__(self): raise self")],
    ["text that raises something else", exception("def __str__(self): raise MemoryError")],
    ["no text", exception("def __str__(self): return 7")],
    [
      "text of a type of its own",
      `class T(str):\n    def __getitem__(self, which): return 7\n    def __format__(self, how): return 'Z'\n${exception("def __str__(self): return T('x')")}`,
    ],
    ["a megabyte of text", exception("def __str__(self): return 'Z' * 10**6")],
    ["control characters", exception("def __str__(self): return '\\x1b[2J\\n\\x00'")],
    ["half a character", exception("def __str__(self): return '\\ud800'")],
    ["a traceback of its own", exception("__traceback__ = property(lambda self: 7)")],
    ["a class of its own", exception("__class__ = str")],
    [
      "a type without a name",
      `class M(type):\n    @property\n    def __name__(cls): raise SystemExit\nclass E(BaseException, metaclass=M): pass`,
    ],
    ["the end of the interpreter", "E = SystemExit"],
    ["an interrupt", "E = KeyboardInterrupt"],
    ["the end of a generator", "E = GeneratorExit"],
  ])("%s", async (_, outside) => {
    const outcome = await outcomeOf("raise E()", outside);
    expect(outcome.kind).toBe("error");
    expect(JSON.stringify(outcome).length).toBeLessThan(700);
    expect(JSON.stringify(outcome)).not.toMatch(/\\u001b|\\n|\\ud800/);
  });
});

describe("a program that replaces its reply", () => {
  // 'V' + repr(number) asks the object on the right.
  test.each(["'Z'", "''", "'Vx'", "'V'", "'Vnan'", "'X'", "[1]", "7", "None", "object()", "b'V1'"])(
    "by %s is killed",
    async (reply) => {
      const outside = `import builtins\nclass R:\n    def __radd__(self, letter): return ${reply}\nbuiltins.repr = lambda value: R()`;
      expect((await outcomeOf("return 1", outside)).kind).toBe("killed");
    },
  );

  test.each([
    ["by a function that is none", "import math\nmath.ldexp = None\nreturn 1"],
    ["by another type for text", "import builtins\nbuiltins.str = builtins.type = int\nreturn 'b'"],
    ["by a trace function", "import sys\nsys.settrace(lambda *given: 1 / 0)\nreturn 1"],
    ["by a profile function", "import sys\nsys.setprofile(lambda *given: 1 / 0)\nreturn 1"],
    ["by no built-ins", "import sys\nsys._getframe(1).f_builtins.clear()\nreturn 1"],
    [
      "by what the harness returns",
      `${harness}\nf.f_locals['answer'] = lambda value: 'Z'\nreturn 1`,
    ],
    [
      "by code of its own",
      `${harness}\nimport gc\nfor g in gc.get_referrers(f.f_code):\n    if hasattr(g, '__code__'): g.__code__ = (lambda: 'Z').__code__\nreturn 1`,
    ],
  ])("%s is at fault itself", async (_, body) => {
    expect(["answer", "no-answer", "error", "killed"]).toContain((await outcomeOf(body)).kind);
  });

  test("half a character in an answer is no text", async () => {
    const outcome = await outcomeOf("return 'a\\ud800'");
    expect(outcome).toEqual({ kind: "answer", value: "a\ufffd" });
  });
});

test.each([
  ["exit() after solution() has been defined", "def solution():\n    return 7\nexit()"],
  ["os._exit() there", "import os\ndef solution():\n    return 7\nos._exit(3)"],
  ["quit() in solution()", "def solution():\n    quit()"],
  ["input()", "def solution():\n    return int(input())"],
  ["reading standard input", "import sys\ndef solution():\n    return int(sys.stdin.read())"],
])("%s does no harm", async (_, text) => {
  expect(["answer", "error", "killed"]).toContain((await sandbox.run(text)).kind);
});

test("recursion of 5,000 calls works where the program allows it", async () => {
  const text =
    "import sys\nsys.setrecursionlimit(10000)\ndef solution():\n    def f(n): return 0 if n == 0 else 1 + f(n - 1)\n    return f(5000)";
  expect(await sandbox.run(text)).toEqual({ kind: "answer", value: 5000 });
});
