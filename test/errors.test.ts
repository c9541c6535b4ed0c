import { expect, test } from "vitest";
import { compile } from "../src/engine/compile.ts";
import { op, tf } from "../src/engine/tf.ts";
import { asUserError, show } from "../src/errors.ts";

test("memory that is too small names the tensor and says what to do", () => {
  let thrown: unknown;
  try {
    tf.mul(tf.ones([2 ** 22, 1]), tf.ones([1, 2 ** 22])).dataSync(); // 70 TB
  } catch (error) {
    thrown = error;
  }
  const said = asUserError(thrown)?.message;
  expect(said).toContain("out of memory: OOM when allocating tensor with shape[4194304,4194304]");
  expect(said).toContain("set fewer slots");
  expect(asUserError(new Error("Invalid TF_Status: 3\nMessage: a defect"))).toBeUndefined();
});

test.each([
  ["called", () => op("NotBuiltYet", [], [tf.zeros([1])])],
  ["traced", () => compile("new", (x) => [op("NotBuiltYet", [], [x!])])(tf.zeros([1]))],
])("an operation that the set-up has not built yet asks for the set-up, %s", (_, call) => {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  expect(asUserError(thrown)?.message).toMatch(/operation NotBuiltYet: .* Run `npm run setup`/);
});

test.each(["ENOSPC", "EROFS", "EACCES", "EMFILE", "ENFILE", "ENOMEM", "EBUSY", "ESTALE", "EIO"])(
  "%s of a file system says what to do",
  (code) => {
    const error = Object.assign(new Error(`${code}: as the system says it, write 'a'`), { code });
    expect(asUserError(error)?.message).toMatch(/, write 'a': \w+/);
  },
);

test.each([
  [NaN, "NaN"],
  [{ score: NaN, logs: { a: -Infinity } }, '{"score":NaN,"logs":{"a":-Infinity}}'],
  [{ score: 5n, text: "NaN" }, '{"score":5n,"text":"NaN"}'],
  [undefined, "undefined"],
])("a value is shown with the numbers that JSON has not: %o", (value, text) => {
  expect(show(value)).toBe(text);
});
