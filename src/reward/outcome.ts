// What came out of running one generated program, or of reading one written answer: always a value, never an exception.
import type { JsonValue } from "../data/json.ts";

/**
 * - `answer`: of a program a finite number, or text of at most 200 characters (a choice letter, "3/4"); of a written answer a
 *   number or text; of an answer in JSON any value.
 * - `no-answer`: it ended, but what it returned is no answer.
 * - `error`: it raised an exception or does not compile; `MemoryError` is one of these.
 * - `timeout`: it was killed at the limit of its processor time.
 * - `killed`: it broke a rule of the sandbox or its interpreter (forbidden call, too much output, stack overflow).
 * - `infrastructure`: the sandbox failed, the program is not to blame: leave the sample out of the loss.
 *
 * What `solution()` returns becomes:
 *
 * | returned | outcome |
 * | --- | --- |
 * | int, float, Fraction, Decimal, sympy number, anything with `__float__` | the nearest finite double |
 * | -0.0 | 0 |
 * | text | text, also where it looks like a number: the comparator decides |
 * | NaN, infinity, an integer or fraction beyond the doubles | no-answer |
 * | True, False | no-answer (the authors' `float(True)` is 1) |
 * | a list, tuple, set or frozenset of exactly one element; sympy's Tuple or FiniteSet of one | that element; of two in each other, too |
 * | several elements or none, a dict, complex, None, bytes, a symbolic expression, text over 200 characters | no-answer |
 */
export type Outcome =
  | { readonly kind: "answer"; readonly value: JsonValue }
  | {
      readonly kind: "no-answer" | "error" | "timeout" | "killed" | "infrastructure";
      readonly message: string;
    };
