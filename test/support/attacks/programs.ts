// Attacks on other programs and on what is said of one: state left behind, code for later, forged outcomes, odd texts.
import { type Attack, each, group, nothing, whatever } from "./attack.ts";

const builtIns =
  "abs all any ascii bin bool bytearray bytes callable chr classmethod compile complex delattr dict dir divmod enumerate eval exec filter float format frozenset getattr globals hasattr hash hex id input int isinstance issubclass iter len list locals map max memoryview min next object oct open ord pow print property range repr reversed round set setattr slice sorted staticmethod str sum super tuple type vars zip BaseException Exception ValueError StopIteration MemoryError OverflowError KeyboardInterrupt __import__ __build_class__";

const modules: Readonly<Record<string, string>> = {
  math: "sqrt floor ceil ldexp isfinite pi",
  json: "dumps loads encoder decoder",
  re: "compile search _cache",
  random: "random randint _inst",
  decimal: "Decimal getcontext",
  fractions: "Fraction",
  datetime: "date datetime",
  collections: "Counter deque",
  itertools: "chain count",
  functools: "reduce lru_cache",
  statistics: "mean",
  string: "ascii_letters",
  operator: "add",
  copy: "deepcopy",
  time: "time",
  sys: "modules path exc_info exit stdout meta_path builtin_module_names",
  os: "environ write read open",
  io: "open TextIOWrapper",
  codecs: "lookup open",
  gc: "collect",
  warnings: "warn",
  importlib: "import_module",
  _frozen_importlib: "_find_and_load",
  encodings: "search_function",
};

const methods: Readonly<Record<string, string>> = {
  str: "__str__ __format__ __len__ split replace encode",
  float: "__repr__ __add__ __float__",
  int: "__add__ __mul__ __index__",
  list: "append __len__ sort",
  dict: "get update items",
  type: "__name__ __call__ mro",
  object: "__new__ __eq__ __hash__",
  BaseException: "__str__ with_traceback",
};

const inEach = (lists: Readonly<Record<string, string>>, text: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(lists).flatMap(([owner, names]) =>
      names
        .split(" ")
        .map((name) => [
          `${owner}.${name}`,
          text.replaceAll("OWNER", owner).replaceAll("NAME", name),
        ]),
    ),
  );

const wrong = "lambda *given, **named: 5";

const settings: Readonly<Record<string, string>> = {
  "sys.modules.clear": "import sys\nsys.modules.clear()\nreturn 1",
  "a module of its own": "import sys, types\nsys.modules['json'] = types.ModuleType('json')",
  "no import hooks":
    "import sys\nsys.meta_path.clear()\nsys.path_hooks.clear()\nsys.path.clear()\nsys.path_importer_cache.clear()",
  "the recursion limit": "import sys\nsys.setrecursionlimit(77)",
  "the digits of numbers": "import sys\nsys.set_int_max_str_digits(640)",
  "the switch interval": "import sys\nsys.setswitchinterval(99)",
  "the decimal context":
    "import decimal\ndecimal.getcontext().prec = 2\ndecimal.DefaultContext.prec = 2\ndecimal.setcontext(decimal.Context(prec=1))",
  "a seed": "import random\nrandom.seed(1)\nrandom._inst = None",
  "the garbage collector":
    "import gc\ngc.disable()\ngc.freeze()\ngc.set_threshold(1)\ngc.set_debug(gc.DEBUG_LEAK)",
  "closed streams":
    "import os\nfor fd in range(9):\n    try: os.close(fd)\n    except OSError: pass",
  "closed files": "import sys\nsys.stdout.close()\nsys.stderr.close()\nsys.stdin.close()",
  "open files":
    "import builtins\nbuiltins.f = [open('/home/pyodide/program.py') for _ in range(999)]\nreturn 1",
  "moved descriptors":
    "import os\nfd = os.open('/home/pyodide/program.py', 0)\nos.lseek(fd, 5, 0)\nreturn 1",
  "the time zone": "import os, time\nos.environ['TZ'] = 'Asia/Tokyo'\ntime.tzset()",
  "the environment": "import os\nos.environ.clear()\nos.putenv('HOME', '/x')",
  "the locale": "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
  "warnings as errors":
    "import warnings\nwarnings.simplefilter('error')\nimport sys\nsys.warnoptions.append('error')",
  caches:
    "import re, functools, linecache\nre.purge()\nlinecache.clearcache()\nimport sys\nsys._clear_internal_caches()",
  "interned text": "import sys\n[sys.intern(f'a{i}') for i in range(10**5)]\nreturn 1",
  "a context variable": "import contextvars\ncontextvars.ContextVar('x').set(1)",
  "abstract classes":
    "import numbers\nnumbers.Number.register(str)\nimport abc\nabc._reset_caches = 1",
  "a codec":
    "import codecs\ncodecs.register(lambda name: 1 / 0)\ncodecs.register_error('strict', lambda e: ('', e.end))",
  "how things are copied": "import copyreg\ncopyreg.pickle(int, lambda x: (str, ('5',)))",
  "unions of all": "import types\ntypes.ModuleType = int\ntypes.FunctionType = None",
  "harness: globals":
    "import sys\nsys._getframe(1).f_globals.clear()\nsys._getframe(1).f_builtins.clear()",
  "harness: every frame":
    "import sys\nf = sys._getframe()\nwhile f:\n    f.f_locals.clear()\n    f.f_globals.clear()\n    f = f.f_back",
  "harness: its variables":
    "import sys\nf = sys._getframe(1)\nwhile f.f_code.co_name != 'run': f = f.f_back\nf.f_locals['source'] = f.f_locals['answer'] = None\nreturn 3",
  "harness: its defaults":
    "import gc\nfor f in gc.get_objects():\n    if type(f).__name__ == 'function' and f.__code__.co_filename.startswith('<'): f.__defaults__ = (1,)\nreturn 3",
  "harness: its cells":
    "import gc\nfor f in gc.get_objects():\n    if type(f).__name__ == 'function' and f.__closure__ and f.__qualname__.startswith('make_runner'):\n        for c in f.__closure__: c.cell_contents = None\nreturn 3",
  "harness: its code":
    "import gc\nfor f in gc.get_objects():\n    if type(f).__name__ == 'function' and f.__qualname__.startswith('make_runner'): f.__code__ = (lambda *given: 'V7').__code__\nreturn 3",
  "every dict":
    "import gc\nfor d in gc.get_objects():\n    if type(d) is dict: d.clear()\nreturn 3",
  "every list":
    "import gc\nfor d in gc.get_objects():\n    if type(d) is list: d.clear()\nreturn 3",
  "every set": "import gc\nfor d in gc.get_objects():\n    if type(d) is set: d.clear()\nreturn 3",
};

const later: Readonly<Record<string, string>> = {
  "a finalizer":
    "class F:\n    def __del__(self):\n        import math\n        math.e = 9\nimport builtins\nbuiltins.f = F()",
  "a finalizer that comes back":
    "class F:\n    def __del__(self):\n        import builtins\n        builtins.f = self\nF()",
  "a finalizer in a cycle":
    "class F:\n    def __del__(self):\n        import math\n        math.e = 9\nx = F()\nx.x = x",
  "a weak reference":
    "import weakref, builtins\nclass A: pass\nbuiltins.a = A()\nbuiltins.r = weakref.ref(builtins.a, lambda r: 1 / 0)",
  "weakref.finalize":
    "import weakref, builtins\nclass A: pass\nbuiltins.a = A()\nweakref.finalize(builtins.a, exit)",
  "an exit handler": "import atexit\natexit.register(print)\natexit.register(exit)",
  "a generator's end":
    "import builtins\ndef f():\n    try: yield 1\n    finally: builtins.float = None\nbuiltins.g = f()\nnext(builtins.g)",
  "a coroutine": "import builtins\nasync def f():\n    builtins.float = None\nbuiltins.c = f()",
  ...each(
    "settrace setprofile",
    "import sys, threading\nsys._(lambda *given: 1 / 0)\nthreading._(lambda *given: 1 / 0)",
  ),
  "sys.monitoring":
    "import sys\nm = sys.monitoring\nm.use_tool_id(1, 'x')\nm.register_callback(1, m.events.CALL, lambda *given: 1 / 0)\nm.set_events(1, m.events.CALL)\nreturn len([1])",
  "an audit hook": "import sys\nsys.addaudithook(lambda *given: 1 / 0)",
  "an audit hook that ends":
    "import sys, os\nsys.addaudithook(lambda *given: os._exit(3))\nopen('/x')",
  ...each(
    "excepthook unraisablehook displayhook breakpointhook",
    "import sys\nsys._ = lambda *given: exit()\nraise KeyError",
  ),
  "a finder":
    "import sys\nclass F:\n    def find_spec(self, *given): raise SystemExit\nsys.meta_path.insert(0, F())",
  "a hook of paths": "import sys\nsys.path_hooks.insert(0, exit)\nsys.path.insert(0, '/x')",
  __import__: "import builtins\nbuiltins.__import__ = exit",
  "gc.callbacks": "import gc\ngc.callbacks.append(lambda *given: exit())",
  "a pending signal":
    "import signal, _thread\nsignal.signal(signal.SIGINT, lambda *given: exit())\n_thread.interrupt_main()\nreturn 3",
  "a class that is built": "import builtins\nbuiltins.__build_class__ = exit",
  "a subclass hook":
    "class A:\n    def __init_subclass__(cls): raise SystemExit\nimport builtins\nbuiltins.object = A",
  "a writer of output":
    "import sys\nclass W:\n    def write(self, text): raise SystemExit\n    flush = write\nsys.stdout = sys.stderr = W()\nprint(1)",
  stack_size: "import threading\nthreading.stack_size(1 << 20)",
  "a last exception": "import sys\nsys.last_exc = KeyError()\nsys.last_traceback = 7",
};

const serial: Readonly<Record<string, string>> = {
  pickle:
    "import pickle, os\nclass A:\n    def __reduce__(self): return os.system, ('echo x > ' + MARKER,)\nreturn pickle.loads(pickle.dumps(A()))",
  "a pickle of code":
    "import pickle\nreturn pickle.loads(b\"cbuiltins\\nexec\\n(S'import math; math.pi = 3'\\ntR.\")",
  "a pickle of another module": "import pickle\nreturn pickle.loads(b'cos\\nabort\\n(tR.')",
  "a pickle without end": "import pickle\nreturn pickle.loads(b'(' * 10**6)",
  "a pickle that says it is long":
    "import pickle\nreturn pickle.loads(b'\\x80\\x04\\x8e' + (2**60).to_bytes(8, 'little'))",
  "a pickle of memos": "import pickle\nreturn pickle.loads(b'N' + b'r\\xff\\xff\\xff\\x7f' + b'.')",
  shelve: "import shelve\nshelve.open(MARKER)",
  copyreg: "import copyreg\nreturn copyreg.__newobj__(int, '7')",
  "exec of bytes": "exec(b'import os; os.abort()')",
  InteractiveInterpreter:
    "import code\ncode.InteractiveInterpreter().runsource('import os; os.abort()')",
  "a console": "import code\ncode.interact()",
  pdb: "import pdb\npdb.set_trace()",
  breakpoint: "breakpoint()",
  input: "return int(input())",
  "csv of large fields":
    "import csv\ncsv.field_size_limit(2**31 - 1)\nreturn len(list(csv.reader(['a' * 10**7]))[0][0])",
  "a bomb in an archive":
    "import io, zipfile\nb = io.BytesIO()\nz = zipfile.ZipFile(b, 'w', 8)\nz.writestr('x', bytes(10**8))\nz.close()\nreturn len(zipfile.ZipFile(b).read('x') * 10)",
  "an archive that goes up":
    "import io, tarfile\nb = io.BytesIO()\nt = tarfile.open(fileobj=b, mode='w')\nt.addfile(tarfile.TarInfo('../../x'))\nt.close()\nb.seek(0)\ntarfile.open(fileobj=b).extractall('/tmp', filter='fully_trusted')\nraise KeyError",
  plistlib: "import plistlib\nreturn plistlib.loads(b'bplist00' + bytes(99))",
  "XML from a file":
    "import xml.sax, io\nxml.sax.parse(io.StringIO('<!DOCTYPE x SYSTEM \"file://' + SECRET + '\"><x/>'), xml.sax.ContentHandler())\nraise KeyError",
  configparser:
    "import configparser\nc = configparser.ConfigParser()\nc.read_string('[a]\\nb = %(b)s')\nreturn c['a']['b']",
  "a format that looks around":
    "return '{0.__class__.__mro__[1].__subclasses__}'.format(1)[:0] + 1",
  "a template": "import string\nreturn string.Template('$x').substitute({})",
  literal_eval: "import ast\nreturn ast.literal_eval('__import__(\"os\").abort()')",
  "logging.config":
    "import logging.config\nlogging.config.dictConfig({'version': 1, 'handlers': {'h': {'()': 'os.abort'}}, 'root': {'handlers': ['h']}})\nraise KeyError",
};

const evil = (lines: string) => `class A:\n    ${lines.replaceAll("\n", "\n    ")}\nreturn A()`;
const meta = (lines: string) =>
  `class M(type):\n    ${lines.replaceAll("\n", "\n    ")}\nclass A(metaclass=M): pass\nreturn A()`;
const raised = (lines: string) =>
  `class E(BaseException):\n    ${lines.replaceAll("\n", "\n    ")}\nraise E()`;

const forged: Readonly<Record<string, string>> = {
  "its class": evil(
    "__class__ = str\ndef __len__(self): return 1\ndef __radd__(self, other): return 'Z'",
  ),
  "its class, by a property": evil("@property\ndef __class__(self): raise KeyboardInterrupt"),
  "its class, a truth value": evil("__class__ = bool"),
  ...Object.fromEntries(
    "__getattribute__ __len__ __bool__ __eq__ __hash__ __str__ __repr__ __format__ __float__ __iter__ __index__ __complex__ __round__"
      .split(" ")
      .map((name) => [`${name} that ends`, evil(`def ${name}(self, *given): raise SystemExit`)]),
  ),
  "its number, text": evil("def __float__(self): return 'Z'"),
  "its number, another number": evil(
    "def __float__(self): return type('F', (float,), {'__repr__': lambda self: 'Z'})(3)",
  ),
  "its index, too large": evil("def __index__(self): return 10**400"),
  "its buffer": evil("def __buffer__(self, flags): return memoryview(b'12')"),
  "its type's name": meta("@property\ndef __name__(cls): return 7"),
  "its type's ancestors": meta("@property\ndef __mro__(cls): return (str, int, object)"),
  "its type's equality": meta("def __eq__(cls, other): return True\n__hash__ = None"),
  "its type's attributes": meta("def __getattribute__(cls, name): raise SystemExit"),
  "its type's instances": meta("def __instancecheck__(cls, one): raise SystemExit"),
  "a name of a megabyte": "return type('Z' * 10**6, (), {})()",
  "a name of control characters": "return type('\\x1b[2J\\r\\n', (), {})()",
  "an error whose text raises": raised("def __str__(self): raise self"),
  "an error whose text is none": raised("def __str__(self): return 7"),
  "an error of a megabyte": raised("def __str__(self): return 'Z' * 10**6"),
  "an error of control characters": raised("def __str__(self): return '\\x1b[2J\\n\\x00'"),
  "an error of half a character": raised("def __str__(self): return '\\ud800'"),
  "an error with a traceback of its own": raised("__traceback__ = property(lambda self: 7)"),
  "an error with a class of its own": raised("__class__ = str"),
  "a group of errors": "raise BaseExceptionGroup('x', [SystemExit(), KeyboardInterrupt()])",
  "many notes": "e = KeyError()\ne.__notes__ = ['x' * 10**6] * 9\nraise e",
  ...Object.fromEntries(
    [
      "'Z'",
      "''",
      "'Vx'",
      "'V'",
      "'Vnan'",
      "'X'",
      "[1]",
      "7",
      "None",
      "object()",
      "b'V1'",
      "'I' * 9",
      "'V1e999'",
      "'S' + 'x' * 10**6",
      "'V\\x00'",
    ].map((reply) => [
      `the reply ${reply}`,
      `import builtins\nclass R:\n    def __radd__(self, letter): return ${reply}\nbuiltins.repr = lambda value: R()\nreturn 1`,
    ]),
  ),
  "words of the sandbox": "raise RuntimeError('infrastructure: the guest ended (SIGKILL)')",
  "a truth value": "return True",
  "no number": "return float('nan')",
  infinity: "return float('inf')",
  "too large": "return 10**400",
  "a list that holds itself": "x = []\nx.append(x)\nreturn x",
  "a long text": "return 'x' * 201",
  "half a character": "return 'a\\ud800'",
  "control characters": "return '\\x1b[2J\\x00\\n'",
  "a reply in JSON": 'return \'{"id":1,"kind":"V","text":"1"}\'',
};

const texts: Readonly<Record<string, string>> = {
  "a zero byte": "def solution():\n    return 1\0",
  "a BOM": "\ufeffdef solution():\n    return 1",
  "a declared encoding": "# -*- coding: utf-7 -*-\ndef solution():\n    return '+AGE-'",
  "an unknown encoding": "# coding: nothing\ndef solution():\n    return 1",
  "half a character": "def solution():\n    return '\ud800'",
  "line ends of every kind": "def solution():\r    x = 1\r\n    return x\u2028",
  "tabs and blanks": "def solution():\n\tif 1:\n        return 1",
  "a form feed": "\fdef solution():\n    return 1",
  "a name like another":
    "def solution():\n    ſum = 3\n    return sum([ſum]) if callable(sum) else 7",
  "text that turns around": "def solution():\n    return 1 # \u202e txet",
  "an endless line": `def solution():\n    return ${"1 + ".repeat(20_000)}1`,
  "many lines": `${"x = 1\n".repeat(100_000)}def solution():\n    return x`,
  "many names": `def solution():\n    ${Array.from({ length: 5000 }, (_, i) => `x${i} = 1`).join("; ")}\n    return 1`,
  "many arguments": `def f(${Array.from({ length: 3000 }, (_, i) => `x${i}=1`).join(", ")}): return x0\ndef solution():\n    return f()`,
  "a huge number": `def solution():\n    return ${"9".repeat(5000)}`,
  "an unclosed text": "def solution():\n    return '''",
  "no solution()": "answer = 4 # def solution(",
  "a solution() that is none": "def solution(): pass\nsolution = 7",
  "a solution() of arguments": "def solution(a, b):\n    return 1",
  "a solution() that yields": "def solution():\n    yield 7",
  "an async solution()": "async def solution():\n    return 7\n# def solution(",
  "another program's name":
    "__name__ = '__main__'\n__builtins__ = {}\ndef solution():\n    return abs(-1)",
  "a future": "from __future__ import braces\ndef solution():\n    return 1",
  "a walrus in a default": "def solution(x=(y := 7)):\n    return x",
  "a type variable": "def solution[T: (1 / 0)]():\n    return 1",
  "a match": "def solution():\n    match 1:\n        case x if (yield): return x",
};

const others: Readonly<Record<string, string>> = {
  // An honest program before has it in its text: reversed here, so that a search does not find itself.
  "the memory of the one before":
    "import ctypes\nword = bytes(reversed(b'dedrawrof eb ot ton'))\nreturn (ctypes.string_at(1024, 30000000).find(word) >= 0) + 0",
  "the objects of the one before":
    "import gc\nword = ''.join(reversed('dedrawrof eb ot ton'))\nreturn sum(type(o) is dict and any(type(v) is str and v == word for v in o.values()) for o in gc.get_objects())",
  "the file of the one before": "return len(open('/home/pyodide/program.py').read()) * 0",
  "a bytecode cache": "import os\nreturn len(os.listdir('/home/pyodide')) - 1",
  "the last exception": "import sys\nreturn (getattr(sys, 'last_exc', None) is not None) + 0",
};

export const programAttacks: readonly Attack[] = [
  ...group(
    "built-ins replaced",
    whatever,
    each(builtIns, `import builtins\nbuiltins._ = ${wrong}`),
  ),
  ...group("built-ins removed", whatever, each(builtIns, "import builtins\ndel builtins._")),
  ...group(
    "modules patched",
    whatever,
    inEach(modules, `import OWNER\nOWNER.NAME = ${wrong}\nreturn 1`),
  ),
  ...group(
    "types patched",
    whatever,
    inEach(
      methods,
      `import gc\ngc.get_referents(OWNER.__dict__)[0]['NAME'] = ${wrong}\nimport sys\nsys._clear_internal_caches()\nreturn 1`,
    ),
  ),
  ...group("settings left behind", whatever, settings),
  ...group("code for later", whatever, later),
  ...group("serialized code", nothing.concat("timeout", "answer"), serial),
  ...group("forged outcomes", whatever, forged),
  ...group("texts", whatever, texts),
  ...group("other programs", whatever, others),
];
