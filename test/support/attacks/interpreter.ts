// Attacks on the interpreter and its limits: signals, ends, wild writes, nesting, memory, output and time.
import { type Attack, each, group, nothing, whatever } from "./attack.ts";

const signals = Object.fromEntries(
  Array.from({ length: 32 }, (_, number) => [
    `signal ${number}`,
    `import signal\nsignal.raise_signal(${number})`,
  ]),
);

const handled = each(
  "SIGINT SIGTERM SIGALRM SIGUSR1 SIGSEGV",
  "import signal\ndef f(*given):\n    import math\n    math.pi = 3\n    raise SystemExit\nsignal.signal(signal._, f)\nsignal.raise_signal(signal._)",
);

const alarms: Readonly<Record<string, string>> = {
  alarm: "import signal\nsignal.alarm(1)",
  setitimer: "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.01)",
  "a handler for later": "import signal\nsignal.signal(signal.SIGINT, lambda *given: 1 / 0)",
  set_wakeup_fd: "import signal\nsignal.set_wakeup_fd(1)",
  interrupt_main: "import _thread\n_thread.interrupt_main()",
  pause: "import signal\nsignal.pause()",
};

const garbage = (code: string) =>
  `def f(): return 1\nf.__code__ = f.__code__.replace(${code})\nreturn f()`;

const ends: Readonly<Record<string, string>> = {
  ...each("0 1 7 255 -1", "import os\nos._exit(_)"),
  "os.abort": "import os\nos.abort()",
  "sys.exit": "import sys\nsys.exit(3)",
  "exit() outside": "def solution():\n    return 7\nexit()",
  "os._exit() outside": "import os\ndef solution():\n    return 7\nos._exit(3)",
  ...each(
    "_sigsegv _sigabrt _sigfpe _read_null _stack_overflow _fatal_error_c_thread",
    "import faulthandler\nfaulthandler._()",
  ),
  "garbage for code": garbage("co_code=bytes(range(256)) * 9"),
  "code of one byte": garbage("co_code=b'\\x00\\x00'"),
  "code without its stack": garbage("co_stacksize=0"),
  "code without constants": garbage("co_consts=()"),
  "code that jumps away": garbage("co_code=bytes([77, 255] * 50)"),
  "code without locals":
    "def f(a): return a\nf.__code__ = f.__code__.replace(co_varnames=(), co_nlocals=0, co_argcount=0)\nreturn f(1)",
  "half a marshal": "import marshal\nreturn marshal.loads(b'c' + bytes(99))",
  "marshalled garbage":
    "import marshal, types\nexec(marshal.loads(marshal.dumps(compile('1', 'x', 'exec')).replace(b'\\x01', b'\\xff')))",
  "a null pointer": "import ctypes\nreturn ctypes.string_at(0, 1 << 30)",
  "a function at nowhere": "import ctypes\nreturn ctypes.CFUNCTYPE(None)(12345)()",
  "a function of another form":
    "import _ctypes\nreturn _ctypes.call_function(_ctypes._memset_addr, (1,))",
  "an object at nowhere": "import _ctypes\nreturn str(_ctypes.PyObj_FromPtr(1234))",
  "py_object of nothing": "import ctypes\nreturn str(ctypes.py_object().value)",
  "a freed reference":
    "import _ctypes\nfor _ in range(99): _ctypes.Py_DECREF(None)\nfor _ in range(9): _ctypes.Py_DECREF(True)\nreturn 1",
  "a freed type":
    "import _ctypes\nfor _ in range(10**4): _ctypes.Py_DECREF(int)\nimport gc\ngc.collect()\nreturn 1",
};

/** Sets bytes at an address of Python's memory. */
const write = (address: string, length: string, byte = 255) =>
  `import _ctypes, sys\n_ctypes.call_function(_ctypes._memset_addr, (${address}, ${byte}, ${length}))\nreturn 3`;

const wild: Readonly<Record<string, string>> = Object.fromEntries(
  [
    ["0", "1000"],
    ["1024", "100000"],
    ["1000000", "1000000"],
    ["4000000", "4000000"],
    ["8000000", "8000000"],
    ["12000000", "1000"],
    ["2000000", "20000000"],
    ["0", "40000000"],
    ["2**31 - 1", "1"],
    ["2**32 - 1", "10"],
    ["id(None)", "8"],
    ["id(True)", "16"],
    ["id(0)", "100"],
    ["id('')", "16"],
    ["id(str)", "200"],
    ["id(float)", "200"],
    ["id(type)", "400"],
    ["id(solution)", "40"],
    ["id(sys.modules)", "40"],
    ["id(sys._getframe(1).f_code)", "100"],
    ["id(sys._getframe(1).f_globals)", "24"],
    ["id(__builtins__)", "24"],
  ].flatMap(([address, length]) =>
    [0, 255].map((byte) => [
      `${length} bytes of ${byte} at ${address}`,
      write(address!, length!, byte),
    ]),
  ),
);

const nest = "x = []\nfor _ in range(DEEP): x = [x]\n";
const deep = (text: string, depth: number) => text.replace("DEEP", String(depth));
const nesting: Readonly<Record<string, string>> = {
  "endless recursion": "def f(n): return f(n + 1)\nreturn f(0)",
  "recursion without a limit":
    "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return f(n + 1)\nreturn f(0)",
  "recursion of methods":
    "class A:\n    def __getattr__(self, name): return getattr(self, name + 'x')\nreturn A().x",
  "recursion of a representation":
    "class A:\n    def __repr__(self): return repr(self)\nreturn repr(A())",
  "recursion through C":
    "class A:\n    def __eq__(self, other): return [self] == [other]\nreturn A() == A()",
  "recursion of sorting":
    "class A:\n    def __lt__(self, other): return sorted([A(), A()]) and True\nreturn sorted([A(), A()])",
  "recursion of generators": "def f(): yield from f()\nreturn list(f())",
  "recursion of calls": "class A: pass\nA.__call__ = A()\nreturn A()()",
  "recursion of descriptors":
    "class A:\n    @property\n    def x(self): return self.x\nreturn A().x",
  "recursion of finalizers": "class A:\n    def __del__(self): A()\nA()",
  "recursion of classes":
    "class M(type):\n    def __instancecheck__(cls, x): return isinstance(x, cls)\nclass A(metaclass=M): pass\nreturn isinstance(1, A)",
  "recursion of imports":
    "import sys\nclass F:\n    def find_spec(self, name, *given): return __import__(name + 'x')\nsys.meta_path.insert(0, F())\nimport nothing",
  "recursion of hashes": "class A:\n    def __hash__(self): return hash((self,))\nreturn hash(A())",
  ...Object.fromEntries(
    [
      ["repr(x)", 10 ** 5],
      ["x == x[:]", 10 ** 5],
      ["x < [x]", 10 ** 5],
      ["__import__('copy').deepcopy(x)", 10 ** 5],
      ["__import__('json').dumps(x)", 10 ** 5],
      ["__import__('pickle').dumps(x)", 10 ** 5],
      ["__import__('marshal').dumps(x)", 10 ** 5],
      ["__import__('pprint').pformat(x)", 10 ** 4],
    ].map(([call, depth]) => [
      `a deep list: ${call}`,
      deep(`${nest}return len(str(${call}))`, Number(depth)),
    ]),
  ),
  "the end of a deep list": deep(`${nest}del x`, 10 ** 6),
  "the end of deep tuples": "x = ()\nfor _ in range(10**6): x = (x,)\ndel x",
  "the end of a long chain":
    "class A: pass\nx = None\nfor _ in range(10**5):\n    a = A()\n    a.x = x\n    x = a\ndel x, a",
  "a deep hash": "x = ()\nfor _ in range(10**5): x = (x,)\nreturn hash(x)",
  "deep exceptions":
    "e = None\nfor _ in range(10**5):\n    n = ValueError()\n    n.__cause__ = e\n    e = n\nraise e",
  "deep brackets": "return eval('(' * 10**5)",
  "deep lists in source": "return eval('[' * 10**4 + ']' * 10**4)",
  "many minus signs": "return eval('-' * 2 * 10**5 + '1')",
  "a deep sum": "return eval('+'.join(['1'] * 10**5))",
  "deep attributes": "return eval('x' + '.x' * 10**5)",
  "deep functions": "exec('\\n'.join(' ' * i + 'def f():' for i in range(99)) + ' pass')",
  "deep f-strings": "return eval('f\"{' * 200 + '1' + '}\"' * 200)",
  "deep JSON": "import json\nreturn json.loads('[' * 10**5)",
  "a deep tree": "import ast\nreturn ast.parse('-' * 10**5 + '1')",
  "a deep expression": "import re\nreturn re.compile('(' * 10**4 + ')' * 10**4)",
  "deep partials":
    "import functools\nf = abs\nfor _ in range(10**5): f = functools.partial(f)\nreturn repr(f)",
  "deep iterators":
    "import itertools\ni = iter([1])\nfor _ in range(10**5): i = itertools.chain(i)\nreturn next(i)",
  "deep maps": "i = [1]\nfor _ in range(10**5): i = map(abs, i)\nreturn next(i)",
  "deep unions": "import typing\nt = int\nfor _ in range(10**4): t = list[t]\nreturn repr(t)",
};

const memory: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      "[0] * 10**9",
      "(0,) * 10**9",
      "'a' * 10**10",
      "b'a' * 10**10",
      "bytearray(10**10)",
      "1 << 10**11",
      "list(range(10**9))",
      "'a'.rjust(10**10)",
      "'%10000000000d' % 1",
      "f'{1:10000000000}'",
      "'a'.center(2**31)",
      "'\\t'.expandtabs(10**10)",
      "memoryview(bytearray(10**10))",
      "__import__('array').array('d', [0]) * 10**9",
      "__import__('io').BytesIO().truncate(10**10) or __import__('io').BytesIO(b'a' * 10**10)",
      "__import__('random').randbytes(10**10)",
      "__import__('struct').pack('10000000000x')",
      "__import__('ctypes').create_string_buffer(10**10)",
      "__import__('decimal').Decimal(1).scaleb(10**9).__int__()",
      "bytes.fromhex('00' * 10**9)",
      "__import__('collections').deque(range(10**9))",
      "list(__import__('itertools').product(range(10**4), repeat=3))",
    ].map((expression) => [expression, `return len(${expression})`]),
  ),
  "a string that doubles": "x = 'a' * 10**6\nwhile True: x = x + x",
  "bytes that double": "x = b'a' * 10**6\nwhile True: x = x + x",
  "a list that grows": "x = []\nwhile True: x.append('a' * 10**6)",
  "a dict that grows": "x = {}\nwhile True: x[len(x)] = bytearray(10**5)",
  "memory that is kept, error after error":
    "kept = []\nwhile True:\n    try:\n        while True: kept.append(bytearray(10**7))\n    except MemoryError:\n        if len(kept) > 9: raise",
  "a number that grows": "x = 3\nwhile True: x = x * x",
  "a bomb of zeros":
    "import zlib\nx = zlib.compress(bytes(10**7))\nreturn len(zlib.decompress(x) * 100)",
  "a million laughs":
    "import xml.etree.ElementTree as e\nd = '<!DOCTYPE l [<!ENTITY a \"aaaaaaaaaa\">' + ''.join(f'<!ENTITY {c} \"{10 * f\"&{p};\"}\">' for p, c in zip('abcdefghi', 'bcdefghij')) + ']><l>&j;</l>'\nreturn len(e.fromstring(d).text)",
  "cycles without end":
    "while True:\n    x = [bytearray(10**5)]\n    x.append(x)\n    import gc\n    gc.disable()",
};

const output: Readonly<Record<string, string>> = {
  print: "while True: print('a' * 10**4)",
  stderr: "import sys\nwhile True: sys.stderr.write('a' * 10**4)",
  "one print": "print('a' * 10**8)",
  ...each("1 2", "import os\nwhile True: os.write(_, b'a' * 10**4)"),
  "sys.__stdout__": "import sys\nwhile True: sys.__stdout__.buffer.write(b'a' * 10**4)",
  "lines without text": "while True: print(flush=True)",
  logging: "import logging\nwhile True: logging.error('a' * 10**4)",
  warnings:
    "import warnings\nwarnings.simplefilter('always')\nwhile True: warnings.warn('a' * 10**4)",
  traceback:
    "import traceback\nwhile True:\n    try: 1 / 0\n    except Exception as e:\n        e.add_note('a' * 10**4)\n        traceback.print_exc()",
  "errors that cannot be raised":
    "class A:\n    def __del__(self): raise KeyError('a' * 10**4)\nwhile True: A()",
  pprint: "import pprint\nwhile True: pprint.pprint('a ' * 10**4)",
};

const time: Readonly<Record<string, string>> = {
  "an endless loop": "while True: pass",
  "one that catches everything":
    "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
  "before solution()": "while True: pass\ndef solution():\n    return 1",
  "in a class": "class A:\n    while True: pass",
  "in a decorator": "def f(g):\n    while True: pass\n@f\ndef solution():\n    return 1",
  "in a default": "def f(x=sum(iter(int, 1))): pass",
  "in a number": "class A:\n    def __float__(self):\n        while True: pass\nreturn A()",
  "in an error": "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
  "in a finalizer":
    "class A:\n    def __float__(self): return 3.0\n    def __del__(self):\n        while True: pass\nreturn A()",
  "in an import":
    "import sys\nclass F:\n    def find_spec(self, *given):\n        while True: pass\nsys.meta_path.insert(0, F())\nimport nothing",
  "in a trace function":
    "import sys\ndef f(*given):\n    while True: pass\nsys.settrace(f)\nabs(1)\nreturn len([1])",
  "in a comparison":
    "class A:\n    def __lt__(self, other):\n        while True: pass\nreturn max(A(), A())",
  "sum(range())": "return sum(range(10**12))",
  "sum(iter())": "return sum(iter(int, 1))",
  "all(iter())": "return all(iter(lambda: 1, 2))",
  "a number in a long range": "return 0.5 in range(10**12)",
  sorting: "return sorted(range(10**7), key=lambda x: sum(range(1000)))[0]",
  "a deque of nothing":
    "from collections import deque\nfrom itertools import count\ndeque(count(), maxlen=0)",
  "a generator": "def f():\n    while True: yield 1\nfor _ in f(): pass",
  Fibonacci: "def f(n): return n if n < 2 else f(n - 1) + f(n - 2)\nreturn f(50)",
  "a power": "return pow(3, 3**17, 10**99999 + 1) % 7",
  "a factorial": "import math\nreturn math.factorial(10**7) % 7",
  digits: "import sys\nsys.set_int_max_str_digits(0)\nreturn len(str(7**10**7))",
  "digits of a text": "import sys\nsys.set_int_max_str_digits(0)\nreturn int('7' * 10**7) % 7",
  "digits of a decimal":
    "from decimal import Decimal, getcontext\ngetcontext().prec = 10**6\nreturn Decimal(2).sqrt().exp()",
  "a fraction": "from fractions import Fraction as F\nx = F(1, 3)\nwhile True: x = x * x + F(1, 7)",
  "an expression": "import re\nreturn re.match('(a+)+b', 'a' * 50)",
  "an expression of choices": "import re\nreturn re.match('(a|a)*b', 'a' * 50)",
  "an expression that looks back": "import re\nreturn re.match(r'(.*)*\\1x', 'ab' * 50)",
  "an expression of words": "import re\nreturn re.search(r'(\\w+\\s?)*$', 'a' * 50 + '!')",
  "equal hashes":
    "class A:\n    def __hash__(self): return 1\n    def __eq__(self, other): return sum(range(99)) == 1\nreturn len({A() for _ in range(10**5)})",
  "equal hashes of numbers": "return len({i * (2**31 - 1) * (2**61 - 1) for i in range(10**6)})",
  "time.sleep()": "import time\ntime.sleep(10**6)",
  "short sleeps": "import time\nwhile True: time.sleep(0.001)",
  "waiting for a time": "import time\nend = time.time() + 10**6\nwhile time.time() < end: pass",
  permutations: "import itertools\nreturn sum(1 for _ in itertools.permutations(range(20)))",
  compiling: "while True: compile('x = 1\\n' * 10**4, 'x', 'exec')",
  "collecting garbage": "import gc\nwhile True: gc.collect()",
  searching:
    "return ('a' * 10**6).count('a' * 10**5 + 'b' + 'a' * 10**5) + 'ab' * 10**7 .find('x') if False else min(iter(lambda: ('a' * 10**7).find('b'), 0))",
  joining: "return ''.join(iter(lambda: '', 1))",
};

export const interpreterAttacks: readonly Attack[] = [
  ...group("signals", whatever, { ...signals, ...handled, ...alarms }),
  ...group("ends of the interpreter", whatever, ends),
  ...group("wild writes", whatever, wild),
  ...group("nesting", whatever, nesting),
  ...group("memory", [...nothing, "timeout", "answer"], memory),
  ...group("output", ["killed", "timeout"], output),
  ...group("time", ["timeout"], time),
];
