// Programs that do no harm, between attacks: their answers must be right whatever ran before them.
import { program } from "./attack.ts";

/** Programs with their answers. One has the text that attacks on other programs search for. */
export const honest: readonly (readonly [program: string, answer: number | string])[] = (
  [
    ["import math\nreturn math.sqrt(49) + sum(range(3))", 10],
    [
      "import json\nnote = {'note': 'not to be forwarded'}\nreturn len(json.dumps(note)) + json.loads('[2]')[0]",
      33,
    ],
    ["total = 0\nfor price in [1.5, 2.25]:\n    total += price * 4\nreturn round(total, 2)", 15],
    ["return float('2.5') + int('7') + len(str(10**30)) + abs(-1)", 41.5],
    ["import re\nreturn int(re.findall(r'\\d+', 'a 12 b 30')[1])", 30],
    ["from fractions import Fraction\nreturn str(Fraction(3, 4) + Fraction(1, 4) / 2)", "7/8"],
    ["from datetime import date\nreturn (date(2026, 3, 1) - date(2026, 2, 1)).days", 28],
    [
      "class Box:\n    def __init__(self, n): self.n = n\nreturn max(Box(n).n for n in sorted({3, 1, 2}))",
      3,
    ],
    [
      "from decimal import Decimal\nfrom itertools import chain\nreturn Decimal('0.1') + sum(chain([1], [2]))",
      3.1,
    ],
    [
      "def f(n): return 1 if n == 0 else n * f(n - 1)\ntry:\n    f('x')\nexcept TypeError as error:\n    return f(10) + ('str' in str(error))",
      3628801,
    ],
  ] as const
).map(([text, answer]) => [program(text), answer]);

/** What a program could find that another one left, as text: the same before and after each attack. */
export const traces = program(`
import atexit, builtins, decimal, gc, os, random, signal, sys, threading, warnings
found = [
    sorted(vars(builtins)), [id(v) for v in vars(builtins).values()],
    sorted(sys.modules), sys.path, len(sys.meta_path), len(sys.path_hooks), sys.getrecursionlimit(),
    sys.get_int_max_str_digits(), sys.gettrace(), sys.getprofile(), str(sys.stdout), hasattr(sys, 'last_exc'),
    decimal.getcontext().prec, gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), len(gc.callbacks),
    atexit._ncallbacks(), sorted(os.environ.items()), os.getcwd(), str(signal.getsignal(2)), len(warnings.filters),
    threading.active_count(), random.random(), hash('a'), os.urandom(4),
]
for folder, folders, files in os.walk('/'):
    for name in [*folders, *files]:
        path = os.path.join(folder, name)
        if name != 'program.py':
            try: found.append((path, os.stat(path)[:7])) # without times
            except OSError as error: found.append((path, str(error)))
for descriptor in range(9):
    try: found.append((os.fstat(descriptor)[:7], os.isatty(descriptor)))
    except OSError as error: found.append(str(error))
import hashlib
return hashlib.sha256(repr(found).encode()).hexdigest()
`);

/** The same attack as a reward: what it returns is the score. The sandbox has a solution() of its own behind a reward. */
export const asReward = (text: string): string =>
  `${text}\nattack = solution\ndef score(answer, row):\n    return attack()\n`;

/** A reward that does no harm, and what it gives for "four" with a gold answer of 4. */
export const honestReward =
  "def score(answer, row):\n    return {'score': len(answer) / row['answer'], 'vote': answer.upper()}\n";
