import { expect, test } from "vitest";
import { Variable } from "../../src/engine/variable.ts";

test("a variable of more different numbers than a Set can hold is read back", () => {
  // tf.tidy puts what a function returns into a Set, number by number; an embedding has more.
  const values = Float32Array.from({ length: 2 ** 24 + 1 }, (_, i) => i);
  const variable = new Variable("large", [values.length], values);
  expect(Buffer.compare(Buffer.from(variable.values().buffer), Buffer.from(values.buffer))).toBe(0);
  variable.dispose();
});
