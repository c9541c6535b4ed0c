import { expect, test } from "vitest";
import { tf } from "../../src/engine/tf.ts";
import { Variable } from "../../src/engine/variable.ts";

test("a variable of more different numbers than a Set can hold is read back", () => {
  // tf.tidy puts what a function returns into a Set, number by number; an embedding has more.
  const values = Float32Array.from({ length: 2 ** 24 + 1 }, (_, i) => i);
  const variable = new Variable("large", [values.length], values);
  expect(Buffer.compare(Buffer.from(variable.values().buffer), Buffer.from(values.buffer))).toBe(0);
  variable.dispose();
});

test("a variable without values is 0, and making or clearing one leaves no tensor", () => {
  const before = tf.memory().numTensors;
  const variable = new Variable("zeros", [2, 3]);
  expect(variable.values()).toEqual(new Float32Array(6));
  variable.load(new Float32Array(6).fill(1));
  variable.clear();
  expect(variable.values()).toEqual(new Float32Array(6));
  expect(tf.memory().numTensors).toBe(before);
  variable.dispose();
});
