// The two kinds of guests: what Python has loaded in each before a program comes.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { GuestSettings } from "./guestProcess.ts";

export type GuestKind = Pick<GuestSettings, "wheels" | "prepare" | "names">;

const standardModules = [
  "bisect, calendar, cmath, collections, copy, datetime, decimal, fractions, functools, heapq, itertools",
  "json, math, operator, random, re, statistics, string, time, typing",
].join(", ");

// Written there by the set-up, pinned by hash.
const SYMPY_WHEELS = ["mpmath-1.3.0-py3-none-any.whl", "sympy-1.14.0-py3-none-any.whl"];
export const ZONES_WHEEL = "tzdata-2026.6-py2.py3-none-any.whl";

// The first zone loads what reads all of them.
const useZones = 'import zoneinfo\nzoneinfo.ZoneInfo("Europe/Berlin")\n';

// `import sympy` is not all: the first solve() compiles 17 more modules, other functions others. Each is called
// here as programs call it, so that they start with those modules and with sympy's caches filled.
const useSympy = `
import sympy.abc
from sympy import *
x, y, n = symbols("x y n")
solve(Eq(2 * x + 3, 11), x)
solve(x - 3 * Rational(1, 7), x, dict=True)
solve(x**2 - 5 * x + 6, x)
solve([x + y - 10, x - y - 2], [x, y])
solve([Eq(x * y, 12), Eq(x + y, 7)], (x, y))
solve(2 * x + 1 > 7, x)
solveset(x**2 - 4, x, S.Reals)
linsolve([x + y - 3, x - y - 1], x, y)
nsolve(x**2 - 2, x, 1)
simplify((x**2 - 1) / (x - 1) + sqrt(8))
expand((x + y)**3)
factor(x**2 - y**2)
diff(exp(x) * x**3, x)
integrate(x**2 + sin(x), (x, 0, 1))
limit(sin(x) / x, x, 0)
summation(n, (n, 1, 10))
Sum(n**2, (n, 1, 5)).doit()
sympify("2*x + 1").subs(x, 3).evalf()
Matrix([[1, 2], [3, 4]]).inv().det()
[factorint(360), gcd(12, 18), lcm(4, 6), isprime(97), binomial(5, 2), factorial(5)]
[N(pi), floor(Rational(7, 2)), ceiling(2.5), round(Float(2.567), 2), Rational("1/3")]
`;

/** With the zones of `zoneinfo` where the folder has them. */
export function plainGuest(folder: string): GuestKind {
  const zones = join(folder, ZONES_WHEEL);
  const hasZones = existsSync(zones);
  return {
    wheels: hasZones ? [zones] : [],
    prepare: `import ${standardModules}\n${hasZones ? useZones : ""}`,
    names: ["math"],
  };
}

export function sympyGuest(folder: string): GuestKind {
  const { wheels, prepare, names } = plainGuest(folder);
  return {
    wheels: [...wheels, ...SYMPY_WHEELS.map((wheel) => join(folder, wheel))],
    prepare: prepare + useSympy,
    names: [...names, "sympy"],
  };
}
